//! `/projects/:id/pipeline_schedules`, and their runs.

use axum::http::Method;
use serde_json::{Value, json};
use weir_server::app::pipeline_schedules::run;

use crate::harness::{Caller, World, has_shape, is_middle_page, with};

const SHAPE: &[(&str, &str)] = &[
    ("id", "int"),
    ("description", "str"),
    ("ref", "str"),
    ("cron", "str"),
    ("cron_timezone", "str"),
    ("next_run_at", "time"),
    ("active", "bool"),
    ("created_at", "time"),
    ("updated_at", "time"),
    ("owner", "object"),
    ("inputs", "array"),
];

const CONFIG: &str = "
nightly: { script: [sweep], only: [schedules] }
pushed: { script: [test], only: [pushes] }
for variable:
  script: [x]
  rules:
    - if: $CI_PIPELINE_SCHEDULE_DESCRIPTION == 'nightly' && $LEVEL == 'deep'
";

/// Alice's project with a configuration on `main`; its id.
async fn project(alice: &Caller, config: &str) -> i64 {
    let id = alice.project("p", json!({})).await;
    let action = json!([{ "action": "create", "file_path": ".gitlab-ci.yml", "content": config }]);
    let body = json!({ "branch": "main", "commit_message": "x [skip ci]", "actions": action });
    alice.post(&format!("/projects/{id}/repository/commits"), body).await.is(201);
    id
}

fn nightly() -> Value {
    json!({ "description": "nightly", "ref": "main", "cron": "0 1 * * *" })
}

/// The schedule at this path was made; its path.
async fn schedule(caller: &Caller, project: i64, more: Value) -> String {
    let path = format!("/projects/{project}/pipeline_schedules");
    let made = caller.post(&path, with(nightly(), more)).await.is(201);
    format!("{path}/{}", made["id"])
}

/// Runs what is due.
async fn sweep(world: &World) {
    run::sweep(&world.ctx).await.unwrap();
}

async fn a_schedule_is_made_changed_and_deleted(world: World) {
    let alice = world.user("alice").await;
    let id = project(&alice, CONFIG).await;
    let path = format!("/projects/{id}/pipeline_schedules");
    let made = alice.post(&path, nightly()).await.is(201);
    has_shape(&made, SHAPE);
    assert_eq!(
        (&made["ref"], &made["cron_timezone"], &made["active"]),
        (&json!("refs/heads/main"), &json!("UTC"), &json!(true))
    );
    assert_eq!(
        (&made["next_run_at"], &made["last_pipeline"]),
        (&json!("2026-01-06T01:00:00.000Z"), &Value::Null)
    );
    let one = format!("{path}/{}", made["id"]);
    let found = alice.get(&one).await.is(200);
    assert_eq!(found, with(made, json!({ "variables": [] })));

    let change = json!({
        "cron": " 30 2 * * * ", "cron_timezone": "Eastern Time (US & Canada)", "active": false,
        "inputs": [{ "name": "a", "value": [1] }, { "name": "b", "value": true }],
    });
    let changed = alice.put(&one, change).await.is(200);
    assert_eq!(
        (&changed["next_run_at"], &changed["cron"]),
        (&json!("2026-01-06T07:30:00.000Z"), &json!("30 2 * * *"))
    );
    assert_eq!(changed["inputs"], json!([{ "name": "a", "value": [1] }, { "name": "b", "value": true }]));
    let change = json!({ "inputs": [{ "name": "a", "destroy": true }, { "name": "b", "value": "x" }] });
    assert_eq!(alice.put(&one, change).await.is(200)["inputs"], json!([{ "name": "b", "value": "x" }]));

    for _ in 0..2 {
        alice.post(&path, nightly()).await.is(201);
    }
    let page = alice.get(&format!("{path}?per_page=1&page=2")).await;
    is_middle_page(&page, &path);
    has_shape(&page.body[0], SHAPE);
    assert_eq!(page.body[0].get("last_pipeline"), None);
    assert_eq!(alice.get(&format!("{path}?scope=inactive")).await.column("id"), [found["id"].clone()]);
    assert_eq!(alice.get(&format!("{path}?scope=active")).await.column("id").len(), 2);
    alice.get(&format!("{path}?scope=some")).await.complains("scope does not have a valid value");
    alice.delete(&one).await.is(204);
    alice.get(&one).await.refuses(404, "404 Pipeline Schedule Not Found");
    alice.delete(&one).await.refuses(404, "404 Pipeline Schedule Not Found");
}

