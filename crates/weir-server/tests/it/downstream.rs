//! Pipelines that bridges start: children and those of other projects.

use axum::body::Body;
use serde_json::{Value, json};
use weir_api::id::JobId;
use weir_api::status::{ArtifactFileType, ArtifactFormat};
use weir_server::app::artifacts::{self, Upload};
use weir_server::app::{outbox, runners};

use crate::browser::Browser;
use crate::harness::{Caller, World};

/// A project with these files on `main`.
async fn project(owner: &Caller, name: &str, files: &[(&str, &str)]) -> i64 {
    let id = owner.project(name, json!({})).await;
    let actions: Vec<Value> = files
        .iter()
        .map(|(path, content)| json!({ "action": "create", "file_path": path, "content": content }))
        .collect();
    let body = json!({ "branch": "main", "commit_message": "[skip ci]", "actions": actions });
    owner.post(&format!("/projects/{id}/repository/commits"), body).await.is(201);
    id
}

/// Does what pipelines left for each other.
async fn settle(world: &World) {
    outbox::sweep(&world.ctx).await.unwrap();
}

/// Starts a pipeline on `main` and lets its bridges start theirs; its path.
async fn start(world: &World, caller: &Caller, project: i64) -> String {
    start_with(world, caller, project, json!([])).await
}

async fn start_with(world: &World, caller: &Caller, project: i64, variables: Value) -> String {
    let body = json!({ "ref": "main", "variables": variables });
    let made = caller.post(&format!("/projects/{project}/pipeline"), body).await.is(201);
    settle(world).await;
    format!("/projects/{project}/pipelines/{}", made["id"])
}

/// The bridges of a pipeline, the newest first.
async fn bridges(caller: &Caller, pipeline: &str) -> Vec<Value> {
    caller.get(&format!("{pipeline}/bridges")).await.is(200).as_array().unwrap().clone()
}

/// The path of a bridge's downstream pipeline.
fn downstream(bridge: &Value) -> String {
    let pipeline = &bridge["downstream_pipeline"];
    assert!(pipeline.is_object(), "{bridge}");
    format!("/projects/{}/pipelines/{}", pipeline["project_id"], pipeline["id"])
}

async fn status(caller: &Caller, path: &str) -> String {
    caller.get(path).await.is(200)["status"].as_str().unwrap().to_owned()
}

/// A runner.
struct Runner<'w> {
    world: &'w World,
    token: String,
}

impl<'w> Runner<'w> {
    async fn new(world: &'w World) -> Self {
        let token = runners::embed(&world.ctx).await.unwrap().expose().to_owned();
        Self { world, token }
    }

    /// Takes the job that waits and ends it; what the runner got.
    async fn run(&self, state: &str) -> Value {
        let job = self.take().await;
        self.end(&job, state).await;
        job
    }

    async fn take(&self) -> Value {
        let nobody = self.world.anonymous();
        nobody.post("/jobs/request", json!({ "token": self.token, "info": {} })).await.is(201)
    }

    async fn end(&self, job: &Value, state: &str) {
        let nobody = self.world.anonymous();
        let body = json!({ "token": job["token"], "state": state });
        nobody.put(&format!("/jobs/{}", job["id"]), body).await.is(200);
        settle(self.world).await;
    }
}

/// Gives a job that runs its archive.
async fn upload(world: &World, job: &Value) {
    let id = JobId(job["id"].as_i64().unwrap());
    let row = artifacts::uploader(&world.ctx, id, &job["token"].as_str().unwrap().into()).await.unwrap();
    let upload = Upload {
        file_type: ArtifactFileType::Archive,
        file_format: ArtifactFormat::Zip,
        filename: "artifacts.zip".to_owned(),
        expire_in: None,
    };
    let body = Body::from(format!("of job {id}")).into_data_stream();
    artifacts::upload(&world.ctx, &row, upload, body).await.unwrap();
}

/// The value of a variable in a job's payload; the last one counts.
fn variable(job: &Value, key: &str) -> Option<String> {
    let variables = job["variables"].as_array().unwrap();
    let found = variables.iter().rev().find(|variable| variable["key"] == key);
    found.map(|variable| variable["value"].as_str().unwrap().to_owned())
}

