//! `POST …/pipelines/:pipeline_id/rerun`.

use serde_json::json;

use crate::harness::{Answer, World};
use crate::scene::Scene;

const FAMILY: &str = "
stages: [build, test, deploy]
build: { stage: build, script: x }
child: { stage: test, trigger: { include: child.yml, strategy: depend } }
unit: { stage: test, script: x }
deploy: { stage: deploy, script: x, when: manual }
";
const CHILD: &str = "
inner: { script: x }
other: { script: x }
";

impl Scene<'_> {
    async fn rerun(&self, pipeline: i64, body: serde_json::Value) -> Answer {
        let answer = self.alice.post(&self.path(&format!("/pipelines/{pipeline}/rerun")), body).await;
        self.settle().await;
        answer
    }

    /// The downstream pipeline of the newest attempt of the bridge `child`.
    async fn child(&self, pipeline: i64) -> i64 {
        let bridges = self.alice.get(&self.path(&format!("/pipelines/{pipeline}/bridges"))).await.is(200);
        bridges[0]["downstream_pipeline"]["id"].as_i64().unwrap()
    }

    /// The runner takes every job of these names and ends it well; the values of `COLOR` that they got.
    async fn run_all(&self, names: &[&str]) -> Vec<String> {
        let mut colors = Vec::new();
        let mut missing = names.to_vec();
        while !missing.is_empty() {
            let job = self.take().await;
            let place =
                missing.iter().position(|name| *name == job.name).unwrap_or_else(|| panic!("{}", job.name));
            missing.remove(place);
            colors.push(job.variable("COLOR").to_owned());
            self.end(job, "success").await;
        }
        colors
    }
}

async fn what_failed_runs_again_through_child_pipelines(world: World) {
    let scene = Scene::new(&world, FAMILY).await;
    scene.write("child.yml", CHILD).await;
    let pipeline = scene.run().await;
    scene.next("build", "success").await;
    let child = scene.child(pipeline).await;
    scene.next("unit", "failed").await;
    scene.next("inner", "failed").await;
    scene.next("other", "success").await;
    assert_eq!(scene.jobs(pipeline).await, "build:success child:failed deploy:skipped unit:failed");

    let red = json!({ "scope": "failed", "variables": [{ "key": "COLOR", "value": "red" }] });
    let again = scene.rerun(pipeline, red).await.is(201);
    assert_eq!((&again["id"], &again["source"]), (&json!(pipeline), &json!("api")));
    assert_eq!(scene.jobs(child).await, "inner:pending other:success");
    assert_eq!(scene.child(pipeline).await, child);
    assert_eq!(scene.run_all(&["unit", "inner"]).await, ["red", "red"]);
    assert_eq!(scene.jobs(pipeline).await, "build:success child:success deploy:manual unit:success");
    scene
        .rerun(pipeline, json!({ "scope": "failed" }))
        .await
        .refuses(400, "400 Bad request - No job to run again");
}

async fn all_of_a_pipeline_runs_again_with_other_variables(world: World) {
    let scene = Scene::new(&world, FAMILY).await;
    scene.write("child.yml", CHILD).await;
    let pipeline = scene.run().await;
    scene.run_all(&["build", "unit", "inner", "other"]).await;
    let child = scene.child(pipeline).await;
    let bert = world.user("bert").await;
    scene.alice.invite(&format!("projects/{}", scene.project), &bert, 40).await;
    let path = scene.path(&format!("/pipelines/{pipeline}/rerun"));
    let blue = json!({ "variables": [{ "key": "COLOR", "value": "blue" }] });
    bert.post(&path, blue).await.is(201);
    scene.settle().await;
    assert_eq!(scene.jobs(pipeline).await, "build:pending child:created deploy:created unit:created");
    let build = scene.alice.get(&scene.path(&format!("/jobs/{}", scene.job(pipeline, "build").await))).await;
    assert_eq!(build.is(200)["user"]["id"], bert.id);
    assert_eq!(scene.run_all(&["build", "unit", "inner", "other"]).await, ["blue"; 4]);
    let again = scene.child(pipeline).await;
    assert_ne!(again, child, "a bridge that is repeated starts another pipeline");
    assert_eq!(scene.jobs(pipeline).await, "build:success child:success deploy:manual unit:success");

    // From one job on, with the same variables.
    scene.rerun(pipeline, json!({ "scope": "from", "job": "child" })).await.is(201);
    assert_eq!(scene.jobs(pipeline).await, "build:success child:running deploy:created unit:success");
    assert_eq!(scene.run_all(&["inner", "other"]).await, ["blue"; 2]);
    let unit = scene.job(pipeline, "unit").await;
    scene.rerun(pipeline, json!({ "scope": "from", "job_id": unit })).await.is(201);
    assert_eq!(scene.jobs(pipeline).await, "build:success child:success deploy:created unit:pending");
}

async fn a_rerun_is_refused_with_its_reason(world: World) {
    let scene = Scene::new(&world, "a: { script: x }").await;
    let pipeline = scene.run().await;
    let path = scene.path(&format!("/pipelines/{pipeline}/rerun"));
    let active = "a job that would run again has not ended";
    for body in [json!({}), json!({ "scope": "all" }), json!({ "scope": "from", "job": "a" })] {
        scene.rerun(pipeline, body).await.refuses(409, active);
    }
    scene.next("a", "success").await;
    for (body, complaint) in [
        (json!({ "scope": "some" }), "scope does not have a valid value"),
        (json!({ "scope": "from" }), "job_id, job are missing, at least one parameter must be provided"),
        (json!({ "scope": "from", "job_id": "x" }), "job_id is invalid"),
        (json!({ "variables": [{ "value": "x" }] }), "variables[0][key] is missing"),
    ] {
        scene.rerun(pipeline, body).await.complains(complaint);
    }
    for body in [json!({ "scope": "from", "job": "b" }), json!({ "scope": "from", "job_id": 999 })] {
        scene.rerun(pipeline, body).await.refuses(404, "404 Job Not Found");
    }
    let other = Scene::path(&scene, "/pipelines/999/rerun");
    scene.alice.post(&other, json!({})).await.refuses(404, "404 Not found");

    let bert = world.user("bert").await;
    world.anonymous().post(&path, json!({})).await.refuses(401, "401 Unauthorized");
    bert.post(&path, json!({})).await.refuses(404, "404 Project Not Found");
    // Main is protected: a Developer may not run anything there.
    scene.alice.invite(&format!("projects/{}", scene.project), &bert, 30).await;
    bert.post(&path, json!({})).await.refuses(403, "403 Forbidden");
    // Nor may a Maintainer give variables, if only Owners do.
    let setting = json!({ "ci_pipeline_variables_minimum_override_role": "owner" });
    scene.alice.put(&scene.path(""), setting).await.is(200);
    let carl = world.user("carl").await;
    scene.alice.invite(&format!("projects/{}", scene.project), &carl, 40).await;
    let variables = json!({ "variables": [{ "key": "A", "value": "b" }] });
    carl.post(&path, variables).await.refuses(403, "403 Forbidden");
    carl.post(&path, json!({})).await.is(201);
}

on_each_database!(
    what_failed_runs_again_through_child_pipelines,
    all_of_a_pipeline_runs_again_with_other_variables,
    a_rerun_is_refused_with_its_reason,
);
