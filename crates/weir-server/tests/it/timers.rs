//! Jobs that end, or begin, because a time has come.

use serde_json::json;
use weir_api::id::JobId;
use weir_api::{FailureReason, Timestamp};
use weir_server::app::overdue;
use weir_store::jobs;

use crate::harness::World;
use crate::scene::Scene;

const HOUR: i64 = 3600;
const MINUTE: i64 = 60;

/// The status of a job, and the reason that is stored with it.
async fn job(world: &World, id: i64) -> (&'static str, Option<FailureReason>) {
    let job = world.ctx.db.read(move |tx| jobs::find(tx, JobId(id))).await.unwrap().unwrap();
    (job.status.as_str(), job.failure_reason)
}

/// Nothing becomes of the job until `secs` after `from`, whatever happens to the server. Then, and one microsecond
/// later if the time must have passed, it has this status and reason.
async fn comes(
    scene: &Scene<'_>,
    id: i64,
    from: Timestamp,
    secs: i64,
    (status, reason): (&'static str, Option<FailureReason>),
) {
    let restarted = scene.world.replica().await;
    let before = job(&restarted, id).await;
    let passes = i64::from(reason.is_some());
    let due = Timestamp::from_micros(from.plus_secs(secs).as_micros() + passes);
    assert_eq!(overdue::sweep(&restarted.ctx).await.unwrap(), Some(due), "when {status} {reason:?} comes");
    restarted.set_clock(Timestamp::from_micros(due.as_micros() - 1));
    assert_eq!(overdue::sweep(&restarted.ctx).await.unwrap(), Some(due));
    assert_eq!(job(&restarted, id).await, before);
    restarted.set_clock(due);
    overdue::sweep(&restarted.ctx).await.unwrap();
    assert_eq!(job(&restarted, id).await, (status, reason));
}

async fn pending_jobs_fail_when_nobody_takes_them(world: World) {
    let scene = Scene::new(&world, "a: { script: x }").await;
    let a = async || scene.job(scene.run().await, "a").await;
    let start = world.ctx.now();
    let reason = Some(FailureReason::StuckPendingNoMatchingRunners);
    comes(&scene, a().await, start, HOUR, ("failed", reason)).await;

    // A runner that could take it, and then is gone.
    scene.runner_is_seen().await;
    let start = world.ctx.now();
    comes(&scene, a().await, start, 2 * HOUR, ("failed", reason)).await;

    // One that could take it all the time, and does not.
    let (id, start) = (a().await, world.ctx.now());
    for _ in 0..23 {
        scene.runner_is_seen().await;
        assert_eq!(job(&world, id).await, ("pending", None));
        world.pass_secs(HOUR);
        overdue::sweep(&world.ctx).await.unwrap();
    }
    let reason = Some(FailureReason::StuckPendingWithMatchingRunners);
    comes(&scene, id, start, 24 * HOUR, ("failed", reason)).await;
}

async fn running_jobs_fail_when_their_runner_is_silent_or_late(world: World) {
    let scene = Scene::new(&world, "a: { script: x, timeout: 40 minutes }").await;
    for (canceling, alive, secs, outcome) in [
        (false, false, 30 * MINUTE, ("failed", FailureReason::NoUpdatesRunning)),
        (false, true, 55 * MINUTE, ("failed", FailureReason::ServerTimeoutRunning)),
        (true, false, 30 * MINUTE, ("canceled", FailureReason::NoUpdatesCanceling)),
        (true, true, 55 * MINUTE, ("canceled", FailureReason::ServerTimeoutCanceling)),
    ] {
        scene.run().await;
        let taken = scene.take_with(json!({ "cancel_gracefully": true })).await;
        let start = world.ctx.now();
        if canceling {
            scene.alice.post(&scene.path(&format!("/jobs/{}/cancel", taken.id)), json!({})).await.is(201);
            assert_eq!(job(&world, taken.id).await.0, "canceling");
        }
        if alive {
            for _ in 0..2 {
                world.pass_secs(25 * MINUTE);
                overdue::sweep(&world.ctx).await.unwrap();
                scene.is_alive(&taken).await;
            }
        }
        comes(&scene, taken.id, start, secs, (outcome.0, Some(outcome.1))).await;
    }
}

async fn delayed_jobs_start_in_time_for_a_user_who_may(world: World) {
    let configuration = "a: { script: x, when: delayed, start_in: 10 seconds }";
    let scene = Scene::new(&world, configuration).await;
    let (id, start) = (scene.job(scene.run().await, "a").await, world.ctx.now());
    comes(&scene, id, start, 10, ("pending", None)).await;
    scene.alice.post(&scene.path(&format!("/jobs/{id}/cancel")), json!({})).await.is(201);

    // Nobody starts jobs in an archived project.
    let (id, start) = (scene.job(scene.run().await, "a").await, world.ctx.now());
    scene.alice.post(&scene.path("/archive"), json!({})).await.is(201);
    world.pass_secs(10);
    let stale = ("failed", Some(FailureReason::StaleSchedule));
    comes(&scene, id, start, HOUR + 10, stale).await;
    scene.alice.post(&scene.path("/unarchive"), json!({})).await.is(201);

    // Nor does somebody who is no Developer any more.
    let bert = world.user("bert").await;
    scene.alice.invite(&format!("projects/{}", scene.project), &bert, 30).await;
    scene.alice.call(axum::http::Method::DELETE, &scene.path("/protected_branches/main"), None).await;
    let (body, start) = (json!({ "ref": "main" }), world.ctx.now());
    let pipeline = bert.post(&scene.path("/pipeline"), body).await.is(201)["id"].as_i64().unwrap();
    let id = scene.job(pipeline, "a").await;
    scene.alice.delete(&scene.path(&format!("/members/{}", bert.id))).await.is(204);
    world.pass_secs(10);
    comes(&scene, id, start, HOUR + 10, stale).await;

    // A server that was away for long still starts what was to start.
    let id = scene.job(scene.run().await, "a").await;
    world.pass_secs(5 * HOUR);
    let restarted = world.replica().await;
    overdue::sweep(&restarted.ctx).await.unwrap();
    assert_eq!(job(&restarted, id).await, ("pending", None));
}

on_each_database!(
    pending_jobs_fail_when_nobody_takes_them,
    running_jobs_fail_when_their_runner_is_silent_or_late,
    delayed_jobs_start_in_time_for_a_user_who_may,
);