async fn a_child_pipeline_is_part_of_its_parent(world: World) {
    let alice = world.user("alice").await;
    let config = "stages: [build, deploy]\n\
                  child: {stage: build, variables: {WHO: 'by $CI_PROJECT_NAME'},\n  trigger: {include: child.yml, strategy: depend}}\n\
                  after: {stage: deploy, script: x}";
    let files = [
        (".gitlab-ci.yml", config),
        ("child.yml", "inner: {script: x}\ninclude: more.yml"),
        ("more.yml", "variables: {M: m}"),
    ];
    let id = project(&alice, "p", &files).await;
    let runner = Runner::new(&world).await;
    let parent = start(&world, &alice, id).await;

    let found = bridges(&alice, &parent).await;
    let child = downstream(&found[0]);
    assert_eq!((&found[0]["name"], &found[0]["status"]), (&json!("child"), &json!("running")));
    let entity = alice.get(&child).await.is(200);
    let of_parent = alice.get(&parent).await.is(200);
    assert_eq!(entity["source"], "parent_pipeline");
    for same in ["sha", "ref", "before_sha", "tag"] {
        assert_eq!(entity[same], of_parent[same], "{same}");
    }
    // A child is listed only when asked for.
    let listed = format!("/projects/{id}/pipelines");
    assert!(!alice.get(&listed).await.column("id").contains(&entity["id"]));
    assert_eq!(
        alice.get(&format!("{listed}?source=parent_pipeline")).await.column("id"),
        [entity["id"].clone()]
    );

    let job = runner.run("success").await;
    assert_eq!(job["job_info"]["name"], "inner");
    assert_eq!(variable(&job, "WHO").as_deref(), Some("by p"));
    assert_eq!(variable(&job, "M").as_deref(), Some("m"));
    assert_eq!(variable(&job, "CI_PIPELINE_SOURCE").as_deref(), Some("parent_pipeline"));
    assert_eq!(variable(&job, "CI_UPSTREAM_PIPELINE_ID"), Some(of_parent["id"].to_string()));
    assert_eq!(status(&alice, &child).await, "success");
    assert_eq!(bridges(&alice, &parent).await[0]["status"], "success");
    assert_eq!(runner.run("success").await["job_info"]["name"], "after");
    assert_eq!(status(&alice, &parent).await, "success");
}

/// A bridge that shows how its pipeline stands may be skipped with it, and is retried with the other skipped jobs.
async fn a_bridge_that_is_reset_hears_again_of_the_pipeline_that_it_has(world: World) {
    let alice = world.user("alice").await;
    let files = [
        (".gitlab-ci.yml", "child: {trigger: {include: child.yml, strategy: mirror}}"),
        ("child.yml", "inner: {script: x, when: manual}"),
    ];
    let id = project(&alice, "p", &files).await;
    let parent = start(&world, &alice, id).await;
    assert_eq!(bridges(&alice, &parent).await[0]["status"], "skipped");
    let child = downstream(&bridges(&alice, &parent).await[0]);
    alice.post(&format!("{parent}/retry"), json!({})).await.is(201);
    settle(&world).await;
    let found = bridges(&alice, &parent).await;
    assert_eq!((&found[0]["status"], downstream(&found[0])), (&json!("skipped"), child));
    assert_eq!(status(&alice, &parent).await, "skipped");
}

