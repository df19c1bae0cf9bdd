//! Two servers on one PostgreSQL database: what happens at one is heard at the other at once.

use axum::http::Request;
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::time::timeout;
use tower::ServiceExt as _;
use weir_api::id::{JobId, PipelineId, ProjectId};
use weir_server::app::traces;
use weir_server::bus::{LOOK_AGAIN, Wake};
use weir_server::replicas::Replicas;
use weir_store::{Engine, Error, params};

use crate::browser::Browser;
use crate::harness::{Caller, World, on};

/// Within this a wake-up came; later, a waiter had looked by itself.
const AT_ONCE: std::time::Duration = LOOK_AGAIN.checked_div(2).unwrap();

/// Two servers that talk to each other, and a project.
struct Pair {
    here: World,
    there: World,
    links: [Replicas; 2],
    alice: Caller,
    project: i64,
}

impl Pair {
    async fn of(here: World) -> Self {
        let there = here.replica().await;
        let mut heard = [here.ctx.bus.listen(), there.ctx.bus.listen()];
        let links = [Replicas::start(&here.ctx).await.unwrap(), Replicas::start(&there.ctx).await.unwrap()];
        for listener in &mut heard {
            // A server that begins to listen does not know what it missed.
            timeout(AT_ONCE, listener.wake(|wake| wake == Wake::Everything)).await.unwrap();
        }
        let alice = here.user("alice").await;
        let project = alice.project("app", json!({})).await;
        let content = "build:\n  script: make\n";
        let action = json!({ "action": "create", "file_path": ".gitlab-ci.yml", "content": content });
        let message = "First [skip ci]";
        let commit = json!({ "branch": "main", "commit_message": message, "actions": [action] });
        alice.post(&format!("/projects/{project}/repository/commits"), commit).await.is(201);
        Self { here, there, links, alice, project }
    }

    /// Makes a pipeline with one job at the first server; its id.
    async fn pipeline(&self) -> i64 {
        let path = format!("/projects/{}/pipeline", self.project);
        self.alice.post(&path, json!({ "ref": "main" })).await.is(201)["id"].as_i64().unwrap()
    }

    async fn stop(self) {
        for link in self.links {
            link.stop().await;
        }
    }
}

/// A poll of a runner at a server, once it waits.
async fn waiting(world: &World, runner: &str) -> tokio::task::JoinHandle<Value> {
    let (caller, body) = (world.anonymous(), json!({ "token": runner }));
    let poll = tokio::spawn(async move { caller.post("/jobs/request", body).await.is(201) });
    while world.ctx.metrics.waiting_runners.get() == 0 {
        tokio::task::yield_now().await;
    }
    poll
}

#[tokio::test]
async fn a_runner_that_waits_at_one_server_gets_a_job_of_another_at_once() {
    on(Engine::Postgres, async |here| {
        let pair = Pair::of(here).await;
        let runner = weir_server::app::runners::embed(&pair.here.ctx).await.unwrap();
        let poll = waiting(&pair.there, runner.expose()).await;
        let mut listener = pair.there.ctx.bus.listen();
        let pipeline = pair.pipeline().await;
        timeout(AT_ONCE, listener.wake(|wake| wake == Wake::Queue)).await.unwrap();
        let job = timeout(AT_ONCE, poll).await.unwrap().unwrap();
        assert_eq!(job["job_info"]["name"], "build");

        // What the runner does there, who watches here sees.
        let (id, project) = (JobId(job["id"].as_i64().unwrap()), ProjectId(pair.project));
        let mut listener = pair.here.ctx.bus.listen();
        let token = job["token"].as_str().unwrap();
        traces::append(&pair.there.ctx, id, &token.into(), 0, "made".into(), false).await.unwrap();
        timeout(AT_ONCE, listener.wake(|wake| wake == Wake::Job(id))).await.unwrap();
        let ended = json!({ "token": token, "state": "success" });
        pair.there.anonymous().put(&format!("/jobs/{}", id.0), ended).await.is(200);
        let changed = Wake::Pipeline(project, PipelineId(pipeline));
        timeout(AT_ONCE, listener.wake(|wake| wake == changed)).await.unwrap();
        pair.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_page_of_one_server_follows_a_pipeline_that_changes_at_another() {
    on(Engine::Postgres, async |here| {
        let pair = Pair::of(here).await;
        let pipeline = pair.pipeline().await;
        let browser = Browser::of(&pair.there, &pair.alice).await;
        let path = format!("/alice/app/-/pipelines/{pipeline}/events");
        let router = weir_server::http::router::router(pair.there.ctx.clone());
        let request = Request::get(&path).header("host", "ci.example").header("cookie", browser.cookie());
        let answer = router.oneshot(request.body(axum::body::Body::empty()).unwrap()).await.unwrap();
        let mut events = answer.into_body().into_data_stream();
        let first = events.next().await.unwrap().unwrap();
        assert!(String::from_utf8_lossy(&first).contains("status-pending"), "{first:?}");

        let cancel = format!("/projects/{}/pipelines/{pipeline}/cancel", pair.project);
        pair.alice.post(&cancel, json!({})).await.is(200);
        let next = timeout(AT_ONCE, events.next()).await.unwrap().unwrap().unwrap();
        assert!(String::from_utf8_lossy(&next).contains("status-canceled"), "{next:?}");
        pair.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_lost_connection_is_made_again_and_wakes_everybody() {
    on(Engine::Postgres, async |here| {
        let pair = Pair::of(here).await;
        let mut listener = pair.there.ctx.bus.listen();
        let cut = pair.there.ctx.db.read(|tx| {
            let instance: String =
                tx.query_one("SELECT value FROM settings WHERE key = 'instance'", params![])?.get(0)?;
            let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = $1";
            let listening = format!("LISTEN \"weir {instance}\"");
            Ok::<_, Error>(tx.query(sql, params![listening])?.len())
        });
        assert_eq!(cut.await.unwrap(), 2);
        timeout(LOOK_AGAIN, listener.wake(|wake| wake == Wake::Everything)).await.unwrap();
        pair.pipeline().await;
        timeout(AT_ONCE, listener.wake(|wake| wake == Wake::Queue)).await.unwrap();
        pair.stop().await;
    })
    .await;
}
