//! A project with a configuration, and a runner that takes its jobs by the runner's protocol.

use axum::http::Method;
use serde_json::{Value, json};
use weir_server::app::outbox;

use crate::harness::{Caller, World};

/// The project of `alice`, and a runner for all jobs.
pub(crate) struct Scene<'w> {
    pub(crate) world: &'w World,
    pub(crate) alice: Caller,
    pub(crate) project: i64,
    runner: String,
}

/// A job that the runner has.
pub(crate) struct Taken {
    pub(crate) id: i64,
    pub(crate) name: String,
    token: String,
    /// The payload's variables.
    variables: Vec<(String, String)>,
}

impl Taken {
    /// A variable of its payload; empty if it has none of this name.
    pub(crate) fn variable(&self, key: &str) -> &str {
        let found = self.variables.iter().rev().find(|(name, _)| name == key);
        found.map_or("", |(_, value)| value)
    }
}

impl<'w> Scene<'w> {
    /// The project has this `.gitlab-ci.yml`, and no pipeline with jobs yet.
    pub(crate) async fn new(world: &'w World, configuration: &str) -> Self {
        let alice = world.user("alice").await;
        let project = alice.project("app", json!({})).await;
        let runner = weir_server::app::runners::embed(&world.ctx).await.unwrap().expose().to_owned();
        let scene = Self { world, alice, project, runner };
        scene.configure(configuration).await;
        scene
    }

    /// Commits another configuration; no pipeline runs for it.
    pub(crate) async fn configure(&self, configuration: &str) {
        self.write(".gitlab-ci.yml", configuration).await;
    }

    /// Commits a file; no pipeline runs for it.
    pub(crate) async fn write(&self, file: &str, content: &str) {
        let path = self.path(&format!("/repository/files/{file}"));
        let body = json!({ "branch": "main", "commit_message": "Write [skip ci]", "content": content });
        let written = self.alice.call(Method::PUT, &path, Some(body.clone())).await;
        if written.status != 200 {
            self.alice.post(&path, body).await.is(201);
        }
    }

    /// A path of the project.
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/projects/{}{rest}", self.project)
    }

    /// A new pipeline of main; its id.
    pub(crate) async fn run(&self) -> i64 {
        let body = json!({ "ref": "main" });
        let pipeline = self.alice.post(&self.path("/pipeline"), body).await.is(201)["id"].as_i64().unwrap();
        self.settle().await;
        pipeline
    }

    /// Does what pipelines have asked of each other.
    pub(crate) async fn settle(&self) {
        outbox::sweep(&self.world.ctx).await.unwrap();
    }

    /// The runner takes the next job; one must be pending.
    pub(crate) async fn take(&self) -> Taken {
        self.take_with(json!({})).await
    }

    /// The same, with these features of the runner.
    pub(crate) async fn take_with(&self, features: Value) -> Taken {
        let request = json!({ "token": self.runner, "info": { "features": features } });
        let payload = self.world.anonymous().post("/jobs/request", request).await.is(201);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let variables = payload["variables"].as_array().unwrap();
        Taken {
            id: payload["id"].as_i64().unwrap(),
            name: text(&payload["job_info"]["name"]),
            token: text(&payload["token"]),
            variables: variables.iter().map(|it| (text(&it["key"]), text(&it["value"]))).collect(),
        }
    }

    /// The runner says that it still runs the job.
    pub(crate) async fn is_alive(&self, job: &Taken) {
        let update = json!({ "token": job.token, "state": "running" });
        self.world.anonymous().put(&format!("/jobs/{}", job.id), update).await.is(200);
    }

    /// The runner gives a sign of life without asking for a job.
    pub(crate) async fn runner_is_seen(&self) {
        let body = json!({ "token": self.runner });
        self.world.anonymous().post("/runners/verify", body).await.is(200);
    }

    /// The runner says how the job ended.
    pub(crate) async fn end(&self, job: Taken, state: &str) {
        let update = json!({ "token": job.token, "state": state, "failure_reason": "script_failure" });
        self.world.anonymous().put(&format!("/jobs/{}", job.id), update).await.is(200);
        self.settle().await;
    }

    /// The runner takes the next job, which must be this one, and ends it.
    pub(crate) async fn next(&self, name: &str, state: &str) {
        let job = self.take().await;
        assert_eq!(job.name, name);
        self.end(job, state).await;
    }

    /// The newest attempts of a pipeline's jobs and bridges, in order of their names: `build:success deploy:manual`.
    pub(crate) async fn jobs(&self, pipeline: i64) -> String {
        let mut jobs = Vec::new();
        for kind in ["jobs", "bridges"] {
            let found =
                self.alice.get(&self.path(&format!("/pipelines/{pipeline}/{kind}?per_page=100"))).await;
            for job in found.is(200).as_array().unwrap() {
                let (name, status) = (job["name"].as_str().unwrap(), job["status"].as_str().unwrap());
                jobs.push(format!("{name}:{status}"));
            }
        }
        jobs.sort_unstable();
        jobs.join(" ")
    }

    /// Somebody plays the newest attempt of a job.
    pub(crate) async fn play(&self, pipeline: i64, name: &str) {
        let job = self.job(pipeline, name).await;
        self.alice.post(&self.path(&format!("/jobs/{job}/play")), json!({})).await.is(200);
        self.settle().await;
    }

    /// The id of the newest attempt of a job or bridge.
    pub(crate) async fn job(&self, pipeline: i64, name: &str) -> i64 {
        for kind in ["jobs", "bridges"] {
            let found =
                self.alice.get(&self.path(&format!("/pipelines/{pipeline}/{kind}?per_page=100"))).await;
            let found = found.is(200);
            if let Some(job) = found.as_array().unwrap().iter().find(|job| job["name"] == name) {
                return job["id"].as_i64().unwrap();
            }
        }
        panic!("pipeline {pipeline} has no {name}")
    }
}