async fn a_bridge_without_strategy_is_done_with_the_creation_and_one_with_it_fails_with_its_child(
    world: World,
) {
    let alice = world.user("alice").await;
    let files = [
        (
            ".gitlab-ci.yml",
            "free: {trigger: {include: child.yml}}\nbound: {trigger: {include: child.yml, strategy: depend}}",
        ),
        ("child.yml", "inner: {script: x}"),
    ];
    let id = project(&alice, "p", &files).await;
    let runner = Runner::new(&world).await;
    let parent = start(&world, &alice, id).await;
    let statuses = async |alice: &Caller| {
        let found = bridges(alice, &parent).await;
        let status = |name: &str| found.iter().find(|it| it["name"] == name).unwrap()["status"].clone();
        (status("free"), status("bound"))
    };
    assert_eq!(statuses(&alice).await, (json!("success"), json!("running")));
    runner.run("failed").await;
    runner.run("failed").await;
    assert_eq!(statuses(&alice).await, (json!("success"), json!("failed")));
    assert_eq!(status(&alice, &parent).await, "failed");

    // What goes on in the child goes on above.
    let bound = bridges(&alice, &parent).await.into_iter().find(|it| it["name"] == "bound").unwrap();
    let child = downstream(&bound);
    alice.post(&format!("{child}/retry"), json!({})).await.is(201);
    settle(&world).await;
    assert_eq!(statuses(&alice).await.1, "pending");
    assert_eq!(status(&alice, &parent).await, "running");
    runner.run("success").await;
    assert_eq!(statuses(&alice).await.1, "success");
    assert_eq!(status(&alice, &parent).await, "success");

    // A bridge that is retried starts another child.
    let retried = alice.post(&format!("/projects/{id}/jobs/{}/retry", bound["id"]), json!({})).await.is(201);
    assert!(retried["id"].as_i64() > bound["id"].as_i64() && retried["downstream_pipeline"].is_null());
    settle(&world).await;
    let again = bridges(&alice, &parent).await.into_iter().find(|it| it["name"] == "bound").unwrap();
    assert_eq!(again["status"], "running");
    assert_ne!(downstream(&again), child);
}

async fn a_bridge_that_gets_no_downstream_pipeline_says_why(world: World) {
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    let job = [(".gitlab-ci.yml", "inner: {script: x}")];
    project(&bob, "hidden", &job).await;
    let open = project(&bob, "open", &job).await;
    bob.put(&format!("/projects/{open}"), json!({ "visibility": "public" })).await.is(200);
    project(&alice, "other", &job).await;
    project(&alice, "bare", &[("README", "x")]).await;
    for (n, (trigger, reason)) in (0..).zip([
        ("alice/gone", "downstream_bridge_project_not_found"),
        ("bob/hidden", "downstream_bridge_project_not_found"),
        ("$CI_PROJECT_PATH", "invalid_bridge_trigger"),
        ("bob/open", "insufficient_bridge_permissions"),
        ("{project: alice/other, branch: gone}", "downstream_pipeline_creation_failed"),
        ("alice/bare", "downstream_pipeline_creation_failed"),
        ("{include: gone.yml}", "downstream_pipeline_creation_failed"),
        ("{include: [{artifact: a.yml, job: g}]}", "downstream_pipeline_creation_failed"),
    ]) {
        let id = project(
            &alice,
            &format!("p{n}"),
            &[(
                ".gitlab-ci.yml",
                &format!("g: {{stage: build, script: x, when: manual}}\nb: {{trigger: {trigger}}}"),
            )],
        )
        .await;
        let parent = start(&world, &alice, id).await;
        let bridge = bridges(&alice, &parent).await.remove(0);
        assert_eq!(
            (&bridge["status"], &bridge["failure_reason"]),
            (&json!("failed"), &json!(reason)),
            "{trigger}"
        );
        // A wrong configuration is kept with a pipeline.
        let errors = if trigger.contains("include") {
            alice.get(&downstream(&bridge)).await.is(200)["yaml_errors"].clone()
        } else {
            bridge["downstream_pipeline"].clone()
        };
        let expected = match trigger {
            "{include: gone.yml}" => "Local file `gone.yml` does not exist!",
            _ if trigger.contains("artifact") => {
                "Job `g` not found in parent pipeline or does not have artifacts!"
            }
            _ => "",
        };
        assert!(errors.as_str().unwrap_or_default().starts_with(expected), "{errors}");
    }
}

async fn children_have_children_and_those_none(world: World) {
    let alice = world.user("alice").await;
    let config = "again: {trigger: {include: .gitlab-ci.yml, strategy: depend}}";
    let id = project(&alice, "p", &[(".gitlab-ci.yml", config)]).await;
    let mut pipeline = start(&world, &alice, id).await;
    for _ in 0..2 {
        pipeline = downstream(&bridges(&alice, &pipeline).await[0]);
    }
    let last = bridges(&alice, &pipeline).await.remove(0);
    assert_eq!(last["failure_reason"], "reached_max_descendant_pipelines_depth");
    let retry = format!("/projects/{id}/jobs/{}/retry", last["id"]);
    alice.post(&retry, json!({})).await.refuses(403, "403 Forbidden - Job is not retryable");
}

