//! What starts later, or from elsewhere, is asked for as what starts at once.

use serde_json::{Value, json};
use weir_server::app::{environments, outbox, overdue};

use super::{Scene, value};
use crate::harness::{Caller, World};
use crate::merge_requests::{commit, project};

const HOUR: i64 = 3600;

impl Scene<'_> {
    /// Mallory pushes this configuration, and Dora lets it run.
    async fn approved(&mut self, files: &[(&str, &str)]) -> Value {
        self.sha = commit(&self.mallory, self.fork, "feature", files).await;
        self.drain().await;
        self.approve().await
    }

    /// Whether the project runs commits of forks.
    async fn forks_run(&self, on: bool) {
        let setting = json!({ "ci_allow_fork_pipelines_to_run_in_parent_project": on });
        self.alice.put(&format!("/projects/{}", self.parent), setting).await.is(200);
    }

    async fn status(&self, pipeline: &Value, name: &str) -> Value {
        self.job(pipeline, name).await["status"].clone()
    }

    async fn bridge(&self, pipeline: &Value) -> Value {
        let project = &pipeline["project_id"];
        let bridges = format!("/projects/{project}/pipelines/{}/bridges", pipeline["id"]);
        self.mallory.get(&bridges).await.is(200)[0].clone()
    }

    async fn end(&self, payload: &Value, state: &str) {
        let body = json!({ "token": payload["token"], "state": state });
        self.world.anonymous().put(&format!("/jobs/{}", payload["id"]), body).await.is(200);
    }
}

async fn a_delayed_job_starts_only_while_its_commit_may_run(world: World) {
    let mut scene = Scene::new(&world).await;
    let soon =
        "soon: { script: evil, rules: [{ if: $CI_MERGE_REQUEST_IID, when: delayed, start_in: 1 minute }] }";
    let pipeline = scene.approved(&[(".gitlab-ci.yml", soon)]).await;
    scene.forks_run(false).await;
    world.pass_secs(60);
    overdue::sweep(&world.ctx).await.unwrap();
    assert_eq!(scene.status(&pipeline, "soon").await, "scheduled");
    scene.forks_run(true).await;
    overdue::sweep(&world.ctx).await.unwrap();
    assert_eq!(scene.status(&pipeline, "soon").await, "pending");
}

/// Alice gave a pipeline rights that she may not give any more: nothing of it starts, now or later.
async fn rights_that_nobody_may_give_any_more_start_nothing(world: World) {
    let scene = Scene::new(&world).await;
    let path = format!("/projects/{}", scene.parent);
    let release = json!({ "name": "release" });
    scene.alice.post(&format!("{path}/protected_branches"), release).await.is(201);
    let jobs = "
        soon: { script: x, rules: [{ if: $CI_MERGE_REQUEST_IID, when: delayed, start_in: 1 minute }] }
        child: { trigger: { include: child.yml }, rules: [{ if: $CI_MERGE_REQUEST_IID }] }
        test: { script: x, rules: [{ if: $CI_MERGE_REQUEST_IID }] }";
    let files = [(".gitlab-ci.yml", jobs), ("child.yml", "inner: { script: x }")];
    commit(&scene.alice, scene.parent, "release", &files).await;
    let body = json!({ "source_branch": "release", "target_branch": "main", "title": "Release" });
    scene.drain().await;
    let made = scene.alice.post(&format!("{path}/merge_requests"), body).await.is(201);
    let pipelines = format!("{path}/merge_requests/{}/pipelines", made["iid"]);
    let pipeline = scene.alice.get(&pipelines).await.is(200)[0].clone();
    assert!(value(&scene.take().await, "SECRET").is_some());

    scene.alice.put(&path, json!({ "protect_merge_request_pipelines": false })).await.is(200);
    outbox::sweep(&world.ctx).await.unwrap();
    let bridge = scene.bridge(&pipeline).await;
    assert_eq!(
        (&bridge["status"], &bridge["downstream_pipeline"]),
        (&json!("failed"), &json!(null)),
        "{bridge}"
    );
    assert_eq!(bridge["failure_reason"], "insufficient_bridge_permissions");
    world.pass_secs(60);
    overdue::sweep(&world.ctx).await.unwrap();
    assert_eq!(scene.status(&pipeline, "soon").await, "scheduled");
    for caller in [&scene.alice, &scene.dora] {
        let again = format!("{path}/pipelines/{}", pipeline["id"]);
        for way in ["retry", "rerun"] {
            caller.post(&format!("{again}/{way}"), json!({})).await.refuses(403, "403 Forbidden");
        }
    }
    // To stop it needs no such rights.
    scene.alice.post(&format!("{path}/pipelines/{}/cancel", pipeline["id"]), json!({})).await.is(200);
}

