//! `/projects/:id/statuses/:sha` and `/projects/:id/repository/commits/:sha/statuses`.

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::harness::{Answer, Caller, World, has_shape, is_middle_page};

const SHAPE: &[(&str, &str)] = &[
    ("id", "int"),
    ("sha", "str"),
    ("ref", "str"),
    ("status", "str"),
    ("name", "str"),
    ("target_url", "str|null"),
    ("description", "str|null"),
    ("created_at", "time"),
    ("started_at", "time|null"),
    ("finished_at", "time|null"),
    ("allow_failure", "bool"),
    ("pipeline_id", "int"),
    ("author", "object"),
];

const CONFIG: &str = "build:\n  script: make\n";

/// A project of Alice's with one commit on `main`.
struct Scene {
    alice: Caller,
    id: i64,
    sha: String,
}

impl Scene {
    async fn on(world: &World, message: &str) -> Self {
        let alice = world.user("alice").await;
        let id = alice.project("app", json!({})).await;
        let action = json!({ "action": "create", "file_path": ".gitlab-ci.yml", "content": CONFIG });
        let commit = json!({ "branch": "main", "commit_message": message, "actions": [action] });
        let commit = alice.post(&format!("/projects/{id}/repository/commits"), commit).await.is(201);
        Self { alice, id, sha: commit["id"].as_str().unwrap().to_owned() }
    }

    fn path(&self) -> String {
        format!("/projects/{}/statuses/{}", self.id, self.sha)
    }

    fn list(&self) -> String {
        format!("/projects/{}/repository/commits/{}/statuses", self.id, self.sha)
    }

    async fn report(&self, body: Value) -> Answer {
        self.alice.post(&self.path(), body).await
    }

    async fn pipelines(&self) -> Vec<String> {
        let list = self.alice.get(&format!("/projects/{}/pipelines", self.id)).await.is(200);
        let told = list.as_array().unwrap().iter();
        told.map(|it| ["ref", "source", "status"].map(|name| it[name].as_str().unwrap()).join(" ")).collect()
    }
}

async fn an_external_job_joins_the_newest_pipeline_and_moves_it(world: World) {
    let scene = Scene::on(&world, "First").await;
    let words = json!({
        "state": "running", "name": "ci/deploy", "target_url": "https://other.example/1", "description": "Deploys",
        "coverage": 86.5,
    });
    let made = scene.report(words).await.is(201);
    has_shape(&made, SHAPE);
    assert_eq!(
        (&made["status"], &made["ref"], &made["sha"]),
        (&json!("running"), &json!("main"), &json!(scene.sha))
    );
    assert_eq!(
        (&made["target_url"], &made["description"]),
        (&json!("https://other.example/1"), &json!("Deploys"))
    );
    assert_eq!((&made["coverage"], &made["author"]["username"]), (&json!(86.5), &json!("alice")));
    assert_eq!(scene.pipelines().await, ["main push running"]);

    world.pass_secs(5);
    let ended = scene.report(json!({ "state": "failed", "context": "ci/deploy" })).await.is(201);
    assert_eq!((&ended["id"], &ended["status"]), (&made["id"], &json!("failed")));
    assert_eq!(
        (&ended["description"], &ended["finished_at"]),
        (&json!("Deploys"), &json!("2026-01-05T10:00:05.000Z"))
    );
    let again = scene.report(json!({ "state": "success", "name": "ci/deploy" })).await.is(201);
    assert_ne!(again["id"], made["id"]);
    assert_eq!((&again["description"], &again["coverage"]), (&Value::Null, &Value::Null));

    // Builds and external jobs are statuses; only builds are jobs.
    let names = scene.alice.get(&scene.list()).await.column("name");
    assert_eq!(names, ["build", "ci/deploy"]);
    let all = scene.alice.get(&format!("{}?all=true&name=ci%2Fdeploy&sort=desc", scene.list())).await;
    assert_eq!(all.column("status"), ["success", "failed"]);
    let pipeline = &made["pipeline_id"];
    let jobs = scene.alice.get(&format!("/projects/{}/pipelines/{pipeline}/jobs", scene.id)).await;
    assert_eq!(jobs.column("name"), ["build"]);
    let bridges = scene.alice.get(&format!("/projects/{}/pipelines/{pipeline}/bridges", scene.id)).await;
    assert_eq!(bridges.is(200), json!([]));
    let job = format!("/projects/{}/jobs/{}", scene.id, again["id"]);
    scene.alice.get(&job).await.refuses(404, "404 Not found");
    scene.alice.post(&format!("{job}/retry"), json!({})).await.refuses(404, "404 Not found");

    // No runner gets it, and the pipeline ends with its own jobs.
    let runner = weir_server::app::runners::embed(&world.ctx).await.unwrap();
    let anonymous = world.anonymous();
    let build = anonymous.post("/jobs/request", json!({ "token": runner.expose() })).await.is(201);
    assert_eq!(build["job_info"]["name"], "build");
    let done = json!({ "token": build["token"], "state": "success" });
    anonymous.put(&format!("/jobs/{}", build["id"]), done).await.is(200);
    assert_eq!(scene.pipelines().await, ["main push success"]);
    let build = scene.alice.get(&format!("{}?name=build", scene.list())).await.is(200);
    let url = format!("http://ci.example/alice/app/-/jobs/{}", build[0]["id"]);
    assert_eq!(build[0]["target_url"], url);
}

