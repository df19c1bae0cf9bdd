//! What others wrote runs in a project only once somebody with the right let exactly that run. Each case is a way in
//! which other servers have been tricked.

mod later;

use serde_json::{Value, json};
use weir_api::VariableType;
use weir_api::id::ProjectId;
use weir_server::app::facts::sealed_for;
use weir_server::app::outbox;
use weir_store::variables::{Owner, Variable, insert};

use crate::harness::{Caller, World};
use crate::merge_requests::{commit, commit_as, project};

const CONFIG: &str = "
include: { local: jobs.yml }
branch: { script: branch, rules: [{ if: $CI_PIPELINE_SOURCE == 'push' }] }
";
const JOBS: &str = "
test:
  script: make test
  cache: { key: deps, paths: [deps] }
  rules: [{ if: $CI_PIPELINE_SOURCE == 'merge_request_event' }]
later:
  script: make later
  rules: [{ if: $CI_PIPELINE_SOURCE == 'merge_request_event', when: manual, allow_failure: true }]
";

/// A public project, its fork, and a merge request from there.
struct Scene<'w> {
    world: &'w World,
    /// Owns the parent.
    alice: Caller,
    /// Develops the parent.
    dora: Caller,
    /// Owns the fork.
    mallory: Caller,
    parent: i64,
    fork: i64,
    sha: String,
    runner: String,
}

impl<'w> Scene<'w> {
    async fn new(world: &'w World) -> Self {
        let alice = world.user("alice").await;
        let (dora, mallory) = (world.user("dora").await, world.user("mallory").await);
        let parent = project(&alice, CONFIG, json!({ "visibility": "public" })).await;
        commit(&alice, parent, "main", &[("jobs.yml", JOBS)]).await;
        alice.invite(&format!("projects/{parent}"), &dora, 30).await;
        for (key, protected) in [("PLAIN", false), ("SECRET", true)] {
            variable(world, parent, key, protected).await;
        }
        let fork = mallory.post(&format!("/projects/{parent}/fork"), json!({})).await.is(201);
        let fork = fork["id"].as_i64().unwrap();
        let runner = weir_server::app::runners::embed(&world.ctx).await.unwrap().expose().to_owned();
        let mut scene = Self { world, alice, dora, mallory, parent, fork, sha: String::new(), runner };
        scene.drain().await;
        scene.push("1").await;
        let body = json!({
            "source_branch": "feature", "target_branch": "main", "title": "Trust me", "target_project_id": parent,
        });
        scene.mallory.post(&format!("/projects/{fork}/merge_requests"), body).await.is(201);
        scene
    }

    /// Mallory pushes to the fork, under Dora's name.
    async fn push(&mut self, content: &str) {
        let as_dora = json!({ "author_name": "DORA", "author_email": "dora@example.com" });
        let jobs = JOBS.replace("make test", &format!("evil {content}"));
        let files = [("jobs.yml", jobs.as_str()), ("a", content)];
        self.sha = commit_as(&self.mallory, self.fork, "feature", &files, as_dora).await;
    }

    fn request(&self, rest: &str) -> String {
        format!("/projects/{}/merge_requests/1{rest}", self.parent)
    }

    /// Dora lets the present commit run.
    async fn approve(&self) -> Value {
        self.dora.post(&self.request("/pipelines"), json!({})).await.is(201)
    }

    /// Refs and users of the pipelines of a project that merge requests made, newest first.
    async fn pipelines(&self, project: i64) -> Vec<String> {
        let path = format!("/projects/{project}/pipelines?source=merge_request_event");
        let mut told = Vec::new();
        for pipeline in self.alice.get(&path).await.is(200).as_array().unwrap() {
            let one =
                self.alice.get(&format!("/projects/{project}/pipelines/{}", pipeline["id"])).await.is(200);
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            told.push(format!("{} by {}", text(&one["ref"]), text(&one["user"]["username"])));
        }
        told
    }

    /// Takes the next job; one must be pending.
    async fn take(&self) -> Value {
        let request = json!({ "token": self.runner, "info": { "features": {} } });
        self.world.anonymous().post("/jobs/request", request).await.is(201)
    }

