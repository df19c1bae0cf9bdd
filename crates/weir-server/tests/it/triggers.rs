//! `/projects/:id/triggers` and `/projects/:id/trigger/pipeline`.

use axum::http::Method;
use serde_json::{Value, json};

use crate::harness::{Caller, World, has_shape, is_middle_page};

const SHAPE: &[(&str, &str)] = &[
    ("id", "int"),
    ("token", "str"),
    ("description", "str"),
    ("created_at", "time"),
    ("updated_at", "time"),
    ("last_used", "time|null"),
    ("expires_at", "time|null"),
    ("owner", "object"),
];

const CONFIG: &str = "
triggered: { script: [deploy], only: [triggers] }
by pipeline: { script: [deploy], only: [pipelines] }
pushed: { script: [test], only: [pushes] }
asked: { script: [test], only: [api] }
";

/// Alice's project with a configuration on `main`; its id.
async fn project(alice: &Caller, config: &str) -> i64 {
    let id = alice.project("p", json!({})).await;
    commit(alice, id, "main", config).await;
    id
}

async fn commit(alice: &Caller, id: i64, branch: &str, config: &str) {
    let action = if branch == "main" { "create" } else { "update" };
    let action = json!([{ "action": action, "file_path": ".gitlab-ci.yml", "content": config }]);
    let body = json!({ "branch": branch, "start_branch": "main", "commit_message": "x", "actions": action });
    alice.post(&format!("/projects/{id}/repository/commits"), body).await.is(201);
}

/// A trigger of the caller's; its whole entity.
async fn trigger(caller: &Caller, id: i64) -> Value {
    caller.post(&format!("/projects/{id}/triggers"), json!({ "description": "deploys" })).await.is(201)
}

async fn names_of_jobs(alice: &Caller, id: i64, pipeline: &Value) -> Vec<Value> {
    alice.get(&format!("/projects/{id}/pipelines/{}/jobs", pipeline["id"])).await.column("name")
}

async fn a_maintainer_makes_changes_and_revokes_tokens(world: World) {
    let alice = world.user("alice").await;
    let id = project(&alice, CONFIG).await;
    let path = format!("/projects/{id}/triggers");
    let made = alice.post(&path, json!({ "description": "one" })).await.is(201);
    has_shape(&made, SHAPE);
    assert_eq!(made["owner"]["username"], "alice");
    assert!(made["token"].as_str().unwrap().starts_with("glptt-"));
    let one = format!("{path}/{}", made["id"]);
    alice.get(&one).await.says(200, &made);
    world.pass_secs(1);
    let changed = alice.put(&one, json!({ "description": "two" })).await.is(200);
    assert_eq!((&changed["description"], &changed["token"]), (&json!("two"), &made["token"]));
    assert_ne!(changed["updated_at"], made["updated_at"]);
    for description in ["three", "four"] {
        alice.post(&path, json!({ "description": description })).await.is(201);
    }
    let page = alice.get(&format!("{path}?per_page=1&page=2")).await;
    is_middle_page(&page, &path);
    has_shape(&page.body[0], SHAPE);
    alice.delete(&one).await.is(204);
    alice.get(&one).await.refuses(404, "404 Not found");
    alice.delete(&one).await.refuses(404, "404 Not found");
    alice.post(&path, json!({})).await.complains("description is missing");
    let long = json!({ "description": "x", "expires_at": "2027-02-01" });
    alice
        .post(&path, long)
        .await
        .refuses(400, "400 Bad request - {\"expires_at\":[\"must be before 2027-01-05\"]}");
}

async fn a_token_is_whole_for_its_owner_alone(world: World) {
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    let id = project(&alice, CONFIG).await;
    alice.invite(&format!("projects/{id}"), &bob, 40).await;
    let made = trigger(&alice, id).await;
    let path = format!("/projects/{id}/triggers/{}", made["id"]);
    let seen = bob.get(&path).await.is(200);
    let short = &made["token"].as_str().unwrap()["glptt-".len()..][..4];
    assert_eq!(seen["token"], short);
    assert_eq!(bob.get(&format!("/projects/{id}/triggers")).await.column("token"), [json!(short)]);
    bob.put(&path, json!({ "description": "mine" })).await.refuses(
        403,
        "403 Forbidden - The current user is not authorized to update the pipeline trigger token",
    );
    bob.delete(&path).await.is(204);
}

async fn only_maintainers_see_tokens(world: World) {
    let (alice, carol) = (world.user("alice").await, world.user("carol").await);
    let id = project(&alice, CONFIG).await;
    let path = format!("/projects/{id}/triggers");
    let made = trigger(&alice, id).await;
    let one = format!("{path}/{}", made["id"]);
    for path in [&path, &one] {
        world.anonymous().get(path).await.refuses(401, "401 Unauthorized");
        carol.get(path).await.refuses(404, "404 Project Not Found");
    }
    alice.invite(&format!("projects/{id}"), &carol, 30).await;
    for path in [&path, &one] {
        carol.get(path).await.refuses(403, "403 Forbidden");
    }
    carol.post(&path, json!({ "description": "x" })).await.refuses(403, "403 Forbidden");
    carol.put(&one, json!({ "description": "x" })).await.is(403);
    carol.delete(&one).await.refuses(403, "403 Forbidden");
}