async fn a_commit_without_a_pipeline_gets_one(world: World) {
    let scene = Scene::on(&world, "First [skip ci]").await;
    // A skipped pipeline is a pipeline; another commit has none.
    let tags = format!("/projects/{}/repository", scene.id);
    let action = json!({ "action": "create", "file_path": "x", "content": "" });
    let body =
        json!({ "branch": "side", "start_branch": "main", "commit_message": "x", "actions": [action] });
    let config = json!({ "ci_config_path": "none.yml" });
    scene.alice.put(&format!("/projects/{}", scene.id), config).await.is(200);
    let side = scene.alice.post(&format!("{tags}/commits"), body).await.is(201);
    let scene = Scene { sha: side["id"].as_str().unwrap().to_owned(), ..scene };
    let made = scene.report(json!({ "state": "pending" })).await.is(201);
    assert_eq!((&made["name"], &made["ref"]), (&json!("default"), &json!("side")));
    assert_eq!(scene.pipelines().await[0], "side external pending");
    let pipeline = format!("/projects/{}/pipelines/{}", scene.id, made["pipeline_id"]);
    let pipeline_of = async |body| scene.report(body).await.is(201)["pipeline_id"].clone();
    assert_eq!(pipeline_of(json!({ "state": "running", "name": "b" })).await, made["pipeline_id"]);
    // Only the other system can stop it.
    assert_eq!(scene.alice.post(&format!("{pipeline}/cancel"), json!({})).await.is(200)["status"], "running");
    let other = pipeline_of(json!({ "state": "success", "ref": "elsewhere" })).await;
    assert_ne!(other, made["pipeline_id"]);
    assert_eq!(pipeline_of(json!({ "state": "canceled", "ref": "elsewhere", "name": "c" })).await, other);
    scene.report(json!({ "state": "success", "pipeline_id": made["pipeline_id"] })).await.is(201);
    let missing = json!({ "state": "success", "pipeline_id": other, "ref": "side" });
    scene.report(missing).await.refuses(404, "404 Pipeline for pipeline_id, sha and ref Not Found");
    let list = scene.alice.get(&format!("{}?ref=elsewhere&order_by=pipeline_id", scene.list())).await;
    assert_eq!(list.column("name"), ["default", "c"]);
}

