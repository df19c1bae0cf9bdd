//! `/projects/:id/hooks`, and what a real receiver gets.

use std::cell::RefCell;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use weir_server::app::runners;
use weir_server::background::{self, Tasks};
use weir_server::bus::Wake;

use crate::harness::{Caller, World, has_shape, is_middle_page, with};

const SHAPE: &[(&str, &str)] = &[
    ("id", "int"),
    ("url", "str"),
    ("name", "str|null"),
    ("description", "str|null"),
    ("created_at", "time"),
    ("push_events", "bool"),
    ("tag_push_events", "bool"),
    ("merge_requests_events", "bool"),
    ("repository_update_events", "bool"),
    ("enable_ssl_verification", "bool"),
    ("alert_status", "str"),
    ("disabled_until", "time|null"),
    ("url_variables", "array"),
    ("push_events_branch_filter", "str|null"),
    ("branch_filter_strategy", "str"),
    ("custom_webhook_template", "null"),
    ("custom_headers", "array"),
    ("project_id", "int"),
    ("issues_events", "bool"),
    ("confidential_issues_events", "bool"),
    ("note_events", "bool"),
    ("confidential_note_events", "bool"),
    ("pipeline_events", "bool"),
    ("wiki_page_events", "bool"),
    ("deployment_events", "bool"),
    ("feature_flag_events", "bool"),
    ("job_events", "bool"),
    ("releases_events", "bool"),
    ("resource_access_token_events", "bool"),
];

const CONFIG: &str = "build:\n  stage: test\n  script: make\n";
const ZEROS: &str = "0000000000000000000000000000000000000000";
/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// A server that notes what it is told. `/once` fails the first time, `/down` always, `/slow` never answers.
#[derive(Clone, Default)]
struct Receiver(Arc<Mutex<Vec<(String, HeaderMap, Value)>>>);