async fn a_child_runs_again_only_while_its_commit_may_run(world: World) {
    let mut scene = Scene::new(&world).await;
    let child = "child: { trigger: { include: child.yml, strategy: depend }, rules: [{ if: $CI_MERGE_REQUEST_IID }] }";
    let files = [(".gitlab-ci.yml", child), ("child.yml", "inner: { script: evil }")];
    let parent = scene.approved(&files).await;
    outbox::sweep(&world.ctx).await.unwrap();
    scene.end(&scene.take().await, "failed").await;
    outbox::sweep(&world.ctx).await.unwrap();
    let bridge = scene.bridge(&parent).await;
    assert_eq!(bridge["status"], "failed");
    let child = &bridge["downstream_pipeline"];
    let rerun = format!("/projects/{}/pipelines/{}/rerun", scene.parent, parent["id"]);
    for (allowed, inner) in [(false, "failed"), (true, "pending")] {
        // What was asked for while it might is done when it may not.
        scene.forks_run(true).await;
        scene.dora.post(&rerun, json!({ "scope": "failed" })).await.is(201);
        scene.forks_run(allowed).await;
        outbox::sweep(&world.ctx).await.unwrap();
        assert_eq!(scene.status(child, "inner").await, inner);
    }
    scene.forks_run(false).await;
    let refused = "403 Forbidden - The project runs no commits of other projects";
    scene.dora.post(&rerun, json!({ "scope": "failed" })).await.refuses(403, refused);
}

async fn a_stop_job_runs_only_while_its_commit_may_run(world: World) {
    let mut scene = Scene::new(&world).await;
    let jobs = "
        deploy:
          script: evil
          environment: { name: review, on_stop: stop, auto_stop_in: 1 hour }
          rules: [{ if: $CI_MERGE_REQUEST_IID }]
        stop:
          script: evil
          environment: { name: review, action: stop }
          rules: [{ if: $CI_MERGE_REQUEST_IID, when: manual, allow_failure: true }]";
    let pipeline = scene.approved(&[(".gitlab-ci.yml", jobs)]).await;
    scene.end(&scene.take().await, "success").await;
    let path = format!("/projects/{}/environments", scene.parent);
    let id = scene.dora.get(&path).await.is(200)[0]["id"].clone();
    scene.forks_run(false).await;
    let stop = format!("{path}/{id}/stop");
    for caller in [&scene.dora, &scene.alice] {
        caller.post(&stop, json!({})).await.refuses(403, "403 Forbidden");
    }
    let state = async || scene.dora.get(&format!("{path}/{id}")).await.is(200)["state"].clone();
    world.pass_secs(HOUR);
    environments::sweep(&world.ctx).await.unwrap();
    assert_eq!((scene.status(&pipeline, "stop").await, state().await), (json!("manual"), json!("available")));
    scene.forks_run(true).await;
    environments::sweep(&world.ctx).await.unwrap();
    assert_eq!((scene.status(&pipeline, "stop").await, state().await), (json!("pending"), json!("stopping")));
}

async fn a_forks_pipeline_starts_none_in_its_parent(world: World) {
    let mut scene = Scene::new(&world).await;
    let bridge = "up: { trigger: { project: alice/p, branch: main } }";
    scene.sha = commit(&scene.mallory, scene.fork, "feature", &[(".gitlab-ci.yml", bridge)]).await;
    let path = format!("/projects/{}/pipeline", scene.fork);
    let pipeline = scene.mallory.post(&path, json!({ "ref": "feature" })).await.is(201);
    outbox::sweep(&world.ctx).await.unwrap();
    let bridge = scene.bridge(&pipeline).await;
    assert_eq!(bridge["failure_reason"], "insufficient_bridge_permissions", "{bridge}");
    let of_parent = format!("/projects/{}/pipelines?source=pipeline", scene.parent);
    assert_eq!(scene.alice.get(&of_parent).await.column("id"), [0; 0]);
}

async fn a_bridge_has_its_turn_only_while_its_commit_may_run(world: World) {
    let mut scene = Scene::new(&world).await;
    let bridge = "child: { trigger: { include: child.yml }, rules: [{ if: $CI_MERGE_REQUEST_IID }] }";
    let files = [(".gitlab-ci.yml", bridge), ("child.yml", "inner: { script: evil }")];
    let pipeline = scene.approved(&files).await;
    scene.forks_run(false).await;
    outbox::sweep(&world.ctx).await.unwrap();
    let bridge = scene.bridge(&pipeline).await;
    assert_eq!(bridge["failure_reason"], "insufficient_bridge_permissions", "{bridge}");
    assert!(bridge["downstream_pipeline"].is_null());
}

async fn a_job_that_waited_for_a_resource_runs_only_while_its_commit_may(world: World) {
    let mut scene = Scene::new(&world).await;
    let jobs = "
        one: { script: evil, resource_group: r, rules: [{ if: $CI_MERGE_REQUEST_IID }] }
        two: { script: evil, resource_group: r, rules: [{ if: $CI_MERGE_REQUEST_IID }] }";
    let pipeline = scene.approved(&[(".gitlab-ci.yml", jobs)]).await;
    outbox::sweep(&world.ctx).await.unwrap();
    let first = scene.take().await;
    let other = if first["job_info"]["name"] == "one" { "two" } else { "one" };
    assert_eq!(scene.status(&pipeline, other).await, "waiting_for_resource");
    scene.forks_run(false).await;
    scene.end(&first, "success").await;
    outbox::sweep(&world.ctx).await.unwrap();
    assert_eq!(scene.is_refused(&pipeline, other).await["failure_reason"], "unmet_prerequisites");
}

