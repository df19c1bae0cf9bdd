//! `…/environments`, `…/deployments`, and what jobs make of them.

use axum::http::Method;
use serde_json::{Value, json};
use weir_api::VariableType;
use weir_api::id::VariableId;
use weir_server::app::{environments, runners};
use weir_store::variables::{self, Owner, Variable};

use crate::harness::{Answer, Caller, World, has_shape, is_middle_page};

const ENVIRONMENT: &[(&str, &str)] = &[
    ("id", "int"),
    ("name", "str"),
    ("slug", "str"),
    ("external_url", "str|null"),
    ("created_at", "time"),
    ("updated_at", "time"),
    ("tier", "str"),
    ("state", "str"),
    ("auto_stop_at", "time|null"),
    ("description", "str|null"),
    ("auto_stop_setting", "str"),
];
const DEPLOYMENT: &[(&str, &str)] = &[
    ("id", "int"),
    ("iid", "int"),
    ("ref", "str"),
    ("sha", "str"),
    ("created_at", "time"),
    ("updated_at", "time"),
    ("status", "str"),
    ("user", "object"),
    ("deployable", "object|null"),
];

/// A project with a configuration, its owner, and a runner.
struct Place {
    world: World,
    alice: Caller,
    project: i64,
    runner: String,
}

impl Place {
    async fn new(world: World, config: &str) -> Self {
        let alice = world.user("alice").await;
        let project = alice.project("p", json!({})).await;
        let runner = runners::embed(&world.ctx).await.unwrap().expose().to_owned();
        let place = Self { world, alice, project, runner };
        place.commit("main", ".gitlab-ci.yml", config, json!({})).await;
        place
    }

    fn path(&self, rest: &str) -> String {
        format!("/projects/{}{rest}", self.project)
    }

    /// Commits a file without a pipeline; the commit.
    async fn commit(&self, branch: &str, file: &str, text: &str, more: Value) -> String {
        let action = json!({ "action": "create", "file_path": file, "content": text });
        let commit = json!({ "branch": branch, "commit_message": "[skip ci]", "actions": [action] });
        let commit = crate::harness::with(commit, more);
        let made = self.alice.post(&self.path("/repository/commits"), commit).await.is(201);
        made["id"].as_str().unwrap().to_owned()
    }

    /// Creates a pipeline; its id.
    async fn pipeline(&self, git_ref: &str) -> i64 {
        let made = self.alice.post(&self.path("/pipeline"), json!({ "ref": git_ref })).await;
        made.is(201)["id"].as_i64().unwrap()
    }

    /// The job of a pipeline with a name.
    async fn job(&self, pipeline: i64, name: &str) -> Value {
        let jobs = self.alice.get(&self.path(&format!("/pipelines/{pipeline}/jobs"))).await.is(200);
        jobs.as_array().unwrap().iter().find(|job| job["name"] == name).cloned().unwrap()
    }

    /// Runs the next job; its payload.
    async fn run(&self) -> Value {
        self.end("success").await
    }

    async fn end(&self, state: &str) -> Value {
        let payload = self.take().await;
        self.finish(&payload, state).await;
        payload
    }

    async fn take(&self) -> Value {
        let body = json!({ "token": self.runner, "info": {
            "features": { "variables": true, "artifacts": true, "return_exit_code": true },
        } });
        self.world.anonymous().post("/jobs/request", body).await.is(201)
    }

    async fn finish(&self, payload: &Value, state: &str) {
        let path = format!("/jobs/{}", payload["id"]);
        self.world.anonymous().put(&path, json!({ "token": payload["token"], "state": state })).await.is(200);
    }

    /// The environment with a name, as `GET` of one shows it.
    async fn environment(&self, name: &str) -> Value {
        let query = format!("/environments?name={}", name.replace('/', "%2F"));
        let found = self.alice.get(&self.path(&query)).await.is(200);
        let id = &found[0]["id"];
        self.alice.get(&self.path(&format!("/environments/{id}"))).await.is(200)
    }

    async fn deployments(&self, query: &str) -> Answer {
        self.alice.get(&self.path(&format!("/deployments{query}"))).await
    }
}