impl Receiver {
    /// Starts it; its URL.
    async fn start(&self) -> String {
        let told = self.clone();
        let hear = post(async move |Path(path): Path<String>, headers: HeaderMap, body: String| {
            let body = serde_json::from_str(&body).unwrap();
            let first = told.of(&path).is_empty();
            told.0.lock().unwrap().push((path.clone(), headers, body));
            match path.as_str() {
                "once" if first => (StatusCode::INTERNAL_SERVER_ERROR, "broken"),
                "down" => (StatusCode::BAD_GATEWAY, "down"),
                "slow" => std::future::pending().await,
                _ => (StatusCode::OK, "thanks"),
            }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().route("/{path}", hear);
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    /// What it was told at a path.
    fn of(&self, path: &str) -> Vec<(HeaderMap, Value)> {
        let told = self.0.lock().unwrap();
        told.iter().filter(|it| it.0 == path).map(|it| (it.1.clone(), it.2.clone())).collect()
    }

    /// The same, once there are so many.
    async fn hears(&self, path: &str, count: usize) -> Vec<(HeaderMap, Value)> {
        let start = Instant::now();
        loop {
            let told = self.of(path);
            if told.len() >= count {
                return told;
            }
            assert!(start.elapsed() < PATIENCE, "only {} of {count} at {path}", told.len());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// A project of Alice's, a receiver, and the background of the server.
struct Scene {
    alice: Caller,
    id: i64,
    receiver: Receiver,
    url: String,
    shutdown: CancellationToken,
    tasks: RefCell<Vec<Tasks>>,
}

impl Scene {
    async fn on(world: &World) -> Self {
        let alice = world.user("alice").await;
        let id = alice.project("app", json!({})).await;
        let receiver = Receiver::default();
        let url = receiver.start().await;
        Self { alice, id, receiver, url, shutdown: CancellationToken::new(), tasks: RefCell::default() }
    }

    /// Begins to send.
    fn send(&self, world: &World) {
        self.tasks.borrow_mut().push(background::start(&world.ctx, &self.shutdown));
    }

    /// Sends no more: the database is about to go.
    async fn end(&self) {
        self.shutdown.cancel();
        for tasks in self.tasks.take() {
            tasks.wait().await;
        }
    }

    fn hooks(&self) -> String {
        format!("/projects/{}/hooks", self.id)
    }

    /// Makes a hook at a path of the receiver; its own path.
    async fn hook(&self, path: &str, more: Value) -> String {
        let body = with(json!({ "url": format!("{}/{path}", self.url) }), more);
        let made = self.alice.post(&self.hooks(), body).await.is(201);
        format!("{}/{}", self.hooks(), made["id"])
    }

    /// Commits to a branch; the commit's name.
    async fn commit(&self, branch: &str, file: &str, content: &str) -> String {
        let action = json!({ "action": "create", "file_path": file, "content": content });
        let start = if branch == "main" { Value::Null } else { "main".into() };
        let body = json!({
            "branch": branch, "start_branch": start, "commit_message": format!("Add {file}"), "actions": [action],
        });
        let path = format!("/projects/{}/repository/commits", self.id);
        self.alice.post(&path, body).await.is(201)["id"].as_str().unwrap().to_owned()
    }

    /// The statuses of a hook's log, once it has so many, the newest first.
    async fn logged(&self, hook: &str, count: usize) -> Vec<Value> {
        let start = Instant::now();
        loop {
            let log = self.alice.get(&format!("{hook}/events")).await.column("response_status");
            if log.len() >= count {
                return log;
            }
            assert!(start.elapsed() < PATIENCE, "{log:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn hooks_are_made_shown_changed_and_removed(world: World) {
    let scene = Scene::on(&world).await;
    let (alice, path) = (&scene.alice, scene.hooks());
    let body =
        json!({ "url": "https://hooks.example/x", "token": "secret", "job_events": true, "name": "CI" });
    let made = alice.post(&path, body).await.is(201);
    has_shape(&made, SHAPE);
    assert_eq!(
        (&made["push_events"], &made["job_events"], &made["tag_push_events"]),
        (&json!(true), &json!(true), &json!(false))
    );
    assert_eq!((&made["alert_status"], &made["project_id"]), (&json!("executable"), &json!(scene.id)));
    assert!(made.get("token").is_none());
    let one = format!("{path}/{}", made["id"]);
    assert_eq!(alice.get(&one).await.is(200), made);
    let change = json!({ "url": "https://hooks.example/y", "push_events": false, "push_events_branch_filter": "release/*" });
    let changed = alice.put(&one, change).await.is(200);
    assert_eq!((&changed["push_events"], &changed["job_events"]), (&json!(false), &json!(true)));
    assert_eq!((&changed["url"], &changed["name"]), (&json!("https://hooks.example/y"), &json!("CI")));
    assert_eq!(changed["push_events_branch_filter"], "release/*");

    for _ in 0..2 {
        alice.post(&path, json!({ "url": "https://hooks.example/z" })).await.is(201);
    }
    is_middle_page(&alice.get(&format!("{path}?per_page=1&page=2")).await, &path);
    alice.post(&path, json!({})).await.complains("url is missing");
    for url in ["ftp://x", "nothing"] {
        alice.post(&path, json!({ "url": url })).await.says(422, &json!({ "error": "Invalid url given" }));
    }
    let filter = json!({ "url": "https://x.example", "push_events_branch_filter": "a b" });
    alice.post(&path, filter).await.says(422, &json!({ "error": "Invalid branch filter given" }));
    alice.delete(&one).await.is(204);
    alice.get(&one).await.refuses(404, "404 Not found");

    let (dev, eve) = (world.user("dev").await, world.user("eve").await);
    alice.invite(&format!("projects/{}", scene.id), &dev, 30).await;
    dev.get(&path).await.refuses(403, "403 Forbidden");
    eve.get(&path).await.refuses(404, "404 Project Not Found");
    world.anonymous().get(&path).await.refuses(401, "401 Unauthorized");
}

async fn a_push_its_pipeline_and_its_jobs_are_told_in_order(world: World) {
    let scene = Scene::on(&world).await;
    scene.send(&world);
    let wanted = json!({ "token": "s3cret", "job_events": true, "pipeline_events": true });
    let hook = scene.hook("all", wanted).await;
    let sha = scene.commit("main", ".gitlab-ci.yml", CONFIG).await;
    let told = scene.receiver.hears("all", 4).await;
    let events: Vec<_> =
        told.iter().map(|(headers, _)| headers["x-gitlab-event"].to_str().unwrap()).collect();
    assert_eq!(events, ["Push Hook", "Job Hook", "Job Hook", "Pipeline Hook"]);
    for (headers, _) in &told {
        assert_eq!(headers["x-gitlab-token"], "s3cret");
        assert_eq!(headers["x-gitlab-instance"], "http://ci.example");
        assert_eq!(headers["content-type"], "application/json");
        assert!(headers["user-agent"].to_str().unwrap().starts_with("GitLab/"));
        for uuid in ["x-gitlab-event-uuid", "x-gitlab-webhook-uuid", "idempotency-key"] {
            assert_eq!(headers[uuid].len(), 36, "{uuid}");
        }
    }
    let (push, pipeline) = (&told[0].1, &told[3].1);
    assert_eq!(
        (&push["object_kind"], &push["before"], &push["after"]),
        (&json!("push"), &json!(ZEROS), &json!(sha))
    );
    assert_eq!((&push["ref"], &push["checkout_sha"]), (&json!("refs/heads/main"), &json!(sha)));
    assert_eq!((&push["user_username"], &push["total_commits_count"]), (&json!("alice"), &json!(1)));
    let commit = &push["commits"][0];
    assert_eq!((&commit["id"], &commit["title"]), (&json!(sha), &json!("Add .gitlab-ci.yml")));
    assert_eq!((&commit["added"], &commit["modified"]), (&json!([".gitlab-ci.yml"]), &json!([])));
    assert_eq!(push["project"]["path_with_namespace"], "alice/app");
    assert_eq!(push["repository"]["homepage"], "http://ci.example/alice/app");
    let statuses: Vec<_> = told[1..3].iter().map(|(_, job)| job["build_status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["created", "pending"]);
    let job = &told[2].1;
    assert_eq!(
        (&job["object_kind"], &job["build_name"], &job["build_stage"]),
        (&json!("build"), &json!("build"), &json!("test"))
    );
    assert_eq!((&job["sha"], &job["commit"]["message"]), (&json!(sha), &json!("Add .gitlab-ci.yml")));
    assert_eq!(
        (&job["build_created_at"], &job["retries_count"]),
        (&json!("2026-01-05 10:00:00 UTC"), &json!(0))
    );
    assert_eq!((&job["project_name"], &job["runner"]), (&json!("ALICE / app"), &Value::Null));
    let attributes = &pipeline["object_attributes"];
    assert_eq!((&attributes["status"], &attributes["source"]), (&json!("pending"), &json!("push")));
    assert_eq!(
        (&attributes["stages"], &attributes["detailed_status"]),
        (&json!(["test"]), &json!("pending"))
    );
    assert_eq!(
        (&pipeline["builds"][0]["name"], &pipeline["builds"][0]["when"]),
        (&json!("build"), &json!("on_success"))
    );
    assert_eq!((&pipeline["commit"]["id"], &pipeline["user"]["username"]), (&json!(sha), &json!("alice")));
    let log = scene.alice.get(&format!("{hook}/events")).await.is(200);
    assert_eq!(log[0]["request_headers"]["X-Gitlab-Token"], "[REDACTED]");
    scene.end().await;
}

async fn a_branch_filter_chooses_and_removals_and_tags_are_told(world: World) {
    let scene = Scene::on(&world).await;
    scene.send(&world);
    scene.commit("main", "a", "").await;
    scene.hook("some", json!({ "push_events_branch_filter": "side/*", "tag_push_events": true })).await;
    scene.commit("other", "b", "").await;
    let sha = scene.commit("side/1", "b", "").await;
    let repository = format!("/projects/{}/repository", scene.id);
    scene.alice.delete(&format!("{repository}/branches/side%2F1")).await.is(204);
    scene.alice.post(&format!("{repository}/tags"), json!({ "tag_name": "v1", "ref": "main" })).await.is(201);
    let told = scene.receiver.hears("some", 3).await;
    let refs: Vec<_> = told.iter().map(|(_, push)| push["ref"].as_str().unwrap()).collect();
    assert_eq!(refs, ["refs/heads/side/1", "refs/heads/side/1", "refs/tags/v1"]);
    assert_eq!((&told[0].1["after"], &told[0].1["total_commits_count"]), (&json!(sha), &json!(1)));
    assert_eq!((&told[1].1["before"], &told[1].1["after"]), (&json!(sha), &json!(ZEROS)));
    assert_eq!(
        (&told[2].1["object_kind"], &told[2].0["x-gitlab-event"]),
        (&json!("tag_push"), &"Tag Push Hook".parse().unwrap())
    );
    scene.end().await;
}

async fn what_fails_is_tried_again_and_logged(world: World) {
    let scene = Scene::on(&world).await;
    scene.send(&world);
    let hook = scene.hook("once", json!({})).await;
    scene.commit("main", "a", "").await;
    assert_eq!(scene.logged(&hook, 1).await, ["500"]);
    world.pass_secs(11);
    world.ctx.bus.wake(Wake::Webhooks);
    assert_eq!(scene.logged(&hook, 2).await, ["200", "500"]);
    let told = scene.receiver.of("once");
    assert_eq!(told[0].0["idempotency-key"], told[1].0["idempotency-key"]);
    let log = scene.alice.get(&format!("{hook}/events?status=server_failure")).await.is(200);
    let failed = &log.as_array().unwrap()[0];
    assert_eq!(log.as_array().map(Vec::len), Some(1));
    assert_eq!((&failed["trigger"], &failed["response_body"]), (&json!("push_hooks"), &json!("broken")));
    assert_eq!(failed["request_data"]["object_kind"], "push");
    scene.alice.get(&format!("{hook}/events?status=x")).await.complains("status has a value not allowed");

    let resend = format!("{hook}/events/{}/resend", failed["id"]);
    scene.alice.post(&resend, json!({})).await.says(201, &json!({ "response_status": 200 }));
    assert_eq!(scene.receiver.of("once").len(), 3);
    // What is a week old is forgotten.
    world.pass_secs(8 * 24 * 3600);
    world.ctx.bus.wake(Wake::Webhooks);
    let start = Instant::now();
    while !scene.alice.get(&format!("{hook}/events")).await.column("id").is_empty() {
        assert!(start.elapsed() < PATIENCE, "the log stays");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    scene.end().await;
}

async fn a_slow_receiver_holds_up_nobody_else(world: World) {
    let scene = Scene::on(&world).await;
    scene.send(&world);
    let slow = scene.hook("slow", json!({})).await;
    scene.hook("quick", json!({})).await;
    for file in ["a", "b", "c"] {
        scene.commit("main", file, "").await;
    }
    scene.receiver.hears("slow", 1).await;
    let quick = scene.receiver.hears("quick", 3).await;
    let messages: Vec<_> =
        quick.iter().map(|(_, push)| push["commits"][0]["title"].as_str().unwrap()).collect();
    assert_eq!(messages, ["Add a", "Add b", "Add c"]);
    assert_eq!(scene.receiver.of("slow").len(), 1, "one at a time");
    assert_eq!(scene.alice.get(&format!("{slow}/events")).await.is(200), json!([]));
    scene.end().await;
}

async fn a_server_that_ends_leaves_its_deliveries_to_the_next(world: World) {
    let scene = Scene::on(&world).await;
    scene.hook("all", json!({ "pipeline_events": true })).await;
    scene.commit("main", ".gitlab-ci.yml", CONFIG).await;
    assert!(scene.receiver.of("all").is_empty());
    let next = world.replica().await;
    scene.send(&next);
    let told = scene.receiver.hears("all", 2).await;
    let kinds: Vec<_> = told.iter().map(|(_, body)| body["object_kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["push", "pipeline"]);
    scene.end().await;
}

async fn a_hook_that_fails_is_disabled_until_it_works_again(world: World) {
    let scene = Scene::on(&world).await;
    scene.send(&world);
    let hook = scene.hook("down", json!({})).await;
    for (count, file) in (1..).zip(["a", "b", "c", "d"]) {
        assert_eq!(scene.alice.get(&hook).await.is(200)["alert_status"], "executable");
        scene.commit("main", file, "").await;
        scene.logged(&hook, count).await;
    }
    let disabled = scene.alice.get(&hook).await.is(200);
    assert_eq!(disabled["alert_status"], "temporarily_disabled");
    assert_eq!(disabled["disabled_until"], "2026-01-05T10:01:00.000Z");
    // It is told nothing.
    scene.commit("main", "e", "").await;
    scene.alice.put(&hook, json!({ "url": format!("{}/up", scene.url) })).await.is(200);
    scene
        .alice
        .post(&format!("{hook}/test/push_events"), json!({}))
        .await
        .says(201, &json!({ "message": "201 Created" }));
    assert_eq!(scene.receiver.of("up").len(), 1);
    assert_eq!(scene.alice.get(&hook).await.is(200)["alert_status"], "executable");
    for (trigger, words) in [
        ("job_events", "Ensure the project has CI jobs."),
        ("tag_push_events", "Ensure the project has tags."),
    ] {
        scene.alice.post(&format!("{hook}/test/{trigger}"), json!({})).await.refuses(422, words);
    }
    scene
        .alice
        .post(&format!("{hook}/test/tea"), json!({}))
        .await
        .complains("trigger does not have a valid value");
    scene.end().await;
}

const DEPLOY: &str = "deploy: { script: x, environment: { name: prod/eu, url: 'https://prod.example' } }\n";

/// What was told at a path, once it is so much: the event, and one member of each.
fn told_as<'a>(told: &'a [(HeaderMap, Value)], pointer: &str) -> Vec<(&'a str, &'a str)> {
    let member = |body: &'a Value| body.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    told.iter().map(|(headers, body)| (headers["x-gitlab-event"].to_str().unwrap(), member(body))).collect()
}

async fn deployments_are_told_when_they_begin_and_end(world: World) {
    let scene = Scene::on(&world).await;
    scene.send(&world);
    let wanted = json!({ "push_events": false, "deployment_events": true });
    let hook = scene.hook("deployments", wanted).await;
    let test = format!("{hook}/test/deployment_events");
    scene.alice.post(&test, json!({})).await.refuses(422, "Ensure the project has deployments.");
    let sha = scene.commit("main", ".gitlab-ci.yml", DEPLOY).await;
    let runner = runners::embed(&world.ctx).await.unwrap().expose().to_owned();
    let job = world.anonymous().post("/jobs/request", json!({ "token": runner })).await.is(201);
    let end = json!({ "token": job["token"], "state": "success" });
    world.anonymous().put(&format!("/jobs/{}", job["id"]), end).await.is(200);
    let path = format!("/projects/{}/deployments", scene.id);
    let body = json!({ "environment": "test", "sha": sha, "ref": "main", "tag": false, "status": "running" });
    let reported = scene.alice.post(&path, body).await.is(201);
    let one = format!("{path}/{}", reported["id"]);
    scene.alice.put(&one, json!({ "status": "canceled" })).await.is(200);
    let told = scene.receiver.hears("deployments", 4).await;
    let statuses = ["running", "success", "running", "canceled"].map(|it| ("Deployment Hook", it));
    assert_eq!(told_as(&told, "/status"), statuses);
    let (deployed, canceled) = (&told[1].1, &told[3].1);
    let id = deployed["deployment_id"].as_i64().unwrap();
    assert_eq!(
        json!({ "project": deployed["project"]["path_with_namespace"], "user": deployed["user"]["username"] }),
        json!({ "project": "alice/app", "user": "alice" })
    );
    let mut rest = deployed.clone();
    for member in ["project", "user", "deployment_id"] {
        rest.as_object_mut().unwrap().remove(member);
    }
    let url = |rest: &str| format!("http://ci.example/alice/app/-/{rest}");
    assert_eq!(
        rest,
        json!({
            "object_kind": "deployment",
            "status": "success",
            "status_changed_at": "2026-01-05 10:00:00 +0000",
            "deployable_id": job["id"],
            "deployable_url": url(&format!("jobs/{}", job["id"])),
            "environment": "prod/eu",
            "environment_tier": "production",
            "environment_slug": rest["environment_slug"],
            "environment_external_url": "https://prod.example",
            "short_sha": &sha[..8],
            "user_url": "http://ci.example/alice",
            "commit_url": url(&format!("commit/{sha}")),
            "commit_title": "Add .gitlab-ci.yml",
            "ref": "main",
        })
    );
    assert_eq!(scene.alice.get(&format!("{path}/{id}")).await.is(200)["status"], "success");
    assert_eq!((&canceled["deployable_id"], &canceled["deployable_url"]), (&Value::Null, &Value::Null));
    assert_eq!((&canceled["environment"], &canceled["deployment_id"]), (&json!("test"), &reported["id"]));
    scene.alice.post(&test, json!({})).await.says(201, &json!({ "message": "201 Created" }));
    assert_eq!(scene.receiver.of("deployments")[4].1["status"], "canceled");
    scene.end().await;
}

async fn merge_requests_are_told_from_open_to_merge(world: World) {
    let scene = Scene::on(&world).await;
    scene.send(&world);
    scene.commit("main", "a", "").await;
    scene.commit("side", "b", "").await;
    let wanted = json!({ "push_events": false, "merge_requests_events": true });
    let hook = scene.hook("requests", wanted).await;
    let test = format!("{hook}/test/merge_requests_events");
    scene.alice.post(&test, json!({})).await.refuses(422, "Ensure the project has merge requests.");
    let path = format!("/projects/{}/merge_requests", scene.id);
    let body = json!({ "source_branch": "side", "target_branch": "main", "title": "Bring it" });
    let made = scene.alice.post(&path, body).await.is(201);
    let one = format!("{path}/{}", made["iid"]);
    for change in [
        json!({ "title": "Draft: Bring it", "labels": "x" }),
        json!({ "title": "Draft: Bring it" }),
        json!({ "state_event": "close" }),
        json!({ "state_event": "reopen", "title": "Bring it" }),
    ] {
        scene.alice.put(&one, change).await.is(200);
    }
    let action = json!({ "action": "create", "file_path": "c", "content": "" });
    let body = json!({ "branch": "side", "commit_message": "Add c", "actions": [action] });
    let commits = format!("/projects/{}/repository/commits", scene.id);
    let head = scene.alice.post(&commits, body).await.is(201)["id"].clone();
    scene.receiver.hears("requests", 6).await;
    let merged = scene.alice.put(&format!("{one}/merge"), json!({})).await.is(200);
    let told = scene.receiver.hears("requests", 7).await;
    let actions = ["open", "update", "close", "reopen", "update", "update", "merge"];
    assert_eq!(
        told_as(&told, "/object_attributes/action"),
        actions.map(|action| ("Merge Request Hook", action))
    );
    let opened = &told[0].1;
    assert_eq!(
        (&opened["object_kind"], &opened["event_type"], &opened["changes"]),
        (&json!("merge_request"), &json!("merge_request"), &json!({}))
    );
    assert_eq!(opened["user"]["username"], "alice");
    assert_eq!(opened["project"]["path_with_namespace"], "alice/app");
    assert_eq!(opened["repository"]["homepage"], "http://ci.example/alice/app");
    let attributes = &opened["object_attributes"];
    for member in ["id", "iid", "title", "source_branch", "target_branch", "state", "draft", "description"] {
        assert_eq!(attributes[member], made[member], "{member}");
    }
    assert_eq!((&attributes["url"], &attributes["state_id"]), (&made["web_url"], &json!(1)));
    assert_eq!(attributes["last_commit"]["title"], "Add b");
    assert_eq!(attributes["source"]["path_with_namespace"], attributes["target"]["path_with_namespace"]);
    let changes = &told[1].1["changes"];
    assert_eq!(changes["title"], json!({ "previous": "Bring it", "current": "Draft: Bring it" }));
    assert_eq!(changes["draft"], json!({ "previous": false, "current": true }));
    assert_eq!(changes["labels"]["current"][0]["title"], "x");
    assert_eq!(told[1].1["labels"], changes["labels"]["current"]);
    assert_eq!(told[2].1["changes"]["state_id"], json!({ "previous": 1, "current": 2 }));
    assert_eq!(told[3].1["changes"]["state_id"], json!({ "previous": 2, "current": 1 }));
    let pushed = &told[5].1["object_attributes"];
    assert_eq!((&pushed["oldrev"], &pushed["last_commit"]["id"]), (&made["sha"], &head));
    let merge = &told[6].1["object_attributes"];
    assert_eq!(
        (&merge["state"], &merge["merge_commit_sha"]),
        (&json!("merged"), &merged["merge_commit_sha"])
    );
    scene.alice.post(&test, json!({})).await.says(201, &json!({ "message": "201 Created" }));
    scene.end().await;
}

async fn pipelines_without_jobs_are_told_too(world: World) {
    let scene = Scene::on(&world).await;
    scene.send(&world);
    scene.hook("pipelines", json!({ "push_events": false, "pipeline_events": true })).await;
    let skipped = scene.commit("main", "a [skip ci]", "").await;
    let failed = scene.commit("main", ".gitlab-ci.yml", "build: 1\n").await;
    let told = scene.receiver.hears("pipelines", 2).await;
    let statuses = ["skipped", "failed"].map(|status| ("Pipeline Hook", status));
    assert_eq!(told_as(&told, "/object_attributes/status"), statuses);
    for ((_, body), sha) in told.iter().zip([skipped, failed]) {
        assert_eq!((&body["object_attributes"]["sha"], &body["builds"]), (&json!(sha), &json!([])));
    }
    scene.end().await;
}

async fn a_new_attempt_is_told_from_its_beginning(world: World) {
    let scene = Scene::on(&world).await;
    scene.send(&world);
    scene.commit("main", ".gitlab-ci.yml", CONFIG).await;
    let jobs = format!("/projects/{}/jobs", scene.id);
    let first = scene.alice.get(&jobs).await.is(200)[0]["id"].clone();
    scene.alice.post(&format!("{jobs}/{first}/cancel"), json!({})).await.is(201);
    scene.hook("jobs", json!({ "push_events": false, "job_events": true })).await;
    let second = scene.alice.post(&format!("{jobs}/{first}/retry"), json!({})).await.is(201)["id"].clone();
    scene.alice.post(&format!("{jobs}/{second}/cancel"), json!({})).await.is(201);
    let told = scene.receiver.hears("jobs", 3).await;
    let statuses = ["created", "pending", "canceled"].map(|status| ("Job Hook", status));
    assert_eq!(told_as(&told, "/build_status"), statuses);
    for (_, job) in &told {
        assert_eq!((&job["build_id"], &job["retries_count"]), (&second, &json!(1)));
        assert_eq!(job["user"]["username"], "alice");
    }
    assert_eq!(told[0].1["build_started_at"], Value::Null);
    scene.end().await;
}

on_each_database!(
    hooks_are_made_shown_changed_and_removed,
    a_push_its_pipeline_and_its_jobs_are_told_in_order,
    a_branch_filter_chooses_and_removals_and_tags_are_told,
    what_fails_is_tried_again_and_logged,
    a_slow_receiver_holds_up_nobody_else,
    a_server_that_ends_leaves_its_deliveries_to_the_next,
    a_hook_that_fails_is_disabled_until_it_works_again,
    deployments_are_told_when_they_begin_and_end,
    merge_requests_are_told_from_open_to_merge,
    pipelines_without_jobs_are_told_too,
    a_new_attempt_is_told_from_its_beginning,
);
