//! Merge requests and their pipelines.

use serde_json::{Value, json};

use crate::harness::{Caller, World, has_shape, is_middle_page, with};

const CONFIG: &str = "
test: { script: test, rules: [{ if: $CI_PIPELINE_SOURCE == 'merge_request_event' }] }
push: { script: push, rules: [{ if: $CI_PIPELINE_SOURCE == 'push' }] }
old: { script: old, only: [merge_requests] }
docs: { script: docs, rules: [{ if: $CI_MERGE_REQUEST_IID, changes: ['docs/**/*'] }] }
";

/// Commits files to a branch that begins at main, if it is new.
pub(crate) async fn commit(by: &Caller, id: i64, branch: &str, files: &[(&str, &str)]) -> String {
    commit_as(by, id, branch, files, json!({})).await
}

pub(crate) async fn commit_as(
    by: &Caller,
    id: i64,
    branch: &str,
    files: &[(&str, &str)],
    more: Value,
) -> String {
    let exists = by.get(&format!("/projects/{id}/repository/branches/{branch}")).await.status == 200;
    let mut actions = Vec::new();
    for (path, content) in files {
        let at = if exists { branch } else { "main" };
        let path_in_url = path.replace('/', "%2F");
        let file = by.get(&format!("/projects/{id}/repository/files/{path_in_url}?ref={at}")).await;
        let action = if file.status == 200 { "update" } else { "create" };
        actions.push(json!({ "action": action, "file_path": path, "content": content }));
    }
    let mut body =
        json!({ "branch": branch, "commit_message": format!("Work on {branch}"), "actions": actions });
    if !exists && branch != "main" {
        body["start_branch"] = json!("main");
    }
    let made = by.post(&format!("/projects/{id}/repository/commits"), with(body, more)).await.is(201);
    made["id"].as_str().unwrap().to_owned()
}

/// A project of the caller's with a configuration on `main`.
pub(crate) async fn project(owner: &Caller, config: &str, more: Value) -> i64 {
    let id = owner.project("p", more).await;
    commit(owner, id, "main", &[(".gitlab-ci.yml", config)]).await;
    id
}

async fn open(by: &Caller, id: i64, branch: &str, more: Value) -> Value {
    let body =
        json!({ "source_branch": branch, "target_branch": "main", "title": format!("Bring {branch}") });
    by.post(&format!("/projects/{id}/merge_requests"), with(body, more)).await.is(201)
}