fn variable(payload: &Value, key: &str) -> Option<String> {
    let variables = payload["variables"].as_array().unwrap();
    let found = variables.iter().rev().find(|variable| variable["key"] == key)?;
    Some(found["value"].as_str().unwrap().to_owned())
}

const REVIEW: &str = "
review:
  script: deploy
  environment:
    name: review/$CI_COMMIT_REF_SLUG
    url: https://$CI_ENVIRONMENT_SLUG.example.com/$PAGE
    on_stop: stop
    auto_stop_in: 1 day
  variables: {PAGE: start}
stop:
  script: remove
  when: manual
  environment: {name: review/$CI_COMMIT_REF_SLUG, action: stop}
";

async fn a_job_deploys_and_its_stop_job_stops(world: World) {
    let place = Place::new(world, REVIEW).await;
    let pipeline = place.pipeline("main").await;
    let made = place.environment("review/main").await;
    has_shape(&made, ENVIRONMENT);
    assert_eq!((&made["state"], &made["tier"]), (&json!("available"), &json!("development")));
    assert_eq!(made["last_deployment"], Value::Null);
    assert_eq!(place.deployments("").await.column("status"), ["created"]);

    let payload = place.take().await;
    assert_eq!(place.deployments("").await.column("status"), ["running"]);
    let slug = made["slug"].as_str().unwrap();
    assert!(slug.starts_with("review-main-") && slug.len() == 18, "{slug}");
    for (key, value) in [
        ("CI_ENVIRONMENT_NAME", "review/main"),
        ("CI_ENVIRONMENT_SLUG", slug),
        ("CI_ENVIRONMENT_ACTION", "start"),
        ("CI_ENVIRONMENT_TIER", "development"),
        ("CI_ENVIRONMENT_ID", &made["id"].to_string()),
        ("CI_ENVIRONMENT_URL", &format!("https://{slug}.example.com/start")),
    ] {
        assert_eq!(variable(&payload, key).as_deref(), Some(value), "{key}");
    }
    place.finish(&payload, "success").await;
    let there = place.environment("review/main").await;
    let last = &there["last_deployment"];
    has_shape(last, DEPLOYMENT);
    assert_eq!((&last["status"], &last["iid"], &last["ref"]), (&json!("success"), &json!(1), &json!("main")));
    assert_eq!(last["deployable"]["name"], "review");
    assert_eq!(last["deployable"]["pipeline"]["id"], pipeline);
    assert!(last.get("environment").is_none() && there.get("project").is_none());
    assert_eq!(there["external_url"], format!("https://{slug}.example.com/start"));
    assert_eq!(there["auto_stop_at"], "2026-01-06T10:00:00.000Z");

    let stopping = place.path(&format!("/environments/{}/stop", there["id"]));
    assert_eq!(place.alice.post(&stopping, json!({})).await.is(200)["state"], "stopping");
    assert_eq!(place.job(pipeline, "stop").await["status"], "pending");
    let payload = place.run().await;
    assert_eq!(variable(&payload, "CI_ENVIRONMENT_ACTION").as_deref(), Some("stop"));
    let gone = place.environment("review/main").await;
    assert_eq!((&gone["state"], &gone["auto_stop_at"]), (&json!("stopped"), &Value::Null));

    // The next deployment brings it back.
    place.pipeline("main").await;
    place.run().await;
    assert_eq!(place.environment("review/main").await["state"], "available");
    assert_eq!(place.deployments("?sort=desc").await.column("iid"), [2, 1]);
}

async fn an_environment_stops_by_itself_when_its_time_has_come(world: World) {
    let place = Place::new(world, REVIEW).await;
    let pipeline = place.pipeline("main").await;
    place.run().await;
    place.world.pass_secs(24 * 3600 - 1);
    let due = environments::sweep(&place.world.ctx).await.unwrap().unwrap();
    assert_eq!(due, place.world.ctx.now().plus_secs(1));
    assert_eq!(place.environment("review/main").await["state"], "available");
    place.world.pass_secs(1);
    assert_eq!(environments::sweep(&place.world.ctx).await.unwrap(), None);
    assert_eq!(place.environment("review/main").await["state"], "stopping");
    assert_eq!(place.job(pipeline, "stop").await["status"], "pending");
}