async fn projects_that_trigger_each_other_are_stopped(world: World) {
    let alice = world.user("alice").await;
    let trigger = |path: &str| format!("to: {{trigger: {path}}}");
    let one = project(&alice, "one", &[(".gitlab-ci.yml", &trigger("alice/two"))]).await;
    project(&alice, "two", &[(".gitlab-ci.yml", &trigger("alice/one"))]).await;
    let mut pipeline = start(&world, &alice, one).await;
    let mut length = 1;
    loop {
        let bridge = bridges(&alice, &pipeline).await.remove(0);
        if bridge["status"] == "failed" {
            assert_eq!(bridge["failure_reason"], "pipeline_loop_detected");
            break;
        }
        pipeline = downstream(&bridge);
        length += 1;
    }
    // one (api), two, one, two, one, two: the third of two by `pipeline` goes no further.
    assert_eq!(length, 6);
}

async fn another_project_gets_what_the_bridge_forwards(world: World) {
    let (alice, carol) = (world.user("alice").await, world.user("carol").await);
    let config = "variables: {GLOBAL: g}\n\
                  to: {variables: {OWN: '$GLOBAL of $CI_PROJECT_NAME', GIVEN: weak},\n  trigger: {project: alice/$TARGET, branch: main, strategy: depend, forward: {pipeline_variables: true},\n  inputs: {name: world}}}";
    let target = "spec: {inputs: {name: {}}}\n---\ninner:\n  script: echo $[[ inputs.name ]]";
    let id = project(&alice, "from", &[(".gitlab-ci.yml", config)]).await;
    let other = project(&alice, "target", &[(".gitlab-ci.yml", target)]).await;
    alice.invite(&format!("projects/{id}"), &carol, 30).await;
    let runner = Runner::new(&world).await;
    let given = json!([{ "key": "TARGET", "value": "target" }, { "key": "GIVEN", "value": "strong" }]);
    let upstream = start_with(&world, &alice, id, given).await;
    let bridge = bridges(&alice, &upstream).await.remove(0);
    assert_eq!(
        (&bridge["status"], &bridge["downstream_pipeline"]["project_id"]),
        (&json!("running"), &json!(other))
    );
    // Whoever may not see the other project does not see its pipeline.
    assert!(bridges(&carol, &upstream).await[0]["downstream_pipeline"].is_null());
    let below = alice.get(&downstream(&bridge)).await.is(200);
    assert_eq!((&below["source"], &below["user"]["username"]), (&json!("pipeline"), &json!("alice")));

    let job = runner.run("success").await;
    assert_eq!(job["steps"][0]["script"], json!(["echo world"]));
    for (key, value) in [
        ("OWN", Some("g of from")),
        ("GLOBAL", Some("g")),
        ("GIVEN", Some("strong")),
        ("TARGET", Some("target")),
        ("CI_PROJECT_NAME", Some("target")),
        ("CI_PIPELINE_SOURCE", Some("pipeline")),
        ("NEVER", None),
    ] {
        assert_eq!(variable(&job, key).as_deref(), value, "{key}");
    }
    assert_eq!(status(&alice, &upstream).await, "success");
}

async fn a_canceled_parent_cancels_its_children_but_not_other_projects(world: World) {
    let alice = world.user("alice").await;
    let config = "child: {trigger: {include: child.yml, strategy: depend}}\nother: {trigger: alice/other}";
    let files = [
        (".gitlab-ci.yml", config),
        ("child.yml", "grandchild: {trigger: {include: leaf.yml, strategy: depend}}"),
        ("leaf.yml", "inner: {script: x}"),
    ];
    let id = project(&alice, "p", &files).await;
    project(&alice, "other", &[(".gitlab-ci.yml", "inner: {script: x}")]).await;
    let parent = start(&world, &alice, id).await;
    let found = bridges(&alice, &parent).await;
    let below = |name: &str| downstream(found.iter().find(|it| it["name"] == name).unwrap());
    let grandchild = downstream(&bridges(&alice, &below("child")).await[0]);
    alice.post(&format!("{parent}/cancel"), json!({})).await.is(200);
    settle(&world).await;
    for canceled in [&parent, &below("child"), &grandchild] {
        assert_eq!(status(&alice, canceled).await, "canceled", "{canceled}");
    }
    assert_eq!(status(&alice, &below("other")).await, "pending");
    // Children go with their parent.
    alice.delete(&parent).await.is(204);
    alice.get(&grandchild).await.is(404);
    alice.get(&below("other")).await.is(200);
}

