//! Pipelines that bridges start: children and those of other projects.

use serde_json::{Value, json};
use weir_server::app::{outbox, runners};

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

on_each_database!(
    a_child_pipeline_is_part_of_its_parent,
    a_bridge_that_is_reset_hears_again_of_the_pipeline_that_it_has,
);