async fn what_is_no_schedule_is_told_in_gitlabs_words(world: World) {
    let alice = world.user("alice").await;
    let id = project(&alice, CONFIG).await;
    let path = format!("/projects/{id}/pipeline_schedules");
    alice.post(&path, json!({})).await.complains("description is missing, ref is missing, cron is missing");
    alice.post(&path, with(nightly(), json!({ "ref": "" }))).await.complains("ref is empty");
    for (change, field, text) in [
        (json!({ "cron": "0 1 * *" }), "cron", "syntax is invalid"),
        (json!({ "cron": "0 0 30 2 *" }), "cron", "syntax is invalid"),
        (json!({ "cron": "0 0 29& 2 mon#1" }), "cron", "syntax is invalid"),
        (json!({ "cron_timezone": "Nowhere" }), "cron_timezone", "syntax is invalid"),
        (json!({ "cron_timezone": "" }), "cron_timezone", "can't be blank"),
        (json!({ "description": "" }), "description", "can't be blank"),
        (json!({ "ref": "nothing" }), "ref", "is ambiguous"),
    ] {
        let refused = json!({ "message": { field: [text] } });
        alice.post(&path, with(nightly(), change)).await.says(400, &refused);
    }
    let both = json!({ "tag_name": "main2", "ref": "main" });
    alice.post(&format!("/projects/{id}/repository/tags"), both).await.is(201);
    let branch = format!("/projects/{id}/repository/branches?branch=main2&ref=main");
    alice.call(Method::POST, &branch, None).await.is(201);
    let ambiguous = json!({ "message": { "ref": ["is ambiguous"] } });
    alice.post(&path, with(nightly(), json!({ "ref": "main2" }))).await.says(400, &ambiguous);
    let tag = alice.post(&path, with(nightly(), json!({ "ref": "refs/tags/main2" }))).await.is(201);
    assert_eq!(tag["ref"], "refs/tags/main2");
}

async fn variables_are_the_schedules_own(world: World) {
    let alice = world.user("alice").await;
    let id = project(&alice, CONFIG).await;
    let one = schedule(&alice, id, json!({})).await;
    let path = format!("{one}/variables");
    let entity = |value: &str, kind: &str| json!({ "variable_type": kind, "key": "LEVEL", "value": value, "raw": false });
    alice.post(&path, json!({ "key": "LEVEL", "value": "deep" })).await.says(201, &entity("deep", "env_var"));
    alice
        .post(&path, json!({ "key": "LEVEL", "value": "x" }))
        .await
        .says(400, &json!({ "message": { "key": ["has already been taken"] } }));
    let bad = json!({ "key": "A-B", "value": "x" });
    let said = json!({ "message": { "key": ["can contain only letters, digits and '_'."] } });
    alice.post(&path, bad).await.says(400, &said);
    alice.post(&path, json!({})).await.complains("key is missing, value is missing");
    let key = format!("{path}/LEVEL");
    let change = json!({ "key": "LEVEL", "value": "flat", "variable_type": "file" });
    alice.put(&key, change).await.says(200, &entity("flat", "file"));
    alice.get(&key).await.says(200, &entity("flat", "file"));
    assert_eq!(alice.get(&one).await.is(200)["variables"], json!([entity("flat", "file")]));
    assert_eq!(alice.get(&path).await.is(200), json!([entity("flat", "file")]));
    alice.delete(&key).await.says(202, &entity("flat", "file"));
    for gone in [alice.get(&key).await, alice.delete(&key).await, alice.put(&key, json!({})).await] {
        gone.refuses(404, "404 Pipeline Schedule Variable Not Found");
    }
}