/// A schedule is its owner's, whatever they may do when it is due.
async fn a_schedule_runs_only_while_its_owner_may_change_the_ref(world: World) {
    let scene = Scene::new(&world).await;
    let path = format!("/projects/{}", scene.parent);
    commit(&scene.dora, scene.parent, "nightly", &[(".gitlab-ci.yml", "a: { script: x }")]).await;
    let new = json!({ "description": "x", "ref": "refs/heads/nightly", "cron": "* * * * *" });
    let made = scene.dora.post(&format!("{path}/pipeline_schedules"), new).await.is(201);
    let locked = json!({ "name": "nightly", "push_access_level": 40, "merge_access_level": 40 });
    scene.alice.post(&format!("{path}/protected_branches"), locked).await.is(201);
    let one = format!("{path}/pipeline_schedules/{}", made["id"]);
    scene.dora.post(&format!("{one}/play"), json!({})).await.refuses(403, "403 Forbidden");
    for made in [0, 1] {
        world.pass_secs(HOUR);
        weir_server::app::pipeline_schedules::run::sweep(&world.ctx).await.unwrap();
        let scheduled = scene.alice.get(&format!("{path}/pipelines?source=schedule")).await;
        assert_eq!(scheduled.column("id").len(), made);
        scene.alice.delete(&format!("{path}/protected_branches/nightly")).await;
    }
}

/// Two projects of Alice's, of which the first waits for the second.
async fn two(world: &World) -> (Caller, i64, Value) {
    let alice = world.user("alice").await;
    let upper = "up: { trigger: { project: alice/lower, strategy: depend } }";
    let lower = alice.project("lower", json!({})).await;
    commit(&alice, lower, "main", &[(".gitlab-ci.yml", "inner: { script: x }")]).await;
    alice.delete(&format!("/projects/{lower}/protected_branches/main")).await;
    let upper = project(&alice, upper, json!({})).await;
    outbox::sweep(&world.ctx).await.unwrap();
    let pipeline = alice.get(&format!("/projects/{upper}/pipelines")).await.is(200)[0].clone();
    (alice, lower, pipeline)
}

/// Whoever runs a downstream pipeline again lets the bridge above wait again only if they may change that pipeline.
async fn a_bridge_waits_again_only_for_those_who_may_change_its_pipeline(world: World) {
    let (alice, lower, upper) = two(&world).await;
    let dora = world.user("dora").await;
    alice.invite(&format!("projects/{lower}"), &dora, 30).await;
    let bridges = format!("/projects/{}/pipelines/{}/bridges", upper["project_id"], upper["id"]);
    let bridge = async || alice.get(&bridges).await.is(200)[0].clone();
    let pipeline = bridge().await["downstream_pipeline"]["id"].clone();
    let path = format!("/projects/{lower}/pipelines/{pipeline}");
    for (caller, status) in [(&dora, "canceled"), (&alice, "pending")] {
        alice.post(&format!("{path}/cancel"), json!({})).await.is(200);
        outbox::sweep(&world.ctx).await.unwrap();
        assert_eq!(bridge().await["status"], "canceled");
        caller.post(&format!("{path}/retry"), json!({})).await.is(201);
        outbox::sweep(&world.ctx).await.unwrap();
        assert_eq!(bridge().await["status"], status, "{}", caller.id);
    }
    // What is done on a member's behalf is theirs from then on.
    alice.invite(&format!("projects/{}", upper["project_id"]), &dora, 40).await;
    alice.post(&format!("{path}/cancel"), json!({})).await.is(200);
    outbox::sweep(&world.ctx).await.unwrap();
    dora.post(&format!("{path}/retry"), json!({})).await.is(201);
    outbox::sweep(&world.ctx).await.unwrap();
    let bridge = bridge().await;
    assert_eq!((&bridge["status"], &bridge["user"]["username"]), (&json!("pending"), &json!("dora")));
}

on_each_database!(
    a_delayed_job_starts_only_while_its_commit_may_run,
    rights_that_nobody_may_give_any_more_start_nothing,
    a_child_runs_again_only_while_its_commit_may_run,
    a_stop_job_runs_only_while_its_commit_may_run,
    a_forks_pipeline_starts_none_in_its_parent,
    a_bridge_has_its_turn_only_while_its_commit_may_run,
    a_job_that_waited_for_a_resource_runs_only_while_its_commit_may,
    a_schedule_runs_only_while_its_owner_may_change_the_ref,
    a_bridge_waits_again_only_for_those_who_may_change_its_pipeline,
);
