//! `/projects/:id/repository/commits` and the pipelines that commits make.

use serde_json::{Value, json};

use crate::harness::{Caller, World, has_shape};

const SHAPE: &[(&str, &str)] = &[
    ("id", "str"),
    ("short_id", "str"),
    ("created_at", "str"),
    ("parent_ids", "array"),
    ("title", "str"),
    ("message", "str"),
    ("author_name", "str"),
    ("author_email", "str"),
    ("authored_date", "str"),
    ("committer_name", "str"),
    ("committer_email", "str"),
    ("committed_date", "str"),
    ("trailers", "object"),
    ("extended_trailers", "object"),
    ("web_url", "str"),
];
const ZEROS: &str = "0000000000000000000000000000000000000000";
const CONFIG: &str = "build:\n  script: make\n";

/// A project of the user's own, and the path of its repository.
async fn project(owner: &Caller) -> String {
    format!("/projects/{}/repository", owner.project("p", json!({})).await)
}

/// Commits one action to `main`.
async fn commit(owner: &Caller, path: &str, message: &str, action: Value) -> Value {
    let body = json!({ "branch": "main", "commit_message": message, "actions": [action] });
    owner.post(&format!("{path}/commits"), body).await.is(201)
}

fn create(path: &str, content: &str) -> Value {
    json!({ "action": "create", "file_path": path, "content": content })
}