async fn a_deleted_branch_takes_its_environments_along(world: World) {
    let place = Place::new(world, REVIEW).await;
    place.commit("topic", "a", "a", json!({ "start_branch": "main" })).await;
    let pipeline = place.pipeline("topic").await;
    place.run().await;
    place.pipeline("main").await;
    place.run().await;
    place.alice.delete(&place.path("/repository/branches/topic")).await.is(204);
    weir_server::app::outbox::sweep(&place.world.ctx).await.unwrap();
    assert_eq!(place.job(pipeline, "stop").await["status"], "pending");
    assert_eq!(place.environment("review/topic").await["state"], "stopping");
    assert_eq!(place.environment("review/main").await["state"], "available");
}

async fn a_deployment_follows_each_attempt_of_its_job(world: World) {
    let config = "deploy: {script: x, environment: production}\n\
                  later: {script: x, when: manual, environment: later}";
    let place = Place::new(world, config).await;
    let pipeline = place.pipeline("main").await;
    assert_eq!(place.deployments("?environment=later").await.column("status"), ["blocked"]);
    place.end("failed").await;
    assert_eq!(place.deployments("?environment=production").await.column("status"), ["failed"]);
    assert_eq!(place.environment("production").await["last_deployment"], Value::Null);
    let failed = place.job(pipeline, "deploy").await;
    let retried =
        place.alice.post(&place.path(&format!("/jobs/{}/retry", failed["id"])), json!({})).await.is(201);
    let both = place.deployments("?environment=production").await;
    assert_eq!(both.column("status"), ["failed", "created"]);
    place.run().await;
    let last = place.environment("production").await["last_deployment"].clone();
    assert_eq!(last["deployable"]["id"], retried["id"]);
    assert_eq!(place.deployments("?status=success").await.column("id"), [last["id"].clone()]);
    let later = place.job(pipeline, "later").await;
    place.alice.post(&place.path(&format!("/jobs/{}/play", later["id"])), json!({})).await.is(200);
    place.alice.post(&place.path(&format!("/jobs/{}/cancel", later["id"])), json!({})).await.is(201);
    assert_eq!(place.deployments("?environment=later").await.column("status"), ["canceled"]);
}

async fn a_job_without_a_possible_environment_fails(world: World) {
    let place = Place::new(world, "a: {script: x, environment: '$NOTHING'}\nb: {script: x}").await;
    let pipeline = place.pipeline("main").await;
    let job = place.job(pipeline, "a").await;
    assert_eq!(
        (&job["status"], &job["failure_reason"]),
        (&json!("failed"), &json!("environment_creation_failure"))
    );
    assert_eq!(place.job(pipeline, "b").await["status"], "pending");
    assert_eq!(place.alice.get(&place.path("/environments")).await.is(200), json!([]));
}

async fn an_outdated_deployment_does_not_run(world: World) {
    let place = Place::new(
        world,
        "stages: [build, deploy]\nwait: {stage: build, script: x}\n\
         deploy: {stage: deploy, script: x, environment: production}",
    )
    .await;
    let old = place.pipeline("main").await;
    place.commit("main", "b", "b", json!({})).await;
    let new = place.pipeline("main").await;
    let (first, second) = (place.take().await, place.take().await);
    place.finish(&second, "success").await;
    place.run().await;
    assert_eq!(place.job(new, "deploy").await["status"], "success");
    place.finish(&first, "success").await;
    let outdated = place.job(old, "deploy").await;
    assert_eq!(
        (&outdated["status"], &outdated["failure_reason"]),
        (&json!("failed"), &json!("failed_outdated_deployment_job"))
    );
    assert_eq!(place.deployments("").await.column("status"), ["failed", "success"]);
    // A rollback is a new deployment; one that would run the old job as it is, is not.
    let path = place.path(&format!("/jobs/{}/retry", outdated["id"]));
    place.alice.post(&path, json!({})).await.is(201);
    assert_eq!(place.job(old, "deploy").await["status"], "pending");
    place.run().await;

    place
        .alice
        .put(&place.path(""), json!({ "ci_forward_deployment_rollback_allowed": false }))
        .await
        .is(200);
    let path = place.path(&format!("/jobs/{}/retry", place.job(new, "deploy").await["id"]));
    place.alice.post(&path, json!({})).await.refuses(403, "403 Forbidden");
}