async fn what_is_wrong_is_refused_in_gitlabs_words(world: World) {
    let scene = Scene::on(&world, "First").await;
    let path = scene.path();
    scene.report(json!({})).await.complains("state is missing");
    scene.report(json!({ "state": "broken" })).await.complains("state does not have a valid value");
    let blocked = json!({ "state": "success", "target_url": "git://x" });
    let message =
        json!({ "message": { "target_url": ["is blocked: Only allowed schemes are http, https"] } });
    scene.report(blocked).await.says(400, &message);
    let long = json!({ "state": "success", "description": "x".repeat(256) });
    let message = json!({ "message": { "description": ["is too long (maximum is 255 characters)"] } });
    scene.report(long).await.says(400, &message);
    let taken = json!({ "state": "success", "name": "build" });
    scene.report(taken).await.says(400, &json!({ "message": { "name": ["has already been taken"] } }));
    scene.report(json!({ "state": "running" })).await.is(201);
    scene.report(json!({ "state": "running" })).await.refuses(
        400,
        "Cannot transition status via :run from :running (Reason(s): Status cannot transition via \"run\")",
    );
    let gone = format!("/projects/{}/statuses/{}", scene.id, "0".repeat(40));
    scene.alice.post(&gone, json!({ "state": "success" })).await.refuses(404, "404 Commit Not Found");
    let gone = format!("/projects/{}/repository/commits/{}/statuses", scene.id, "0".repeat(40));
    scene.alice.get(&gone).await.refuses(404, "404 Commit Not Found");

    let body = json!({ "state": "success" });
    world.anonymous().post(&path, body.clone()).await.refuses(401, "401 Unauthorized");
    world.anonymous().get(&scene.list()).await.refuses(401, "401 Unauthorized");
    let (eve, reporter, dev) = (world.user("eve").await, world.user("rep").await, world.user("dev").await);
    eve.post(&path, body.clone()).await.refuses(404, "404 Project Not Found");
    let project = format!("projects/{}", scene.id);
    scene.alice.invite(&project, &reporter, 20).await;
    reporter.post(&path, body.clone()).await.refuses(403, "403 Forbidden");
    assert_eq!(reporter.get(&scene.list()).await.column("name"), ["build", "default"]);
    // `main` is protected.
    scene.alice.invite(&project, &dev, 30).await;
    dev.post(&path, body.clone()).await.refuses(403, "403 Forbidden");
    scene.alice.delete(&format!("/{project}/protected_branches/main")).await.is(204);
    let own = dev.post(&path, body).await.is(201);
    // What somebody else has reported is not theirs to change: it is a new attempt.
    assert_eq!(own["author"]["username"], "dev");
    let list = scene.alice.get(&format!("{}?all=true&name=default", scene.list())).await;
    assert_eq!(list.column("status"), ["running", "success"]);
}

async fn statuses_come_in_pages_and_are_shown_with_their_pipeline(world: World) {
    let scene = Scene::on(&world, "First").await;
    for name in ["one", "two"] {
        let body = json!({ "state": "pending", "name": name, "target_url": format!("https://other.example/{name}") });
        scene.report(body).await.is(201);
    }
    let page = scene.alice.get(&format!("{}?per_page=1&page=2", scene.list())).await;
    is_middle_page(&page, &scene.list());
    assert_eq!(page.body[0]["name"], "one");
    let stage = scene.alice.get(&format!("{}?stage=external", scene.list())).await;
    assert_eq!(stage.column("name"), ["one", "two"]);
    let browser = Browser::of(&world, &scene.alice).await;
    let pipeline = page.body[0]["pipeline_id"].clone();
    let shown = browser.get(&format!("/alice/app/-/pipelines/{pipeline}")).await.is(200);
    assert!(shown.contains("external") && shown.contains("href=\"https://other.example/one\""), "{shown}");

    // The pipeline is another's: when it is canceled, so are the external jobs, and a retry leaves them.
    let path = format!("/projects/{}/pipelines/{pipeline}", scene.id);
    scene.alice.post(&format!("{path}/cancel"), json!({})).await.is(200);
    assert_eq!(scene.alice.get(&scene.list()).await.column("status"), ["canceled", "canceled", "canceled"]);
    scene.alice.post(&format!("{path}/retry"), json!({})).await.is(201);
    assert_eq!(scene.alice.get(&scene.list()).await.column("status"), ["canceled", "canceled", "pending"]);
}

async fn first_reports_at_once_make_one_pipeline(world: World) {
    let scene = Scene::on(&world, "First").await;
    let report = |name: String| {
        let (alice, path) = (scene.alice.clone(), scene.path());
        let body = json!({ "state": "success", "ref": "other", "name": name });
        tokio::spawn(async move { alice.post(&path, body).await.is(201)["pipeline_id"].clone() })
    };
    let reports: Vec<_> = (0..6).map(|number| report(format!("job {number}"))).collect();
    let mut pipelines = Vec::new();
    for report in reports {
        pipelines.push(report.await.unwrap());
    }
    assert!(pipelines.iter().all(|it| *it == pipelines[0]), "{pipelines:?}");
}

on_each_database!(
    an_external_job_joins_the_newest_pipeline_and_moves_it,
    a_commit_without_a_pipeline_gets_one,
    what_is_wrong_is_refused_in_gitlabs_words,
    statuses_come_in_pages_and_are_shown_with_their_pipeline,
    first_reports_at_once_make_one_pipeline,
);
