//! What one does to a job: play, retry, cancel, unschedule, erase.

use serde_json::{Value, json};

use crate::harness::{Answer, Caller, World};
use crate::scene::Scene;

impl Scene<'_> {
    async fn act(&self, caller: &Caller, job: i64, action: &str, body: Value) -> Answer {
        let answer = caller.post(&self.path(&format!("/jobs/{job}/{action}")), body).await;
        self.settle().await;
        answer
    }

    /// A new member of the project.
    async fn member(&self, name: &str, level: i64) -> Caller {
        let member = self.world.user(name).await;
        self.alice.invite(&format!("projects/{}", self.project), &member, level).await;
        member
    }
}

async fn a_job_is_played_with_variables_and_again_after_its_end(world: World) {
    let scene = Scene::new(&world, "gate: { script: x, when: manual }\nplain: { script: x }").await;
    let pipeline = scene.run().await;
    scene.next("plain", "success").await;
    let (gate, bert) = (scene.job(pipeline, "gate").await, scene.member("bert", 40).await);
    let variables = |value: &str| json!({ "job_variables_attributes": [{ "key": "COLOR", "value": value }] });
    let played = scene.act(&bert, gate, "play", variables("red")).await.is(200);
    assert_eq!(
        (&played["id"], &played["status"], &played["user"]["id"]),
        (&json!(gate), &json!("pending"), &json!(bert.id))
    );
    scene.act(&bert, gate, "play", json!({})).await.refuses(400, "400 Bad request - Unplayable Job");
    let job = scene.take().await;
    assert_eq!(job.variable("COLOR"), "red");
    scene.end(job, "success").await;

    let again = scene.act(&scene.alice, gate, "play", variables("blue")).await.is(200);
    assert_ne!(again["id"], gate);
    let job = scene.take().await;
    assert_eq!((json!(job.id), job.variable("COLOR")), (again["id"].clone(), "blue"));
    scene.end(job, "failed").await;
    scene.act(&scene.alice, again["id"].as_i64().unwrap(), "retry", json!({})).await.is(201);
    assert_eq!(scene.take().await.variable("COLOR"), "blue", "a retry keeps the variables");

    let plain = scene.job(pipeline, "plain").await;
    scene.act(&bert, plain, "play", json!({})).await.refuses(400, "400 Bad request - Unplayable Job");
    let setting = json!({ "ci_pipeline_variables_minimum_override_role": "owner" });
    scene.alice.put(&scene.path(""), setting).await.is(200);
    let manual = scene.job(scene.run().await, "gate").await;
    scene.act(&bert, manual, "play", variables("red")).await.refuses(403, "403 Forbidden");
    scene.act(&bert, manual, "play", json!({})).await.is(200);
}

async fn a_delayed_job_is_unscheduled(world: World) {
    let scene = Scene::new(&world, "a: { script: x, when: delayed, start_in: 1 hour }").await;
    let pipeline = scene.run().await;
    let job = scene.job(pipeline, "a").await;
    assert_eq!(scene.jobs(pipeline).await, "a:scheduled");
    world.anonymous().post(&scene.path(&format!("/jobs/{job}/unschedule")), json!({})).await.is(401);
    let bert = scene.member("bert", 30).await;
    scene.act(&bert, job, "unschedule", json!({})).await.refuses(403, "403 Forbidden");
    let manual = scene.act(&scene.alice, job, "unschedule", json!({})).await.is(200);
    assert_eq!((&manual["id"], &manual["status"]), (&json!(job), &json!("manual")));
    let not = "400 Bad request - Job is not scheduled";
    scene.act(&scene.alice, job, "unschedule", json!({})).await.refuses(400, not);
    scene.act(&scene.alice, 999, "unschedule", json!({})).await.refuses(404, "404 Not found");
    assert_eq!(scene.act(&scene.alice, job, "play", json!({})).await.is(200)["status"], "pending");
}

async fn a_job_is_canceled_gracefully_and_by_force(world: World) {
    let scene = Scene::new(&world, "a: { script: x }").await;
    let developer = scene.member("bert", 30).await;
    for (features, force, expected) in [
        (json!({}), false, "canceled"),
        (json!({ "cancel_gracefully": true }), false, "canceling"),
        (json!({ "cancel_gracefully": true }), true, "canceled"),
    ] {
        scene.run().await;
        let job = scene.take_with(features).await;
        if force {
            let force = json!({ "force": true });
            scene.act(&scene.alice, job.id, "cancel", json!({})).await.is(201);
            scene.act(&developer, job.id, "cancel", force.clone()).await.refuses(403, "403 Forbidden");
            assert_eq!(scene.act(&scene.alice, job.id, "cancel", force).await.is(201)["status"], expected);
            continue;
        }
        let canceled = scene.act(&scene.alice, job.id, "cancel", json!({})).await.is(201);
        assert_eq!(canceled["status"], expected);
        if expected == "canceling" {
            // Whatever the runner says then, the job was canceled. It can be retried before that.
            let again = scene.act(&scene.alice, job.id, "retry", json!({})).await.is(201);
            assert_eq!(again["status"], "pending");
            let id = job.id;
            scene.end(job, "success").await;
            let ended = scene.alice.get(&scene.path(&format!("/jobs/{id}"))).await.is(200);
            assert_eq!(ended["status"], "canceled");
            scene.next("a", "success").await;
        }
    }
}

async fn what_is_retried_runs_for_whoever_retries(world: World) {
    let scene =
        Scene::new(&world, "stages: [a, b]\na: { stage: a, script: x }\nb: { stage: b, script: x }").await;
    let (pipeline, bert) = (scene.run().await, scene.member("bert", 40).await);
    scene.next("a", "failed").await;
    let old = scene.job(pipeline, "a").await;
    for retry in [format!("/jobs/{old}/retry"), format!("/pipelines/{pipeline}/retry")] {
        bert.post(&scene.path(&retry), json!({})).await.is(201);
        let jobs = scene.alice.get(&scene.path(&format!("/pipelines/{pipeline}/jobs"))).await.is(200);
        for job in jobs.as_array().unwrap() {
            assert_eq!(job["user"]["id"], bert.id, "{retry}: {}", job["name"]);
        }
        scene.next("a", "failed").await;
    }
    let first = scene.alice.get(&scene.path(&format!("/jobs/{old}"))).await.is(200);
    assert_eq!(first["user"]["id"], scene.alice.id);
    scene.act(&bert, old, "retry", json!({})).await.refuses(403, "403 Forbidden - Job is not retryable");
}

on_each_database!(
    a_job_is_played_with_variables_and_again_after_its_end,
    a_delayed_job_is_unscheduled,
    a_job_is_canceled_gracefully_and_by_force,
    what_is_retried_runs_for_whoever_retries,
);