async fn jobs_see_the_variables_of_their_environment(world: World) {
    let config = "a: {script: x, environment: review/a, rules: [{if: '$WHERE == \"review\"'}]}\n\
                  b: {script: x, rules: [{if: '$WHERE == \"any\"'}]}";
    let place = Place::new(world, config).await;
    for (value, scope) in [("any", "*"), ("review", "review/*")] {
        let ctx = &place.world.ctx;
        let place_of_key = format!("variables/project/{}/WHERE", place.project);
        let variable = Variable {
            id: VariableId(0),
            key: "WHERE".to_owned(),
            value: ctx.keys.seal(&place_of_key, value.as_bytes()).unwrap(),
            variable_type: VariableType::EnvVar,
            protected: false,
            masked: false,
            hidden: false,
            raw: false,
            environment_scope: scope.to_owned(),
            description: None,
        };
        let owner = Owner::Project(place.project.into());
        ctx.db.write(move |tx| variables::insert(tx, owner, &variable).map(drop)).await.unwrap();
    }
    let pipeline = place.pipeline("main").await;
    for name in ["a", "b"] {
        assert_eq!(place.job(pipeline, name).await["status"], "pending");
    }
    let wheres = [place.run().await, place.run().await].map(|payload| variable(&payload, "WHERE"));
    assert_eq!(wheres, [Some("review".to_owned()), Some("any".to_owned())]);
}

async fn environments_are_made_changed_and_deleted(world: World) {
    let place = Place::new(world, "a: {script: x}").await;
    let (alice, path) = (&place.alice, place.path("/environments"));
    let new = json!({ "name": "Live/EU", "external_url": "https://eu.example.com", "description": "d" });
    let made = alice.post(&path, new).await.is(201);
    has_shape(&made, ENVIRONMENT);
    has_shape(&made["project"], &[("id", "int"), ("path_with_namespace", "str")]);
    assert!(made["slug"].as_str().unwrap().starts_with("live-eu-"));
    assert_eq!((&made["tier"], &made["auto_stop_setting"]), (&json!("production"), &json!("always")));
    for name in ["staging", "staging-2"] {
        alice.post(&path, json!({ "name": name, "tier": "other" })).await.is(201);
    }
    assert_eq!(alice.get(&path).await.column("name"), ["Live/EU", "staging", "staging-2"]);
    assert_eq!(alice.get(&format!("{path}?search=STAG")).await.column("name"), ["staging", "staging-2"]);
    assert_eq!(alice.get(&format!("{path}?name=staging")).await.column("tier"), ["other"]);
    is_middle_page(&alice.get(&format!("{path}?per_page=1&page=2")).await, &path);

    let one = format!("{path}/{}", made["id"]);
    let change = json!({ "external_url": null, "tier": "staging", "auto_stop_setting": "with_action" });
    let changed = alice.put(&one, change).await.is(200);
    assert_eq!((&changed["external_url"], &changed["tier"]), (&Value::Null, &json!("staging")));
    alice.delete(&one).await.refuses(403, "403 Forbidden");
    // Without a stop job it stays, unless it is made to stop.
    assert_eq!(alice.post(&format!("{one}/stop"), json!({})).await.is(200)["state"], "available");
    assert_eq!(
        alice.post(&format!("{one}/stop"), json!({ "force": true })).await.is(200)["state"],
        "stopped"
    );
    assert_eq!(alice.get(&format!("{path}?states=stopped")).await.column("name"), ["Live/EU"]);
    alice.delete(&one).await.is(204);
    alice.get(&one).await.refuses(404, "404 Not found");

    for (body, complaint) in [
        (json!({}), "name is missing"),
        (json!({ "name": "a", "tier": "x" }), "tier does not have a valid value"),
        (json!({ "name": "a", "slug": "a" }), "slug is automatically generated and cannot be changed"),
    ] {
        alice.post(&path, body).await.complains(complaint);
    }
    for (body, field, message) in [
        (json!({ "name": "" }), "name", "can't be blank"),
        (json!({ "name": "staging" }), "name", "has already been taken"),
        (
            json!({ "name": "a", "external_url": "javascript:x" }),
            "external_url",
            "javascript scheme is not allowed",
        ),
    ] {
        alice.post(&path, body).await.says(400, &json!({ "message": { field: [message] } }));
    }
    alice
        .get(&format!("{path}?search=st"))
        .await
        .refuses(400, "400 Bad request - Search query is less than 3 characters");
    alice.get(&format!("{path}?states=x")).await.complains("states does not have a valid value");
    alice
        .get(&format!("{path}?name=a&search=staging"))
        .await
        .complains("name, search cannot be used together");
}