async fn a_job_that_may_not_fail_takes_the_children_with_it(world: World) {
    let alice = world.user("alice").await;
    let config = "workflow: {auto_cancel: {on_job_failure: all}}\n\
                  child: {trigger: {include: child.yml}}\n\
                  tolerated: {script: x, allow_failure: true}\nfatal: {script: x}";
    let id = project(&alice, "p", &[(".gitlab-ci.yml", config), ("child.yml", "inner: {script: x}")]).await;
    let runner = Runner::new(&world).await;
    let parent = start(&world, &alice, id).await;
    let child = downstream(&bridges(&alice, &parent).await[0]);
    for (name, left) in [("tolerated", "pending"), ("fatal", "canceled")] {
        assert_eq!(runner.run("failed").await["job_info"]["name"], name);
        assert_eq!(status(&alice, &child).await, left, "after {name}");
    }
    assert_eq!(status(&alice, &parent).await, "failed");
}

async fn a_bridge_that_mirrors_a_manual_child_waits_again_once_that_is_played(world: World) {
    let alice = world.user("alice").await;
    let files = [
        (".gitlab-ci.yml", "child: {trigger: {include: child.yml, strategy: mirror}}"),
        ("child.yml", "inner: {script: x, when: manual, allow_failure: false}"),
    ];
    let id = project(&alice, "p", &files).await;
    let runner = Runner::new(&world).await;
    let parent = start(&world, &alice, id).await;
    let bridge = bridges(&alice, &parent).await.remove(0);
    assert_eq!(
        (bridge["status"].as_str(), status(&alice, &parent).await.as_str()),
        (Some("manual"), "manual")
    );
    let child = downstream(&bridge);
    // There is nothing to play but in the child.
    let play = |job: &Value| format!("/projects/{id}/jobs/{}/play", job["id"]);
    alice.post(&play(&bridge), json!({})).await.refuses(400, "400 Bad request - Unplayable Job");
    let inner = alice.get(&format!("{child}/jobs")).await.is(200)[0].clone();
    alice.post(&play(&inner), json!({})).await.is(200);
    settle(&world).await;
    let again = bridges(&alice, &parent).await.remove(0);
    assert_eq!((&again["status"], downstream(&again)), (&json!("pending"), child));
    runner.run("success").await;
    assert_eq!(bridges(&alice, &parent).await[0]["status"], "success");
    assert_eq!(status(&alice, &parent).await, "success");
}

async fn artifacts_of_another_project_are_for_who_may_have_them(world: World) {
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    let library = project(&alice, "library", &[(".gitlab-ci.yml", "build: {script: x}")]).await;
    let runner = Runner::new(&world).await;
    start(&world, &alice, library).await;
    let build = runner.take().await;
    upload(&world, &build).await;
    runner.end(&build, "success").await;

    for (n, (git_ref, caller, has)) in
        (0..).zip([("main", &alice, true), ("$NAME", &alice, false), ("main", &bob, false)])
    {
        let config = format!(
            "variables: {{NAME: library}}\n\
             use: {{script: x, needs: [{{project: alice/$NAME, job: build, ref: {git_ref}, artifacts: true}}]}}\n\
             other: {{script: x}}"
        );
        let id = project(caller, &format!("p{n}"), &[(".gitlab-ci.yml", &config)]).await;
        let pipeline = start(&world, caller, id).await;
        if has {
            let job = runner.take().await;
            let [dependency] = job["dependencies"].as_array().unwrap().as_slice() else { panic!("{job}") };
            assert_eq!((&dependency["id"], &dependency["name"]), (&build["id"], &json!("build")));
            let token = dependency["token"].as_str().unwrap();
            let path = format!("/jobs/{}/artifacts?token={token}", build["id"]);
            let archive = world.anonymous().get(&path).await.is(200);
            assert_eq!(archive, json!(format!("of job {}", build["id"])));
            runner.end(&job, "success").await;
            runner.run("success").await;
        } else {
            assert_eq!(runner.run("success").await["job_info"]["name"], "other");
            let job = caller.get(&format!("{pipeline}/jobs")).await.is(200)[1].clone();
            assert_eq!(job["failure_reason"], "missing_dependency_failure", "{git_ref}");
        }
    }
}