async fn a_token_starts_pipelines_for_its_owner_without_a_user(world: World) {
    let alice = world.user("alice").await;
    let id = project(&alice, CONFIG).await;
    let token = trigger(&alice, id).await["token"].clone();
    let (nobody, path) = (world.anonymous(), format!("/projects/{id}/trigger/pipeline"));
    // As python-gitlab sends it.
    let body = json!({ "ref": "main", "token": token, "variables": { "ZONE": "eu" }, "inputs": {} });
    let made = nobody.post(&path, body).await.is(201);
    assert_eq!(
        (&made["source"], &made["ref"], &made["user"]["username"]),
        (&json!("trigger"), &json!("main"), &json!("alice"))
    );
    assert_eq!(names_of_jobs(&alice, id, &made).await, ["triggered"]);
    let variables = alice.get(&format!("/projects/{id}/pipelines/{}/variables", made["id"])).await.is(200);
    assert_eq!(
        variables[0],
        json!({
            "variable_type": "env_var", "key": "ZONE", "value": "eu", "raw": false,
        })
    );
    assert_eq!(
        (&variables[1]["key"], &variables[1]["variable_type"]),
        (&json!("TRIGGER_PAYLOAD"), &json!("file"))
    );
    let payload: Value = serde_json::from_str(variables[1]["value"].as_str().unwrap()).unwrap();
    assert_eq!(
        payload,
        json!({
            "id": id.to_string(), "ref": "main", "variables": { "ZONE": "eu" }, "inputs": {},
        })
    );
    let used = alice.get(&format!("/projects/{id}/triggers")).await.column("last_used");
    assert_eq!(used, [made["created_at"].clone()]);
}

async fn a_webhook_starts_pipelines(world: World) {
    let alice = world.user("alice").await;
    let id = project(&alice, CONFIG).await;
    let branch = format!("/projects/{id}/repository/branches?branch=feature/x&ref=main");
    alice.post(&branch, json!({})).await.is(201);
    let token = trigger(&alice, id).await["token"].as_str().unwrap().to_owned();
    let nobody = world.anonymous();
    let path = format!("/projects/{id}/ref/feature%2Fx/trigger/pipeline?token={token}");
    let made = nobody.post(&path, json!({ "object_kind": "note", "ref": "elsewhere" })).await.is(201);
    assert_eq!(made["ref"], "feature/x");
    let variables = alice.get(&format!("/projects/{id}/pipelines/{}/variables", made["id"])).await.is(200);
    let payload: Value = serde_json::from_str(variables[0]["value"].as_str().unwrap()).unwrap();
    assert_eq!(payload["object_kind"], "note");
    assert_eq!(payload.get("token"), None);
    let raw = format!("/projects/{id}/ref/feature/x/trigger/pipeline?token={token}&variables[A]=1");
    assert_eq!(nobody.call(Method::POST, &raw, None).await.is(201)["ref"], "feature/x");
    let elsewhere = format!("/projects/{id}/ref/feature/x/trigger?token={token}");
    assert_eq!(nobody.call(Method::POST, &elsewhere, None).await.status, 404);
}

async fn a_job_sees_what_triggered_it(world: World) {
    let alice = world.user("alice").await;
    let id = project(&alice, "build: { script: [make], only: [triggers, pipelines] }").await;
    let token = trigger(&alice, id).await["token"].as_str().unwrap().to_owned();
    let (nobody, path) = (world.anonymous(), format!("/projects/{id}/trigger/pipeline"));
    nobody.post(&path, json!({ "ref": "main", "token": token })).await.is(201);
    let runner = weir_server::app::runners::embed(&world.ctx).await.unwrap();
    let job = nobody.post("/jobs/request", json!({ "token": runner.expose() })).await.is(201);
    let value = |key: &str| {
        let variables = job["variables"].as_array().unwrap();
        variables.iter().rfind(|variable| variable["key"] == key).map(|variable| variable["value"].clone())
    };
    assert_eq!(value("CI_PIPELINE_SOURCE"), Some(json!("trigger")));
    assert_eq!(value("CI_PIPELINE_TRIGGERED"), Some(json!("true")));
    assert_eq!(value("CI_TRIGGER_SHORT_TOKEN"), Some(json!(&token["glptt-".len()..][..4])));
    assert_eq!(value("GITLAB_USER_LOGIN"), Some(json!("alice")));
    assert!(value("TRIGGER_PAYLOAD").is_some());

    // The job's own token does as well while the job runs, with another source.
    let own = json!({ "ref": "main", "token": job["token"] });
    let made = nobody.post(&path, own.clone()).await.is(201);
    assert_eq!((&made["source"], &made["user"]["username"]), (&json!("pipeline"), &json!("alice")));
    let other = alice.project("other", json!({})).await;
    let elsewhere = format!("/projects/{other}/trigger/pipeline");
    nobody.post(&elsewhere, own.clone()).await.refuses(404, "404 Not Found");
    let done = json!({ "token": job["token"], "state": "success" });
    nobody.put(&format!("/jobs/{}", job["id"]), done).await.is(200);
    nobody.post(&path, own).await.refuses(401, "Job is not running");
}