async fn stale_environments_are_stopped_and_old_review_apps_deleted(world: World) {
    let place = Place::new(world, "a: {script: x}").await;
    let (alice, path) = (&place.alice, place.path("/environments"));
    for name in ["review/1", "review/2", "production"] {
        alice.post(&path, json!({ "name": name })).await.is(201);
    }
    place.world.pass_secs(31 * 24 * 3600);
    alice.post(&path, json!({ "name": "review/3" })).await.is(201);
    let stale = format!("{path}/stop_stale");
    alice.post(&stale, json!({})).await.complains("before is missing");
    let too_late = json!({ "before": "2026-02-05T00:00:00Z" });
    alice.post(&stale, too_late).await.refuses(400, "400 Bad request - Invalid Date");
    let before = json!({ "before": "2026-01-20T00:00:00Z" });
    let message = "Successfully scheduled stale environments to stop";
    alice.post(&stale, before).await.says(200, &json!({ "message": message }));
    let states = alice.get(&path).await.column("state");
    assert_eq!(states, ["stopped", "stopped", "stopped", "available"]);

    let apps = format!("{path}/review_apps");
    let rehearsal = alice.delete(&apps).await.is(200);
    assert_eq!(rehearsal["unprocessable_entries"], json!([]));
    let names = |answer: &Value| -> Vec<Value> {
        answer["scheduled_entries"].as_array().unwrap().iter().map(|entry| entry["name"].clone()).collect()
    };
    assert_eq!(names(&rehearsal), ["review/1", "review/2"]);
    let limited = alice.delete(&format!("{apps}?limit=1&dry_run=false")).await.is(200);
    assert_eq!(names(&limited), ["review/1"]);
    alice.delete(&format!("{apps}?limit=0")).await.complains("limit does not have a valid value");
    let none = alice.delete(&format!("{apps}?before=2025-01-01T00:00:00Z")).await.is(400);
    assert!(none["message"].as_str().unwrap().starts_with("No environments found"), "{none}");
    place.world.pass_secs(7 * 24 * 3600);
    environments::sweep(&place.world.ctx).await.unwrap();
    assert_eq!(alice.get(&path).await.column("name"), ["review/2", "production", "review/3"]);
}