async fn artifacts_of_another_pipeline_are_for_its_family(world: World) {
    let alice = world.user("alice").await;
    let config = "stages: [one, two]\nbuild: {stage: one, script: x}\n\
                  child: {stage: two, variables: {PARENT: $CI_PIPELINE_ID}, trigger: {include: child.yml}}";
    let child = "use: {script: x, needs: [{pipeline: $PARENT, job: build}]}\nother: {script: x}";
    let id = project(&alice, "p", &[(".gitlab-ci.yml", config), ("child.yml", child)]).await;
    let stranger = project(&alice, "q", &[(".gitlab-ci.yml", child)]).await;
    let runner = Runner::new(&world).await;
    let parent = start(&world, &alice, id).await;
    let build = runner.take().await;
    upload(&world, &build).await;
    runner.end(&build, "success").await;
    let job = runner.take().await;
    assert_eq!(job["job_info"]["name"], "use");
    assert_eq!(job["dependencies"].as_array().unwrap().len(), 1, "{job}");
    assert_eq!(job["dependencies"][0]["id"], build["id"]);
    runner.end(&job, "success").await;
    runner.run("success").await;

    let number = alice.get(&parent).await.is(200)["id"].to_string();
    let given = json!([{ "key": "PARENT", "value": number }]);
    let other = start_with(&world, &alice, stranger, given).await;
    assert_eq!(runner.run("success").await["job_info"]["name"], "other");
    let job = alice.get(&format!("{other}/jobs")).await.is(200)[1].clone();
    assert_eq!(job["failure_reason"], "missing_dependency_failure");
}

async fn the_picture_of_a_pipeline_says_why_a_bridge_failed(world: World) {
    let alice = world.user("alice").await;
    project(&alice, "other", &[("README", "x")]).await;
    let config = "b: {trigger: {project: alice/other, branch: <gone>}}";
    let id = project(&alice, "p", &[(".gitlab-ci.yml", config)]).await;
    let parent = start(&world, &alice, id).await;
    let number = parent.rsplit('/').next().unwrap();
    let shown =
        Browser::of(&world, &alice).await.get(&format!("/alice/p/-/pipelines/{number}")).await.is(200);
    assert!(shown.contains("downstream pipeline creation failed: Reference not found"), "{shown}");
}

async fn a_newer_commit_cancels_the_children_of_older_ones(world: World) {
    let alice = world.user("alice").await;
    let files =
        [(".gitlab-ci.yml", "child: {trigger: {include: child.yml}}"), ("child.yml", "inner: {script: x}")];
    let id = project(&alice, "p", &files).await;
    let old = downstream(&bridges(&alice, &start(&world, &alice, id).await).await[0]);
    world.pass_secs(1);
    let body = json!({ "branch": "main", "content": "x", "commit_message": "Go on" });
    alice.post(&format!("/projects/{id}/repository/files/more"), body).await.is(201);
    settle(&world).await;
    assert_eq!(status(&alice, &old).await, "canceled");
    let new = alice.get(&format!("/projects/{id}/pipelines?source=parent_pipeline")).await.is(200);
    assert_eq!(new[0]["status"], "pending");
}

on_each_database!(
    a_child_pipeline_is_part_of_its_parent,
    a_bridge_that_is_reset_hears_again_of_the_pipeline_that_it_has,
    a_bridge_without_strategy_is_done_with_the_creation_and_one_with_it_fails_with_its_child,
    a_bridge_that_gets_no_downstream_pipeline_says_why,
    children_have_children_and_those_none,
    projects_that_trigger_each_other_are_stopped,
    another_project_gets_what_the_bridge_forwards,
    a_canceled_parent_cancels_its_children_but_not_other_projects,
    a_newer_commit_cancels_the_children_of_older_ones,
    a_job_that_may_not_fail_takes_the_children_with_it,
    a_bridge_that_mirrors_a_manual_child_waits_again_once_that_is_played,
    artifacts_of_another_project_are_for_who_may_have_them,
    artifacts_of_another_pipeline_are_for_its_family,
    the_picture_of_a_pipeline_says_why_a_bridge_failed,
);