async fn a_call_that_starts_nothing_is_told_why(world: World) {
    let alice = world.user("alice").await;
    let id = project(&alice, CONFIG).await;
    commit(&alice, id, "broken", "build: { script: 1").await;
    commit(&alice, id, "quiet", "build: { script: [x], only: [pushes] }").await;
    let token = trigger(&alice, id).await["token"].clone();
    let other = alice.project("other", json!({})).await;
    let (nobody, path) = (world.anonymous(), format!("/projects/{id}/trigger/pipeline"));
    let body = |git_ref: &str| json!({ "ref": git_ref, "token": token });
    nobody.post(&path, json!({ "token": token })).await.complains("ref is missing");
    nobody.post(&path, json!({ "ref": "main" })).await.complains("token is missing");
    nobody.post(&path, json!({ "ref": "main", "token": "glptt-wrong" })).await.refuses(404, "404 Not Found");
    nobody
        .post(&format!("/projects/{other}/trigger/pipeline"), body("main"))
        .await
        .refuses(404, "404 Not Found");
    nobody.post("/projects/987654/trigger/pipeline", body("main")).await.refuses(404, "404 Not Found");
    let bad = json!({ "ref": "main", "token": token, "variables": "x" });
    nobody.post(&path, bad).await.complains("variables is invalid");
    let bad = json!({ "ref": "main", "token": token, "variables": { "A": 1 } });
    nobody.post(&path, bad).await.refuses(400, "variables needs to be a map of key-valued strings");
    let base = |text: &str| json!({ "message": { "base": [text] } });
    nobody.post(&path, body("nothing")).await.says(400, &base("Reference not found"));
    let empty =
        "The resulting pipeline would have been empty. Review the rules configuration for the relevant jobs.";
    nobody.post(&path, body("quiet")).await.says(400, &base(empty));
    let failed = nobody.post(&path, body("broken")).await.is(422);
    assert!(failed["message"]["base"][0].is_string(), "{failed}");
    let kept = alice.get(&format!("/projects/{id}/pipelines?source=trigger")).await.column("status");
    assert_eq!(kept, ["failed"]);
}

async fn a_token_is_worth_what_its_owner_may_do(world: World) {
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    let id = project(&alice, CONFIG).await;
    alice.invite(&format!("projects/{id}"), &bob, 40).await;
    let token = trigger(&bob, id).await["token"].clone();
    let nobody = world.anonymous();
    let path = format!("/projects/{id}/trigger/pipeline");
    let body = json!({ "ref": "main", "token": token });
    nobody.post(&path, body.clone()).await.is(201);

    // Who may set no variables still triggers, without any.
    let settings = json!({ "ci_pipeline_variables_minimum_override_role": "owner" });
    alice.put(&format!("/projects/{id}"), settings).await.is(200);
    let made = nobody.post(&path, body.clone()).await.is(201);
    let given = alice.get(&format!("/projects/{id}/pipelines/{}/variables", made["id"])).await;
    assert_eq!(given.column("key"), [] as [Value; 0]);
    let with = json!({ "ref": "main", "token": token, "variables": { "A": "1" } });
    let base = |text: &str| json!({ "message": { "base": [text] } });
    nobody.post(&path, with).await.says(400, &base("Insufficient permissions to set pipeline variables"));

    let member = format!("/projects/{id}/members/{}", bob.id);
    alice.put(&member, json!({ "access_level": 20 })).await.is(200);
    let no_right = base("Insufficient permissions to create a new pipeline");
    nobody.post(&path, body.clone()).await.says(400, &no_right);
    alice.put(&member, json!({ "access_level": 40 })).await.is(200);
    world.root().post(&format!("/users/{}/block", bob.id), json!({})).await.is(201);
    nobody.post(&path, body).await.says(400, &no_right);
}

async fn a_token_ends(world: World) {
    let alice = world.user("alice").await;
    let id = project(&alice, CONFIG).await;
    let body = json!({ "description": "x", "expires_at": "2026-01-06" });
    let token = alice.post(&format!("/projects/{id}/triggers"), body).await.is(201)["token"].clone();
    let (nobody, path) = (world.anonymous(), format!("/projects/{id}/trigger/pipeline"));
    let body = json!({ "ref": "main", "token": token });
    nobody.post(&path, body.clone()).await.is(201);
    world.pass_secs(86_400);
    nobody.post(&path, body).await.refuses(404, "404 Not Found");
}

on_each_database!(
    a_maintainer_makes_changes_and_revokes_tokens,
    a_token_is_whole_for_its_owner_alone,
    only_maintainers_see_tokens,
    a_token_starts_pipelines_for_its_owner_without_a_user,
    a_webhook_starts_pipelines,
    a_job_sees_what_triggered_it,
    a_call_that_starts_nothing_is_told_why,
    a_token_is_worth_what_its_owner_may_do,
    a_token_ends,
);