async fn deployments_are_reported(world: World) {
    let place = Place::new(world, "a: {script: x}").await;
    let (alice, path) = (&place.alice, place.path("/deployments"));
    let sha = alice.get(&place.path("/repository/commits/main")).await.is(200)["id"].clone();
    let new = json!({
        "environment": "production", "sha": sha, "ref": "main", "tag": false, "status": "running",
    });
    let made = alice.post(&path, new.clone()).await.is(201);
    has_shape(&made, DEPLOYMENT);
    has_shape(&made["environment"], &[("id", "int"), ("name", "str"), ("slug", "str")]);
    assert_eq!((&made["status"], &made["deployable"]), (&json!("running"), &Value::Null));
    let one = format!("{path}/{}", made["id"]);
    alice.delete(&one).await.refuses(400, "Cannot destroy running deployment");
    place.world.pass_secs(60);
    let done = alice.put(&one, json!({ "status": "success" })).await.is(200);
    assert_eq!(done["status"], "success");
    assert_eq!(done["updated_at"], "2026-01-05T10:01:00.000Z");
    let again = alice.put(&one, json!({ "status": "running" })).await;
    again.says(400, &json!({ "message": { "status": ["cannot transition via \"run\""] } }));
    assert_eq!(place.environment("production").await["last_deployment"]["id"], made["id"]);
    alice.delete(&one).await.refuses(400, "Deployment currently deployed to environment");
    assert_eq!(alice.get(&format!("{one}/merge_requests")).await.is(200), json!([]));

    let mut other = new.clone();
    other["status"] = json!("failed");
    let failed = alice.post(&path, other.clone()).await.is(201);
    alice.post(&path, other).await.is(201);
    is_middle_page(&alice.get(&format!("{path}?per_page=1&page=2")).await, &path);
    assert_eq!(alice.get(&format!("{path}?status=success")).await.column("iid"), [1]);
    let late = format!("{path}?order_by=updated_at&sort=asc&updated_after=2026-01-05T10:00:30Z");
    assert_eq!(alice.get(&late).await.column("iid"), [3, 2, 1]);
    alice.delete(&format!("{path}/{}", failed["id"])).await.is(204);
    alice.get(&format!("{path}/{}", failed["id"])).await.refuses(404, "404 Not found");

    for (field, value, expected) in [
        ("sha", json!("f".repeat(40)), json!({ "sha": ["The commit does not exist"] })),
        ("ref", json!("nowhere"), json!({ "ref": ["The branch or tag does not exist"] })),
    ] {
        let mut wrong = new.clone();
        wrong[field] = value;
        alice.post(&path, wrong).await.says(400, &json!({ "message": expected }));
    }
    let mut wrong = new.clone();
    wrong["status"] = json!("blocked");
    alice.post(&path, wrong).await.complains("status does not have a valid value");
    alice
        .get(&format!("{path}?finished_after=2026-01-01T00:00:00Z"))
        .await
        .refuses(400, "400 Bad request - `finished_at` filter and `finished_at` sorting must be paired");
}

async fn only_members_change_environments(world: World) {
    let place = Place::new(world, REVIEW).await;
    place.pipeline("main").await;
    let bert = place.world.user("bert").await;
    let deployment = place.deployments("").await.column("id")[0].clone();
    let environment = place.environment("review/main").await["id"].clone();
    let routes = [
        (Method::GET, "/environments".to_owned(), 20),
        (Method::GET, format!("/environments/{environment}"), 20),
        (Method::POST, format!("/environments/{environment}/stop"), 30),
        (Method::PUT, format!("/environments/{environment}"), 30),
        (Method::POST, "/environments/stop_stale".to_owned(), 40),
        (Method::GET, "/deployments".to_owned(), 20),
        (Method::DELETE, format!("/deployments/{deployment}"), 40),
    ];
    for (method, route, _) in &routes {
        let path = place.path(route);
        let anonymous = place.world.anonymous().call(method.clone(), &path, None).await;
        anonymous.refuses(401, "401 Unauthorized");
        bert.call(method.clone(), &path, None).await.refuses(404, "404 Project Not Found");
    }
    place.alice.invite(&format!("projects/{}", place.project), &bert, 20).await;
    for (method, route, level) in &routes {
        let answer = bert.call(method.clone(), &place.path(route), None).await;
        assert_eq!(answer.status, if *level > 20 { 403 } else { 200 }, "{method} {route}");
    }
    // What a job has made, only the job changes.
    let path = place.path(&format!("/deployments/{deployment}"));
    let reason = "403 Forbidden - Deployments created using GitLab CI can not be updated using the API";
    place.alice.put(&path, json!({ "status": "success" })).await.refuses(403, reason);
}

on_each_database!(
    a_job_deploys_and_its_stop_job_stops,
    an_environment_stops_by_itself_when_its_time_has_come,
    a_deleted_branch_takes_its_environments_along,
    a_deployment_follows_each_attempt_of_its_job,
    a_job_without_a_possible_environment_fails,
    an_outdated_deployment_does_not_run,
    jobs_see_the_variables_of_their_environment,
    environments_are_made_changed_and_deleted,
    stale_environments_are_stopped_and_old_review_apps_deleted,
    deployments_are_reported,
    only_members_change_environments,
);