    /// Takes all jobs that wait.
    async fn drain(&self) {
        for project in [self.parent, self.fork] {
            let pending =
                self.alice.get(&format!("/projects/{project}/jobs?scope=pending&per_page=100")).await;
            for _ in pending.is(200).as_array().unwrap() {
                self.take().await;
            }
        }
    }

    /// A runner asks for a job while this one waits, until it has failed: nobody gets it.
    async fn is_refused(&self, pipeline: &Value, name: &str) -> Value {
        let ask = || {
            let (nobody, token) = (self.world.anonymous(), self.runner.clone());
            tokio::spawn(async move { nobody.post("/jobs/request", json!({ "token": token })).await })
        };
        let mut asking = ask();
        loop {
            let job = self.job(pipeline, name).await;
            if asking.is_finished() {
                assert_ne!(asking.await.unwrap().status, 201, "a runner has it: {job}");
                asking = ask();
            }
            if job["status"] != "pending" {
                asking.abort();
                return job;
            }
            tokio::task::yield_now().await;
        }
    }

    async fn job(&self, pipeline: &Value, name: &str) -> Value {
        let path = format!("/projects/{}/pipelines/{}/jobs", self.parent, pipeline["id"]);
        let jobs = self.alice.get(&path).await.is(200);
        jobs.as_array().unwrap().iter().find(|job| job["name"] == name).unwrap().clone()
    }
}

async fn variable(world: &World, project: i64, key: &str, protected: bool) {
    let owner = Owner::Project(ProjectId(project));
    let value = world.ctx.keys.seal(&sealed_for(owner, key), format!("the {key}").as_bytes()).unwrap();
    let new = Variable {
        id: weir_api::id::VariableId(0),
        key: key.to_owned(),
        value,
        variable_type: VariableType::EnvVar,
        protected,
        masked: false,
        hidden: false,
        raw: false,
        environment_scope: "*".to_owned(),
        description: None,
    };
    world.ctx.db.write(move |tx| insert(tx, owner, &new)).await.unwrap();
}

fn value<'p>(payload: &'p Value, key: &str) -> Option<&'p str> {
    let variables = payload["variables"].as_array().unwrap();
    variables.iter().find(|it| it["key"] == key).map(|it| it["value"].as_str().unwrap())
}

/// Events of the fork, and a commit under another's name.
async fn a_forks_commit_runs_in_the_fork(world: World) {
    let mut scene = Scene::new(&world).await;
    assert_eq!(scene.pipelines(scene.parent).await, [""; 0]);
    assert_eq!(scene.pipelines(scene.fork).await, ["feature by mallory"]);
    scene.push("2").await;
    assert_eq!(scene.pipelines(scene.parent).await, [""; 0]);
    assert_eq!(scene.pipelines(scene.fork).await, ["feature by mallory", "feature by mallory"]);
    // The fork has no variables of its parent.
    scene.drain().await;
    scene.mallory.post(&scene.request("/pipelines"), json!({})).await.is(201);
    let payload = scene.take().await;
    assert_eq!(value(&payload, "CI_PROJECT_PATH"), Some("mallory/p"));
    assert_eq!(value(&payload, "CI_MERGE_REQUEST_PROJECT_PATH"), Some("alice/p"));
    assert_eq!((value(&payload, "PLAIN"), value(&payload, "SECRET")), (None, None));
    let own = scene.request("/pipelines");
    let listed = scene.alice.get(&own).await.column("ref");
    assert!(listed.iter().all(|name| name == "feature"), "{listed:?}");
}