async fn a_schedule_is_its_owners_and_the_maintainers(world: World) {
    let (alice, dora, bob) = (world.user("alice").await, world.user("dora").await, world.user("bob").await);
    let id = project(&alice, CONFIG).await;
    let one = schedule(&alice, id, json!({})).await;
    let path = format!("/projects/{id}/pipeline_schedules");
    for path in [&path, &one] {
        world.anonymous().get(path).await.refuses(401, "401 Unauthorized");
        dora.get(path).await.refuses(404, "404 Project Not Found");
    }
    alice.invite(&format!("projects/{id}"), &bob, 20).await;
    bob.get(&one).await.is(200);
    bob.post(&path, nightly()).await.refuses(403, "403 Forbidden");

    // A Developer may make and play, not change what another one owns. `main` is closed to Developers.
    alice.invite(&format!("projects/{id}"), &dora, 30).await;
    let refused = json!({ "message": { "base": ["The current user is not authorized to create the pipeline schedule"] } });
    dora.post(&path, nightly()).await.says(400, &refused);
    let branch = format!("/projects/{id}/repository/branches?branch=dev&ref=main");
    alice.call(Method::POST, &branch, None).await.is(201);
    let own = schedule(&dora, id, json!({ "ref": "dev" })).await;
    let refused = json!({ "message": { "base": ["The current user is not authorized to update the pipeline schedule"] } });
    dora.put(&own, json!({ "ref": "main" })).await.says(400, &refused);
    dora.put(&own, json!({ "active": false })).await.is(200);
    assert_eq!(dora.get(&one).await.is(200).get("variables"), None);
    let variable = json!({ "key": "A", "value": "1" });
    dora.post(&format!("{one}/variables"), variable.clone()).await.refuses(403, "403 Forbidden");
    dora.get(&format!("{one}/variables/A")).await.refuses(403, "403 Forbidden");
    dora.put(&one, json!({ "active": false })).await.refuses(403, "403 Forbidden");
    dora.delete(&one).await.refuses(403, "403 Forbidden");
    dora.post(&format!("{one}/play"), json!({})).await.refuses(403, "403 Forbidden");
    dora.post(&format!("{one}/take_ownership"), json!({})).await.refuses(403, "403 Forbidden");

    // A Maintainer takes over before changing anything.
    alice.put(&own, json!({ "active": true })).await.refuses(403, "403 Forbidden");
    let taken = alice.post(&format!("{own}/take_ownership"), json!({})).await.is(201);
    assert_eq!(taken["owner"]["username"], "alice");
    alice.post(&format!("{own}/take_ownership"), json!({})).await.is(200);
    alice.put(&own, json!({ "active": true })).await.is(200);
    alice.post(&format!("{own}/variables"), variable).await.is(201);
    dora.put(&own, json!({ "active": false })).await.refuses(403, "403 Forbidden");
    alice.delete(&own).await.is(204);
}

async fn playing_runs_it_now_for_the_caller(world: World) {
    let (alice, mary) = (world.user("alice").await, world.user("mary").await);
    let id = project(&alice, CONFIG).await;
    alice.invite(&format!("projects/{id}"), &mary, 40).await;
    let one = schedule(&alice, id, json!({})).await;
    let level = json!({ "key": "LEVEL", "value": "deep" });
    alice.post(&format!("{one}/variables"), level).await.is(201);
    let before = alice.get(&one).await.is(200)["next_run_at"].clone();
    mary.post(&format!("{one}/play"), json!({})).await.says(201, &json!({ "message": "201 Created" }));
    let found = alice.get(&one).await.is(200);
    assert_eq!(found["next_run_at"], before);
    assert_eq!(
        (&found["last_pipeline"]["source"], &found["last_pipeline"]["ref"]),
        (&json!("schedule"), &json!("main"))
    );
    let pipeline = format!("/projects/{id}/pipelines/{}", found["last_pipeline"]["id"]);
    assert_eq!(alice.get(&pipeline).await.is(200)["user"]["username"], "mary");
    // The message of the commit says to skip, which is for pushes only.
    let jobs = alice.get(&format!("{pipeline}/jobs")).await.column("name");
    assert_eq!(jobs, ["for variable", "nightly"]);
    let made = alice.get(&format!("{one}/pipelines")).await;
    assert_eq!(made.column("id"), [found["last_pipeline"]["id"].clone()]);

    let runner = weir_server::app::runners::embed(&world.ctx).await.unwrap();
    let job = world.anonymous().post("/jobs/request", json!({ "token": runner.expose() })).await.is(201);
    let value = |key: &str| {
        let variables = job["variables"].as_array().unwrap();
        variables.iter().rfind(|variable| variable["key"] == key).map(|variable| variable["value"].clone())
    };
    assert_eq!(value("CI_PIPELINE_SOURCE"), Some(json!("schedule")));
    assert_eq!(value("CI_PIPELINE_SCHEDULE_DESCRIPTION"), Some(json!("nightly")));
    assert_eq!(value("LEVEL"), Some(json!("deep")));
    assert_eq!(value("GITLAB_USER_LOGIN"), Some(json!("mary")));
}