async fn names(by: &Caller, project: i64, pipeline: &Value) -> Vec<String> {
    let jobs = by.get(&format!("/projects/{project}/pipelines/{}/jobs", pipeline["id"])).await.column("name");
    let mut names: Vec<_> = jobs.iter().map(|name| name.as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

const SHAPE: &[(&str, &str)] = &[
    ("id", "int"),
    ("iid", "int"),
    ("project_id", "int"),
    ("title", "str"),
    ("description", "str|null"),
    ("state", "str"),
    ("created_at", "time"),
    ("updated_at", "time"),
    ("merged_by", "object|null"),
    ("merge_user", "object|null"),
    ("merged_at", "time|null"),
    ("closed_by", "object|null"),
    ("closed_at", "time|null"),
    ("target_branch", "str"),
    ("source_branch", "str"),
    ("user_notes_count", "int"),
    ("author", "object"),
    ("assignees", "array"),
    ("assignee", "object|null"),
    ("reviewers", "array"),
    ("source_project_id", "int"),
    ("target_project_id", "int"),
    ("labels", "array"),
    ("draft", "bool"),
    ("work_in_progress", "bool"),
    ("milestone", "null"),
    ("merge_when_pipeline_succeeds", "bool"),
    ("merge_status", "str"),
    ("detailed_merge_status", "str"),
    ("sha", "str"),
    ("merge_commit_sha", "str|null"),
    ("squash_commit_sha", "null"),
    ("should_remove_source_branch", "null"),
    ("force_remove_source_branch", "bool"),
    ("reference", "str"),
    ("references", "object"),
    ("web_url", "str"),
    ("time_stats", "object"),
    ("squash", "bool"),
    ("has_conflicts", "bool"),
];

async fn a_merge_request_is_opened_shown_listed_and_changed(world: World) {
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    let id = project(&alice, CONFIG, json!({ "visibility": "public" })).await;
    let sha = commit(&alice, id, "feature", &[("a", "1")]).await;
    let more = json!({ "description": "Why", "labels": "b, a", "assignee_id": alice.id });
    let made = open(&alice, id, "feature", more).await;
    has_shape(&made, SHAPE);
    assert_eq!((&made["iid"], &made["state"], &made["sha"]), (&json!(1), &json!("opened"), &json!(sha)));
    assert_eq!((&made["labels"], &made["assignee"]["username"]), (&json!(["a", "b"]), &json!("alice")));
    assert_eq!(made["references"], json!({ "short": "!1", "relative": "!1", "full": "alice/p!1" }));
    assert_eq!(
        (&made["merge_status"], &made["detailed_merge_status"]),
        (&json!("can_be_merged"), &json!("mergeable"))
    );
    assert_eq!(made["user"]["can_merge"], true);
    let path = format!("/projects/{id}/merge_requests");
    let one = format!("{path}/1");
    assert_eq!(world.anonymous().get(&one).await.is(200)["user"]["can_merge"], false);
    assert_eq!(bob.get(&one).await.is(200)["title"], "Bring feature");
    bob.get(&format!("{path}/9")).await.refuses(404, "404 Not found");

    commit(&alice, id, "second", &[("b", "1")]).await;
    commit(&alice, id, "third", &[("c", "1")]).await;
    open(&alice, id, "second", json!({ "title": "Draft: not yet" })).await;
    open(&alice, id, "third", json!({})).await;
    is_middle_page(&bob.get(&format!("{path}?per_page=1&page=2")).await, &path);
    for (query, iids) in [
        ("", vec![3, 2, 1]),
        ("?sort=asc", vec![1, 2, 3]),
        ("?state=closed", vec![]),
        ("?state=opened&source_branch=second", vec![2]),
        ("?target_branch=main&iids[]=1&iids[]=3", vec![3, 1]),
        ("?search=not+yet", vec![2]),
        ("?order_by=title&sort=asc", vec![1, 3, 2]),
    ] {
        let listed = alice.get(&format!("{path}{query}")).await.column("iid");
        assert_eq!(listed, iids.into_iter().map(Value::from).collect::<Vec<_>>(), "{query}");
    }
    assert_eq!(alice.get("/merge_requests").await.column("iid").len(), 3);
    assert_eq!(alice.get("/merge_requests?scope=assigned_to_me").await.column("iid"), [json!(1)]);
    assert!(bob.get("/merge_requests").await.column("iid").is_empty());
    assert_eq!(bob.get("/merge_requests?scope=all").await.column("iid").len(), 3);
    world.anonymous().get("/merge_requests").await.refuses(401, "401 Unauthorized");

    let change = json!({ "title": "Other", "description": null, "add_labels": "c", "remove_labels": "a", "assignee_id": 0 });
    let changed = alice.put(&one, change).await.is(200);
    assert_eq!((&changed["title"], &changed["labels"]), (&json!("Other"), &json!(["b", "c"])));
    assert_eq!((&changed["description"], &changed["assignee"]), (&json!(null), &json!(null)));
    bob.put(&one, json!({ "title": "Mine" })).await.refuses(403, "403 Forbidden");
    world.anonymous().put(&one, json!({ "title": "x" })).await.refuses(401, "401 Unauthorized");
    let closed = alice.put(&one, json!({ "state_event": "close" })).await.is(200);
    assert_eq!((&closed["state"], &closed["closed_by"]["username"]), (&json!("closed"), &json!("alice")));
    assert_eq!(closed["detailed_merge_status"], "not_open");
    let open_again = alice.put(&one, json!({ "state_event": "reopen" })).await.is(200);
    assert_eq!((&open_again["state"], &open_again["closed_at"]), (&json!("opened"), &json!(null)));
    let commits = alice.get(&format!("{one}/commits")).await.column("id");
    assert_eq!(commits, [json!(sha)]);

    alice.invite(&format!("projects/{id}"), &bob, 40).await;
    bob.delete(&one).await.refuses(403, "403 Forbidden");
    assert_eq!(alice.delete(&one).await.status, 204);
    alice.get(&one).await.refuses(404, "404 Not found");
}

async fn what_cannot_be_a_merge_request_is_refused(world: World) {
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    let id = project(&alice, CONFIG, json!({ "visibility": "public" })).await;
    let other = alice.project("other", json!({ "initialize_with_readme": true })).await;
    commit(&alice, id, "feature", &[("a", "1")]).await;
    open(&alice, id, "feature", json!({})).await;
    let path = format!("/projects/{id}/merge_requests");
    let body =
        |more| with(json!({ "source_branch": "feature", "target_branch": "main", "title": "x" }), more);
    let taken = "Another open merge request already exists for this source branch: !1";
    alice.post(&path, body(json!({}))).await.says(409, &json!({ "message": [taken] }));
    for (more, status, message) in [
        (
            json!({ "source_branch": "main" }),
            422,
            json!(["You can't use same project/branch for source and target"]),
        ),
        (
            json!({ "target_project_id": other }),
            422,
            json!(["Source project is not a fork of the target project"]),
        ),
        (json!({ "source_branch": "no" }), 400, json!({ "source_branch": ["does not exist"] })),
        (json!({ "target_branch": "no" }), 400, json!({ "target_branch": ["does not exist"] })),
        (json!({ "source_branch": "--upload-pack=x" }), 400, json!({ "source_branch": ["is invalid"] })),
        (
            json!({ "title": "x".repeat(256) }),
            400,
            json!({ "title": ["is too long (maximum is 255 characters)"] }),
        ),
    ] {
        alice.post(&path, body(more)).await.says(status, &json!({ "message": message }));
    }
    alice
        .post(&path, json!({}))
        .await
        .complains("source_branch is missing, target_branch is missing, title is missing");
    alice.post(&path, body(json!({ "squash": true }))).await.complains("squash is not supported");
    bob.post(&path, body(json!({}))).await.refuses(403, "403 Forbidden");
    world.anonymous().post(&path, body(json!({}))).await.refuses(401, "401 Unauthorized");
}

async fn merging_is_a_push_by_whoever_may_merge(world: World) {
    let (alice, dora) = (world.user("alice").await, world.user("dora").await);
    let id = project(&alice, CONFIG, json!({})).await;
    alice.invite(&format!("projects/{id}"), &dora, 30).await;
    let sha = commit(&dora, id, "feature", &[("a", "1")]).await;
    let before = commit(&alice, id, "main", &[("b", "1")]).await;
    open(&dora, id, "feature", json!({})).await;
    let one = format!("/projects/{id}/merge_requests/1");
    let merge = format!("{one}/merge");
    dora.put(&merge, json!({})).await.refuses(401, "401 Unauthorized");
    let seen = json!({ "sha": before });
    alice.put(&merge, seen).await.refuses(409, &format!("SHA does not match HEAD of source branch: {sha}"));
    alice.put(&one, json!({ "title": "Draft: x" })).await.is(200);
    alice.put(&merge, json!({})).await.refuses(405, "405 Method Not Allowed");
    alice.put(&one, json!({ "title": "Bring it" })).await.is(200);

    let merged = alice.put(&merge, json!({ "sha": sha })).await.is(200);
    assert_eq!((&merged["state"], &merged["merge_user"]["username"]), (&json!("merged"), &json!("alice")));
    let head = alice.get(&format!("/projects/{id}/repository/commits/main")).await.is(200);
    assert_eq!((&head["id"], &head["parent_ids"]), (&merged["merge_commit_sha"], &json!([before, sha])));
    assert_eq!(
        head["message"],
        "Merge branch 'feature' into 'main'\n\nBring it\n\nSee merge request alice/p!1"
    );
    assert_eq!(alice.get(&format!("/projects/{id}/repository/branches/feature")).await.status, 404);
    let pipelines =
        alice.get(&format!("/projects/{id}/pipelines?ref=main&sha={}", head["id"].as_str().unwrap())).await;
    assert_eq!(pipelines.column("source"), [json!("push")]);
    alice.put(&merge, json!({})).await.refuses(405, "405 Method Not Allowed");

    // Conflicts, and a method that wants none.
    commit(&alice, id, "left", &[("a", "2")]).await;
    commit(&alice, id, "main", &[("a", "3")]).await;
    let conflict = open(&alice, id, "left", json!({})).await;
    assert_eq!(
        (&conflict["has_conflicts"], &conflict["detailed_merge_status"]),
        (&json!(true), &json!("conflict"))
    );
    alice
        .put(&format!("/projects/{id}/merge_requests/2/merge"), json!({}))
        .await
        .refuses(422, "Branch cannot be merged");

    alice.put(&format!("/projects/{id}"), json!({ "merge_method": "ff" })).await.is(200);
    let ahead = commit(&alice, id, "ahead", &[("c", "1")]).await;
    commit(&alice, id, "behind", &[("d", "1")]).await;
    open(&alice, id, "ahead", json!({})).await;
    open(&alice, id, "behind", json!({})).await;
    let merged = alice
        .put(
            &format!("/projects/{id}/merge_requests/3/merge"),
            json!({ "should_remove_source_branch": false }),
        )
        .await
        .is(200);
    assert_eq!(merged["merge_commit_sha"], json!(null));
    assert_eq!(
        alice.get(&format!("/projects/{id}/repository/commits/main")).await.is(200)["id"],
        json!(ahead)
    );
    assert_eq!(alice.get(&format!("/projects/{id}/repository/branches/ahead")).await.status, 200);
    let behind = alice.get(&format!("/projects/{id}/merge_requests/4")).await.is(200);
    assert_eq!(behind["detailed_merge_status"], "need_rebase");

    let must = json!({ "only_allow_merge_if_pipeline_succeeds": true, "merge_method": "merge" });
    alice.put(&format!("/projects/{id}"), must).await.is(200);
    let waits = alice.get(&format!("/projects/{id}/merge_requests/4")).await.is(200);
    assert_eq!(waits["detailed_merge_status"], "ci_still_running");
    alice
        .put(&format!("/projects/{id}/merge_requests/4/merge"), json!({}))
        .await
        .refuses(405, "405 Method Not Allowed");
}

async fn a_merge_request_has_pipelines_of_its_own(world: World) {
    let alice = world.user("alice").await;
    let id = project(&alice, CONFIG, json!({})).await;
    let first = commit(&alice, id, "feature", &[("docs/a", "1")]).await;
    open(&alice, id, "feature", json!({})).await;
    let path = format!("/projects/{id}/merge_requests/1/pipelines");
    let listed = alice.get(&path).await.is(200);
    let told = |list: &Value| -> Vec<String> {
        let fields = ["ref", "source", "sha"];
        let of = |it: &Value| fields.map(|field| it[field].as_str().unwrap().to_owned()).join(" ");
        list.as_array().unwrap().iter().map(of).collect()
    };
    let head = "refs/merge-requests/1/head merge_request_event";
    assert_eq!(told(&listed), [format!("{head} {first}"), format!("feature push {first}")]);
    assert_eq!(names(&alice, id, &listed[0]).await, ["docs", "old", "test"]);
    assert_eq!(names(&alice, id, &listed[1]).await, ["push"]);
    let shown = alice.get(&format!("/projects/{id}/merge_requests/1")).await.is(200);
    assert_eq!(shown["head_pipeline"]["id"], listed[0]["id"]);
    assert_eq!(shown["head_pipeline"]["user"]["username"], "alice");

    let second = commit(&alice, id, "feature", &[("b", "1")]).await;
    let listed = alice.get(&path).await.is(200);
    assert_eq!(told(&listed)[..2], [format!("feature push {second}"), format!("{head} {second}")]);
    assert_eq!(names(&alice, id, &listed[1]).await, ["docs", "old", "test"], "against the target branch");
    commit(&alice, id, "main", &[("c", "1")]).await;
    assert_eq!(alice.get(&path).await.is(200).as_array().unwrap().len(), 4, "not for the target's pushes");

    let asked = alice.post(&path, json!({})).await.is(201);
    assert_eq!((&asked["ref"], &asked["sha"]), (&json!("refs/merge-requests/1/head"), &json!(second)));
    alice.put(&format!("/projects/{id}"), json!({ "merge_pipelines_enabled": true })).await.is(200);
    let asked = alice.post(&path, json!({})).await.is(201);
    assert_eq!(asked["ref"], "refs/merge-requests/1/merge");
    let commit = alice
        .get(&format!("/projects/{id}/repository/commits/{}", asked["sha"].as_str().unwrap()))
        .await
        .is(200);
    assert_eq!(commit["parent_ids"][1], json!(second));
    let tree =
        alice.get(&format!("/projects/{id}/repository/tree?ref={}", asked["sha"].as_str().unwrap())).await;
    assert_eq!(tree.column("name"), ["docs", ".gitlab-ci.yml", "b", "c"]);
}

async fn nothing_to_merge_is_nothing_to_run(world: World) {
    let alice = world.user("alice").await;
    let id = project(&alice, CONFIG, json!({})).await;
    let body = json!({ "branch": "same", "ref": "main" });
    alice.post(&format!("/projects/{id}/repository/branches"), body).await.is(201);
    open(&alice, id, "same", json!({})).await;
    let path = format!("/projects/{id}/merge_requests/1/pipelines");
    alice.post(&path, json!({})).await.refuses(405, "405 Method Not Allowed");
    let bob = world.user("bob").await;
    bob.post(&path, json!({})).await.refuses(404, "404 Project Not Found");
    world.anonymous().post(&path, json!({})).await.refuses(401, "401 Unauthorized");
    alice.invite(&format!("projects/{id}"), &bob, 20).await;
    commit(&alice, id, "feature", &[("a", "1")]).await;
    open(&alice, id, "feature", json!({})).await;
    let path = format!("/projects/{id}/merge_requests/2/pipelines");
    bob.post(&path, json!({})).await.refuses(403, "403 Forbidden");
    assert_eq!(bob.get(&path).await.column("ref").len(), 2);
}

on_each_database!(
    a_merge_request_is_opened_shown_listed_and_changed,
    what_cannot_be_a_merge_request_is_refused,
    merging_is_a_push_by_whoever_may_merge,
    a_merge_request_has_pipelines_of_its_own,
    nothing_to_merge_is_nothing_to_run,
);