/// A member asks for a pipeline: that lets exactly this commit run, without what is protected.
async fn a_member_lets_one_commit_run_without_what_is_protected(world: World) {
    let mut scene = Scene::new(&world).await;
    // Whatever is protected in the fork protects nothing here.
    let all = json!({ "name": "*", "push_access_level": 30, "merge_access_level": 30 });
    scene.mallory.post(&format!("/projects/{}/protected_branches", scene.fork), all.clone()).await.is(201);
    scene.alice.post(&format!("/projects/{}/protected_branches", scene.parent), all).await.is(201);
    scene.drain().await;
    let pipeline = scene.approve().await;
    assert_eq!(pipeline["project_id"], scene.parent);
    assert_eq!(
        (&pipeline["ref"], &pipeline["sha"]),
        (&json!("refs/merge-requests/1/head"), &json!(scene.sha))
    );
    assert_eq!(pipeline["user"]["username"], "dora");
    let payload = scene.take().await;
    assert_eq!((value(&payload, "PLAIN"), value(&payload, "SECRET")), (Some("the PLAIN"), None));
    for (key, wanted) in [
        ("CI_MERGE_REQUEST_IID", "1"),
        ("CI_MERGE_REQUEST_EVENT_TYPE", "detached"),
        ("CI_MERGE_REQUEST_REF_PATH", "refs/merge-requests/1/head"),
        ("CI_MERGE_REQUEST_SOURCE_PROJECT_PATH", "mallory/p"),
        ("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", "feature"),
        ("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "main"),
        ("CI_MERGE_REQUEST_TARGET_BRANCH_PROTECTED", "true"),
        ("CI_MERGE_REQUEST_TITLE", "Trust me"),
        ("CI_COMMIT_REF_NAME", "feature"),
        ("CI_COMMIT_REF_PROTECTED", "false"),
        ("CI_OPEN_MERGE_REQUESTS", "alice/p!1"),
        ("CI_COMMIT_SHA", scene.sha.as_str()),
    ] {
        assert_eq!(value(&payload, key), Some(wanted), "{key}");
    }
    assert_eq!(value(&payload, "CI_COMMIT_BRANCH"), None);
    assert_eq!(payload["git_info"]["protected"], false);
    let id = &pipeline["id"];
    assert_eq!(payload["git_info"]["refspecs"], json!([format!("+refs/pipelines/{id}:refs/pipelines/{id}")]));
    assert_eq!(payload["cache"][0]["key"], "deps-non_protected");

    // A new commit needs a new approval; the old one runs what was approved, includes and all.
    scene.push("2").await;
    assert_eq!(scene.pipelines(scene.parent).await, ["refs/merge-requests/1/head by dora"]);
    let job = scene.job(&pipeline, "later").await["id"].clone();
    scene.dora.post(&format!("/projects/{}/jobs/{job}/play", scene.parent), json!({})).await.is(200);
    scene.drain().await;
    let test = scene.job(&pipeline, "test").await["id"].clone();
    scene.dora.post(&format!("/projects/{}/jobs/{test}/cancel", scene.parent), json!({})).await.is(201);
    scene.dora.post(&format!("/projects/{}/jobs/{test}/retry", scene.parent), json!({})).await.is(201);
    let payload = scene.take().await;
    assert_eq!(payload["steps"][0]["script"], json!(["evil 1"]));
    assert_ne!(value(&payload, "CI_COMMIT_SHA"), Some(scene.sha.as_str()));
    assert_eq!(value(&payload, "SECRET"), None);
}

/// Labels, titles, assignments, closing and opening again by members let nothing run; nor do other ways to make a
/// pipeline of the same ref.
async fn no_other_event_lets_a_commit_run(world: World) {
    let mut scene = Scene::new(&world).await;
    for change in [
        json!({ "add_labels": "safe" }),
        json!({ "title": "Reviewed" }),
        json!({ "assignee_id": scene.dora.id }),
        json!({ "state_event": "close" }),
        json!({ "state_event": "reopen" }),
    ] {
        scene.dora.put(&scene.request(""), change).await.is(200);
        scene.push("again").await;
    }
    let body = json!({ "ref": "refs/merge-requests/1/head" });
    let path = format!("/projects/{}/pipeline", scene.parent);
    for caller in [&scene.dora, &scene.alice] {
        caller
            .post(&path, body.clone())
            .await
            .says(400, &json!({ "message": { "base": ["Reference not found"] } }));
    }
    let token = scene
        .alice
        .post(&format!("/projects/{}/triggers", scene.parent), json!({ "description": "x" }))
        .await;
    let trigger = json!({ "ref": "refs/merge-requests/1/head", "token": token.is(201)["token"] });
    let triggered =
        world.anonymous().post(&format!("/projects/{}/trigger/pipeline", scene.parent), trigger).await;
    assert_eq!(triggered.status, 400, "{}", triggered.body);
    // A branch that is called like the ref is none.
    let named = json!({ "branch": "refs/merge-requests/1/head", "ref": "main" });
    let made = scene.dora.post(&format!("/projects/{}/repository/branches", scene.parent), named).await;
    if made.status == 201 {
        let named = json!({ "ref": "refs/heads/refs/merge-requests/1/head" });
        assert_eq!(scene.dora.post(&path, named).await.status, 400);
    }
    assert_eq!(scene.pipelines(scene.parent).await, [""; 0]);
    let mallorys = scene.mallory.post(&scene.request("/pipelines"), json!({})).await.is(201);
    assert_eq!(mallorys["project_id"], scene.fork);
    world.user("eve").await.post(&scene.request("/pipelines"), json!({})).await.refuses(403, "403 Forbidden");
}

/// Approval is a state that is looked at again when a job starts, restarts or is played.
async fn what_was_let_run_is_looked_at_again(world: World) {
    let scene = Scene::new(&world).await;
    scene.drain().await;
    let pipeline = scene.approve().await;
    for caller in [&scene.mallory, &world.user("eve").await] {
        let retry = format!("/projects/{}/pipelines/{}/retry", scene.parent, pipeline["id"]);
        caller.post(&retry, json!({})).await.refuses(403, "403 Forbidden");
    }
    let off = json!({ "ci_allow_fork_pipelines_to_run_in_parent_project": false });
    scene.alice.put(&format!("/projects/{}", scene.parent), off).await.is(200);
    let job = scene.is_refused(&pipeline, "test").await;
    assert_eq!((&job["status"], &job["failure_reason"]), (&json!("failed"), &json!("unmet_prerequisites")));
    let refused = "403 Forbidden - The project runs no commits of other projects";
    for path in [
        format!("/jobs/{}/retry", job["id"]),
        format!("/jobs/{}/play", scene.job(&pipeline, "later").await["id"]),
        format!("/pipelines/{}/retry", pipeline["id"]),
    ] {
        for caller in [&scene.dora, &scene.alice] {
            caller.post(&format!("/projects/{}{path}", scene.parent), json!({})).await.refuses(403, refused);
        }
    }
    scene.dora.post(&scene.request("/pipelines"), json!({})).await.refuses(403, "403 Forbidden");

    // A merge request that is gone approves nothing.
    let on = json!({ "ci_allow_fork_pipelines_to_run_in_parent_project": true });
    scene.alice.put(&format!("/projects/{}", scene.parent), on).await.is(200);
    let pipeline = scene.approve().await;
    assert_eq!(scene.alice.delete(&scene.request("")).await.status, 204);
    assert_eq!(scene.is_refused(&pipeline, "test").await["status"], "failed");
    let retry = format!("/projects/{}/pipelines/{}/retry", scene.parent, pipeline["id"]);
    scene.alice.post(&retry, json!({})).await.refuses(403, "403 Forbidden");
}

/// Within one project what is protected is there only between protected branches, for whoever may change both.
async fn a_request_between_protected_branches_is_protected(world: World) {
    let scene = Scene::new(&world).await;
    let path = format!("/projects/{}", scene.parent);
    let release = json!({ "name": "release", "push_access_level": 30, "merge_access_level": 30 });
    scene.alice.post(&format!("{path}/protected_branches"), release).await.is(201);
    let open = |by: &Caller, branch: &str| {
        let body = json!({ "source_branch": branch, "target_branch": "main", "title": branch });
        let (by, path) = (by.clone(), format!("{path}/merge_requests"));
        async move { by.post(&path, body).await.is(201)["iid"].as_i64().unwrap() }
    };
    commit(&scene.dora, scene.parent, "plain", &[("a", "1")]).await;
    commit(&scene.alice, scene.parent, "release", &[("b", "1")]).await;
    let (plain, release) = (open(&scene.dora, "plain").await, open(&scene.alice, "release").await);
    for (caller, iid, protected) in [
        (&scene.dora, plain, false),
        (&scene.alice, plain, false),
        (&scene.dora, release, false),
        (&scene.alice, release, true),
    ] {
        scene.drain().await;
        let made = caller.post(&format!("{path}/merge_requests/{iid}/pipelines"), json!({})).await.is(201);
        let payload = scene.take().await;
        let told = format!("{iid} by {}", caller.id);
        assert_eq!(value(&payload, "SECRET").is_some(), protected, "{told}");
        assert_eq!(payload["git_info"]["protected"], protected, "{told}");
        let suffix = if protected { "protected" } else { "non_protected" };
        assert_eq!(payload["cache"][0]["key"], format!("deps-{suffix}"), "{told}");
        // Dora could not give these rights, so she does not start it again with them.
        let retry = format!("{path}/pipelines/{}/retry", made["id"]);
        scene.alice.post(&format!("{path}/pipelines/{}/cancel", made["id"]), json!({})).await.is(200);
        scene.drain().await;
        let status = if protected { 403 } else { 201 };
        assert_eq!(scene.dora.post(&retry, json!({})).await.status, status, "{told}");
    }
    let off = json!({ "protect_merge_request_pipelines": false });
    scene.alice.put(&path, off).await.is(200);
    scene.drain().await;
    scene.alice.post(&format!("{path}/merge_requests/{release}/pipelines"), json!({})).await.is(201);
    assert_eq!(value(&scene.take().await, "SECRET"), None);
}

/// A member who pushes to a fork of their own is known as the one who did; whoever pushes next is not.
async fn a_members_own_push_runs_in_the_parent_and_no_others(world: World) {
    let mut scene = Scene::new(&world).await;
    scene.mallory.invite(&format!("projects/{}", scene.fork), &scene.dora, 30).await;
    commit(&scene.dora, scene.fork, "feature", &[("a", "dora's")]).await;
    assert_eq!(scene.pipelines(scene.parent).await, ["refs/merge-requests/1/head by dora"]);
    scene.push("mallory's").await;
    assert_eq!(scene.pipelines(scene.parent).await.len(), 1);
}

/// A child pipeline is its parent's commit: it has no more rights, and asks for the same approval.
async fn a_child_is_trusted_as_its_parent(world: World) {
    let mut scene = Scene::new(&world).await;
    let bridge = "child: { trigger: { include: child.yml }, rules: [{ if: $CI_MERGE_REQUEST_IID }] }";
    let files = [(".gitlab-ci.yml", bridge), ("child.yml", "inner: { script: evil }")];
    scene.sha = commit(&scene.mallory, scene.fork, "feature", &files).await;
    scene.drain().await;
    let parent = scene.approve().await;
    outbox::sweep(&world.ctx).await.unwrap();
    let bridges = format!("/projects/{}/pipelines/{}/bridges", scene.parent, parent["id"]);
    let bridge = &scene.alice.get(&bridges).await.is(200)[0];
    let child = &bridge["downstream_pipeline"];
    assert_eq!((&child["ref"], &child["sha"]), (&parent["ref"], &parent["sha"]), "{bridge}");
    assert_eq!(child["source"], "parent_pipeline");
    let off = json!({ "ci_allow_fork_pipelines_to_run_in_parent_project": false });
    scene.alice.put(&format!("/projects/{}", scene.parent), off).await.is(200);
    assert_eq!(scene.is_refused(child, "inner").await["failure_reason"], "unmet_prerequisites");
    let on = json!({ "ci_allow_fork_pipelines_to_run_in_parent_project": true });
    scene.alice.put(&format!("/projects/{}", scene.parent), on).await.is(200);
    let retry = format!("/projects/{}/pipelines/{}/retry", scene.parent, child["id"]);
    scene.mallory.post(&retry, json!({})).await.refuses(403, "403 Forbidden");
    scene.dora.post(&retry, json!({})).await.is(201);
    let payload = scene.take().await;
    assert_eq!(payload["job_info"]["name"], "inner");
    assert_eq!((value(&payload, "PLAIN"), value(&payload, "SECRET")), (Some("the PLAIN"), None));
    assert_eq!(value(&payload, "CI_MERGE_REQUEST_IID"), Some("1"));
}

on_each_database!(
    a_child_is_trusted_as_its_parent,
    a_forks_commit_runs_in_the_fork,
    a_member_lets_one_commit_run_without_what_is_protected,
    no_other_event_lets_a_commit_run,
    what_was_let_run_is_looked_at_again,
    a_request_between_protected_branches_is_protected,
    a_members_own_push_runs_in_the_parent_and_no_others,
);