async fn each_due_run_makes_one_pipeline(world: World) {
    let alice = world.user("alice").await;
    let id = project(&alice, CONFIG).await;
    let one = schedule(&alice, id, json!({ "cron": "*/10 * * * *" })).await;
    schedule(&alice, id, json!({ "cron": "*/10 * * * *", "active": false })).await;
    let made = async || alice.get(&format!("{one}/pipelines")).await.column("id").len();
    let next = async || alice.get(&one).await.is(200)["next_run_at"].clone();
    sweep(&world).await;
    assert_eq!((made().await, next().await), (0, json!("2026-01-05T10:10:00.000Z")));
    world.pass_secs(599);
    sweep(&world).await;
    assert_eq!(made().await, 0);
    world.pass_secs(1);
    // As two servers, at once.
    let (first, second) = tokio::join!(run::sweep(&world.ctx), run::sweep(&world.ctx));
    assert!(first.is_ok() && second.is_ok());
    sweep(&world).await;
    assert_eq!((made().await, next().await), (1, json!("2026-01-05T10:20:00.000Z")));
    // However many runs were missed, they are made up for by one.
    world.pass_secs(3_700);
    sweep(&world).await;
    sweep(&world).await;
    assert_eq!((made().await, next().await), (2, json!("2026-01-05T11:20:00.000Z")));
    let all = alice.get(&format!("/projects/{id}/pipelines?source=schedule")).await.column("id").len();
    assert_eq!(all, 2);
}

async fn a_run_that_a_crash_cut_short_is_made_up_for_once(world: World) {
    let alice = world.user("alice").await;
    let id = project(&alice, CONFIG).await;
    let one = schedule(&alice, id, json!({ "cron": "0 * * * *" })).await;
    let made = async || alice.get(&format!("{one}/pipelines")).await.column("id").len();
    world.pass_secs(3_600);
    let now = world.ctx.now();
    let take = move |tx: &mut weir_store::Tx<'_>| {
        weir_store::pipeline_schedules::take_due(tx, now, now.plus_secs(300), 9)
    };
    let taken: Vec<_> = world.ctx.db.write(take).await.unwrap();
    assert_eq!(taken.len(), 1);
    sweep(&world).await;
    assert_eq!(made().await, 0, "somebody has it");
    world.pass_secs(300);
    sweep(&world).await;
    assert_eq!(made().await, 1);
}

async fn a_run_that_makes_no_pipeline_leaves_the_schedule_active(world: World) {
    let alice = world.user("alice").await;
    let id = project(&alice, "pushed: { script: [x], only: [pushes] }").await;
    let one = schedule(&alice, id, json!({ "cron": "0 * * * *" })).await;
    world.pass_secs(3_600);
    sweep(&world).await;
    let found = alice.get(&one).await.is(200);
    assert_eq!(
        (&found["active"], &found["next_run_at"], &found["last_pipeline"]),
        (&json!(true), &json!("2026-01-05T12:00:00.000Z"), &Value::Null)
    );
    // A configuration that is wrong is kept with a failed pipeline.
    let action = json!([{ "action": "update", "file_path": ".gitlab-ci.yml", "content": "x: [" }]);
    let body = json!({ "branch": "main", "commit_message": "x", "actions": action });
    alice.post(&format!("/projects/{id}/repository/commits"), body).await.is(201);
    world.pass_secs(3_600);
    sweep(&world).await;
    let found = alice.get(&one).await.is(200);
    assert_eq!((&found["active"], &found["last_pipeline"]["status"]), (&json!(true), &json!("failed")));
}

async fn a_schedule_ends_with_its_owners_rights(world: World) {
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    let id = project(&alice, CONFIG).await;
    alice.invite(&format!("projects/{id}"), &bob, 40).await;
    let one = schedule(&bob, id, json!({ "cron": "0 * * * *" })).await;
    let member = format!("/projects/{id}/members/{}", bob.id);
    alice.put(&member, json!({ "access_level": 20 })).await.is(200);
    world.pass_secs(3_600);
    sweep(&world).await;
    let found = alice.get(&one).await.is(200);
    assert_eq!((&found["active"], &found["last_pipeline"]), (&json!(false), &Value::Null));

    alice.put(&member, json!({ "access_level": 40 })).await.is(200);
    let other = schedule(&bob, id, json!({ "cron": "0 * * * *" })).await;
    world.root().post(&format!("/users/{}/block", bob.id), json!({})).await.is(201);
    assert_eq!(alice.get(&other).await.is(200)["active"], false);
    alice.post(&format!("{other}/take_ownership"), json!({})).await.is(201);
    alice.put(&other, json!({ "active": true })).await.is(200);
    world.pass_secs(3_600);
    sweep(&world).await;
    assert_eq!(alice.get(&format!("{other}/pipelines")).await.column("status"), ["pending"]);
}

on_each_database!(
    a_schedule_is_made_changed_and_deleted,
    what_is_no_schedule_is_told_in_gitlabs_words,
    variables_are_the_schedules_own,
    a_schedule_is_its_owners_and_the_maintainers,
    playing_runs_it_now_for_the_caller,
    each_due_run_makes_one_pipeline,
    a_run_that_a_crash_cut_short_is_made_up_for_once,
    a_run_that_makes_no_pipeline_leaves_the_schedule_active,
    a_schedule_ends_with_its_owners_rights,
);
