//! Traces that runners send.

use serde_json::json;
use weir_api::id::JobId;
use weir_server::app::traces::{self, Appended};
use weir_server::bus::{LOOK_AGAIN, Wake};

use crate::harness::{MAX_TRACE_SIZE, World};

async fn a_trace_over_its_limit_fails_the_job_and_whoever_watches_hears_of_it(world: World) {
    let alice = world.user("alice").await;
    let project = alice.project("app", json!({})).await;
    let content = "build:\n  script: make\n";
    let action = json!({ "action": "create", "file_path": ".gitlab-ci.yml", "content": content });
    let commit = json!({ "branch": "main", "commit_message": "First", "actions": [action] });
    alice.post(&format!("/projects/{project}/repository/commits"), commit).await.is(201);
    let runner = weir_server::app::runners::embed(&world.ctx).await.unwrap();
    let job = world.anonymous().post("/jobs/request", json!({ "token": runner.expose() })).await.is(201);
    let (id, token) = (JobId(job["id"].as_i64().unwrap()), job["token"].as_str().unwrap().into());

    let mut watcher = world.ctx.bus.listen();
    let piece = vec![b'.'; usize::try_from(MAX_TRACE_SIZE).unwrap() + 1];
    let appended = traces::append(&world.ctx, id, &token, 0, piece.into(), false).await.unwrap();
    assert_eq!(appended, Appended::NotProcessing { status: weir_api::JobStatus::Failed });
    tokio::time::timeout(LOOK_AGAIN / 2, watcher.wake(|wake| wake == Wake::Job(id))).await.unwrap();
    let job = alice.get(&format!("/projects/{project}/jobs/{}", id.0)).await.is(200);
    assert_eq!(job["failure_reason"], "trace_size_exceeded");
    assert!(world.ctx.metrics.text().contains("jobs_finished_total{status=\"failed\"} 1"));
}

on_each_database!(a_trace_over_its_limit_fails_the_job_and_whoever_watches_hears_of_it);