async fn the_first_commit_makes_the_default_branch(world: World) {
    let alice = world.user("alice").await;
    let path = project(&alice).await;
    let made = commit(&alice, &path, "First\n\nSigned-off-by: A <a@b>", create("a/b.txt", "1\n2\n")).await;
    has_shape(&made, SHAPE);
    assert_eq!(made["title"], "First");
    assert_eq!(made["author_name"], "ALICE");
    assert_eq!(made["committer_email"], "alice@example.com");
    assert_eq!(made["committed_date"], "2026-01-05T10:00:00.000+00:00");
    assert_eq!(made["parent_ids"], json!([]));
    assert_eq!(made["stats"], json!({ "additions": 2, "deletions": 0, "total": 2 }));
    assert_eq!((&made["status"], &made["last_pipeline"]), (&Value::Null, &Value::Null));

    let main = alice.get(&format!("{path}/branches/main")).await.is(200);
    assert_eq!((&main["default"], &main["protected"]), (&json!(true), &json!(true)));
    assert_eq!(main["commit"]["id"], made["id"]);
    let project = alice.get(path.strip_suffix("/repository").unwrap()).await.is(200);
    assert_eq!(project["default_branch"], "main");
    let raw = alice.get(&format!("{path}/files/a%2Fb.txt/raw")).await;
    assert_eq!(raw.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(raw.is(200), "1\n2\n");
}

async fn each_action_does_what_it_says(world: World) {
    let alice = world.user("alice").await;
    let path = project(&alice).await;
    commit(&alice, &path, "1", create("old.txt", "old")).await;
    let actions = json!([
        { "action": "create", "file_path": "binary", "content": "AAEC\n/w", "encoding": "base64" },
        { "action": "move", "file_path": "new.txt", "previous_path": "old.txt" },
        { "action": "create", "file_path": "run", "content": "#!/bin/sh\n" },
        { "action": "chmod", "file_path": "run", "execute_filemode": true },
        { "action": "update", "file_path": "new.txt", "content": "new" },
        { "action": "create", "file_path": "gone", "content": "x" },
        { "action": "delete", "file_path": "gone" },
    ]);
    let body = json!({
        "branch": "feature/x", "start_branch": "main", "commit_message": "2", "actions": actions,
        "author_name": "Bea", "author_email": "bea@example.com", "stats": false,
    });
    let made = alice.post(&format!("{path}/commits"), body).await.is(201);
    assert_eq!((&made["author_name"], &made["committer_name"]), (&json!("Bea"), &json!("ALICE")));
    assert_eq!(made.get("stats"), None);

    let tree = alice.get(&format!("{path}/tree?ref=feature/x")).await.is(200);
    let entries: Vec<_> = tree
        .as_array()
        .unwrap()
        .iter()
        .map(|it| format!("{} {} {}", it["mode"].as_str().unwrap(), it["type"].as_str().unwrap(), it["path"]))
        .collect();
    assert_eq!(entries, ["100644 blob \"binary\"", "100644 blob \"new.txt\"", "100755 blob \"run\""]);
    let file = alice.get(&format!("{path}/files/binary?ref=feature%2Fx")).await.is(200);
    assert_eq!(file["content"], "AAEC/w==");
    assert_eq!(alice.get(&format!("{path}/files/old.txt/raw")).await.is(200), "old");
}

async fn what_cannot_be_committed_is_told_in_gitlabs_words(world: World) {
    let alice = world.user("alice").await;
    let path = project(&alice).await;
    commit(&alice, &path, "1", create("a", "1")).await;
    let commits = format!("{path}/commits");
    for (more, message) in [
        (json!({ "actions": [create("a", "")] }), "A file with this name already exists"),
        (
            json!({ "actions": [{ "action": "update", "file_path": "b", "content": "" }] }),
            "A file with this name doesn't exist",
        ),
        (
            json!({ "actions": [{ "action": "delete", "file_path": "a", "last_commit_id": "x" }] }),
            "The file has changed since you started editing it: a",
        ),
        (json!({ "branch": "x" }), "You can only create or edit files when you are on a branch"),
        (
            json!({ "branch": "x", "start_branch": "y" }),
            "You can only create or edit files when you are on a branch",
        ),
        (json!({ "branch": "x", "start_sha": "y" }), "Invalid start_sha 'y'"),
        (
            json!({ "branch": "x", "start_sha": "1".repeat(40) }),
            &format!("Cannot find start_sha '{}'", "1".repeat(40)),
        ),
        (
            json!({ "branch": "a..b", "start_branch": "main" }),
            "Something went wrong when we tried to create 'a..b' for you: Branch name is invalid",
        ),
        (json!({ "actions": [create("../a", "")] }), "Path cannot include directory traversal"),
    ] {
        let mut body = json!({ "branch": "main", "commit_message": "m", "actions": [create("n", "")] });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        alice.post(&commits, body).await.refuses(400, message);
    }
    for (body, complaint) in [
        (json!({}), "branch is missing, commit_message is missing, actions is missing"),
        (
            json!({ "branch": "", "commit_message": "m", "actions": [{}] }),
            "branch is empty, actions[0][action] is missing, actions[0][file_path] is missing",
        ),
        (
            json!({ "branch": "b", "commit_message": "m", "actions": [
                { "action": "copy", "file_path": "a" }, { "action": "move", "file_path": "a" },
                { "action": "update", "file_path": "a" }, { "action": "chmod", "file_path": "a" },
            ] }),
            "actions[0][action] does not have a valid value, actions[1][previous_path] is missing, \
             actions[2][content] is missing, actions[3][execute_filemode] is missing",
        ),
        (
            json!({ "branch": "b", "commit_message": "m", "actions": [], "start_branch": "a", "start_sha": "b" }),
            "start_branch, start_sha are mutually exclusive",
        ),
    ] {
        alice.post(&commits, body).await.complains(complaint);
    }
}

async fn only_those_who_may_push_to_a_branch_commit_to_it(world: World) {
    let (alice, dev, reporter) =
        (world.user("alice").await, world.user("dev").await, world.user("rep").await);
    let id = alice.project("p", json!({})).await;
    let (place, path) = (format!("projects/{id}"), format!("/projects/{id}/repository"));
    alice.invite(&place, &dev, 30).await;
    alice.invite(&place, &reporter, 20).await;
    let commits = format!("{path}/commits");
    let body = |branch: &str| json!({ "branch": branch, "start_branch": "main", "commit_message": "m", "actions": [create("n", "")] });
    let reason = "403 Forbidden - You are not allowed to push into this branch";
    // Nobody below a Maintainer begins a project.
    dev.post(&commits, body("main")).await.refuses(403, reason);
    commit(&alice, &path, "1", create("a", "1")).await;
    dev.post(&commits, body("main")).await.refuses(403, reason);
    dev.post(&commits, body("x")).await.is(201);
    reporter.post(&commits, body("y")).await.refuses(403, reason);
    let file = json!({ "branch": "main", "commit_message": "m", "content": "" });
    let files = format!("{path}/files/f");
    dev.post(&files, file.clone()).await.refuses(400, "You are not allowed to push into this branch");
    reporter.post(&files, file).await.refuses(403, "403 Forbidden");
    world.user("eve").await.post(&commits, body("x")).await.refuses(404, "404 Project Not Found");
    world.anonymous().post(&commits, body("x")).await.refuses(401, "401 Unauthorized");
    alice.post(&format!("/projects/{id}/archive"), json!({})).await.is(201);
    alice.post(&commits, body("z")).await.refuses(403, reason);
}

async fn a_commit_makes_a_pipeline_as_a_push_does(world: World) {
    let alice = world.user("alice").await;
    let path = project(&alice).await;
    let first = commit(&alice, &path, "1", create(".gitlab-ci.yml", CONFIG)).await;
    assert_eq!((&first["status"], &first["last_pipeline"]["status"]), (&json!("pending"), &json!("pending")));
    let pipelines = path.replace("/repository", "/pipelines");
    let pipeline = |id: &Value| format!("{pipelines}/{id}");
    let made = alice.get(&pipeline(&first["last_pipeline"]["id"])).await.is(200);
    assert_eq!((&made["source"], &made["before_sha"]), (&json!("push"), &json!(ZEROS)));
    assert_eq!((&made["ref"], &made["sha"]), (&json!("main"), &first["id"]));

    let second = commit(&alice, &path, "2", create("a", "")).await;
    let made = alice.get(&pipeline(&second["last_pipeline"]["id"])).await.is(200);
    assert_eq!(made["before_sha"], first["id"]);

    let skipped = commit(&alice, &path, "3 [skip ci]", create("b", "")).await;
    assert_eq!(skipped["status"], "skipped");

    let broken =
        json!({ "action": "update", "file_path": ".gitlab-ci.yml", "content": "build: {script: 1, x: [" });
    let broken = commit(&alice, &path, "4", broken).await;
    assert_eq!(broken["status"], "failed");
    let made = alice.get(&pipeline(&broken["last_pipeline"]["id"])).await.is(200);
    assert!(made["yaml_errors"].is_string(), "{made}");

    let none = commit(&alice, &path, "5", json!({ "action": "delete", "file_path": ".gitlab-ci.yml" })).await;
    assert_eq!((&none["status"], &none["last_pipeline"]), (&Value::Null, &Value::Null));
    assert_eq!(alice.get(&pipelines).await.column("id").len(), 4);
}

async fn history_is_listed_by_ref_path_and_time(world: World) {
    let alice = world.user("alice").await;
    let path = project(&alice).await;
    let commits = format!("{path}/commits");
    assert_eq!(alice.get(&commits).await.is(200), json!([]));
    commit(&alice, &path, "one", create("a", "1")).await;
    world.pass_secs(60);
    commit(&alice, &path, "two", create("b", "1")).await;
    world.pass_secs(60);
    let three = json!({
        "branch": "side", "start_branch": "main", "commit_message": "three", "actions": [create("c", "1")],
    });
    let three = alice.post(&commits, three).await.is(201);
    for (query, titles) in [
        ("", vec!["two", "one"]),
        ("?ref_name=side", vec!["three", "two", "one"]),
        ("?all=true", vec!["three", "two", "one"]),
        ("?path=a", vec!["one"]),
        ("?ref_name=side&since=2026-01-05T10:01:00Z", vec!["three", "two"]),
        ("?ref_name=side&until=2026-01-05T10:01:00Z", vec!["two", "one"]),
        ("?ref_name=nothing", vec![]),
    ] {
        assert_eq!(alice.get(&format!("{commits}{query}")).await.column("title"), titles, "{query}");
    }
    let page = alice.get(&format!("{commits}?per_page=1&with_stats=true")).await;
    assert_eq!((page.header("x-next-page"), page.header("x-total")), ("2", ""));
    let page = page.is(200);
    has_shape(&page[0], SHAPE);
    assert_eq!(page[0]["stats"], json!({ "additions": 1, "deletions": 0, "total": 1 }));
    assert_eq!(alice.get(&format!("{commits}?per_page=2")).await.header("x-next-page"), "");
    alice.get(&format!("{commits}?since=soon")).await.complains("since is invalid");

    for revision in ["side", three["id"].as_str().unwrap(), three["short_id"].as_str().unwrap()] {
        let found = alice.get(&format!("{commits}/{revision}")).await.is(200);
        assert_eq!((&found["id"], &found["stats"]["total"]), (&three["id"], &json!(1)), "{revision}");
        has_shape(&found, SHAPE);
    }
    assert_eq!(alice.get(&format!("{commits}/side?stats=false")).await.is(200).get("stats"), None);
    alice.get(&format!("{commits}/nothing")).await.refuses(404, "404 Commit Not Found");
    world.anonymous().get(&commits).await.refuses(404, "404 Project Not Found");
    alice.get("/projects/4711/repository/commits").await.refuses(404, "404 Project Not Found");
}

async fn a_commit_tells_the_refs_that_hold_it(world: World) {
    let alice = world.user("alice").await;
    let path = project(&alice).await;
    let made = commit(&alice, &path, "one", create("a", "1")).await;
    alice.post(&format!("{path}/tags"), json!({ "tag_name": "v1", "ref": "main" })).await.is(201);
    alice.post(&format!("{path}/branches"), json!({ "branch": "x/y", "ref": "v1" })).await.is(201);
    let refs = format!("{path}/commits/{}/refs", made["id"].as_str().unwrap());
    let branch = |name: &str| json!({ "type": "branch", "name": name });
    let tag = json!({ "type": "tag", "name": "v1" });
    for (query, wanted) in [
        ("", json!([branch("main"), branch("x/y"), tag])),
        ("?type=branch", json!([branch("main"), branch("x/y")])),
        ("?type=tag", json!([tag])),
        ("?per_page=1&page=2", json!([branch("x/y")])),
    ] {
        assert_eq!(alice.get(&format!("{refs}{query}")).await.is(200), wanted, "{query}");
    }
    alice.get(&format!("{refs}?type=x")).await.complains("type does not have a valid value");
    alice.get(&format!("{path}/commits/x/refs")).await.refuses(404, "404 Commit Not Found");
}

on_each_database!(
    the_first_commit_makes_the_default_branch,
    each_action_does_what_it_says,
    what_cannot_be_committed_is_told_in_gitlabs_words,
    only_those_who_may_push_to_a_branch_commit_to_it,
    a_commit_makes_a_pipeline_as_a_push_does,
    history_is_listed_by_ref_path_and_time,
    a_commit_tells_the_refs_that_hold_it,
);
