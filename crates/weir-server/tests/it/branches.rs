//! `/projects/:id/repository/branches`.

use axum::http::Method;
use serde_json::{Value, json};

use crate::harness::{Caller, World, has_shape, is_middle_page};

const SHAPE: &[(&str, &str)] = &[
    ("name", "str"),
    ("commit", "object"),
    ("merged", "bool"),
    ("protected", "bool"),
    ("developers_can_push", "bool"),
    ("developers_can_merge", "bool"),
    ("can_push", "bool"),
    ("default", "bool"),
    ("web_url", "str"),
];

/// A project with one commit, on `main`; its id.
async fn project(owner: &Caller) -> i64 {
    let id = owner.project("p", json!({})).await;
    commit(owner, id, json!({ "branch": "main" })).await;
    id
}

async fn commit(owner: &Caller, id: i64, more: Value) -> Value {
    let path = format!("f{}", more["start_branch"].as_str().unwrap_or_default());
    let actions = json!([{ "action": "create", "file_path": path, "content": "x" }]);
    let mut body = json!({ "commit_message": "m", "actions": actions });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    owner.post(&format!("/projects/{id}/repository/commits"), body).await.is(201)
}

async fn branches_are_created_shown_and_deleted(world: World) {
    let alice = world.user("alice").await;
    let id = project(&alice).await;
    let path = format!("/projects/{id}/repository/branches");
    let made = alice.post(&path, json!({ "branch": "feature/x", "ref": "main" })).await.is(201);
    has_shape(&made, SHAPE);
    assert_eq!(
        (&made["name"], &made["default"], &made["can_push"]),
        (&json!("feature/x"), &json!(false), &json!(true))
    );
    assert_eq!(made["web_url"], "http://ci.example/alice/p/-/tree/feature/x");
    for name in ["feature/x", "feature%2Fx"] {
        assert_eq!(alice.get(&format!("{path}/{name}")).await.is(200), made);
        assert_eq!(alice.call(Method::HEAD, &format!("{path}/{name}"), None).await.status, 204);
        alice.get(&format!("/projects/alice%2Fp/repository/branches/{name}")).await.is(200);
    }
    alice.delete(&format!("{path}/feature/x")).await.is(204);
    alice.get(&format!("{path}/feature/x")).await.refuses(404, "404 Branch Not Found");
    alice.delete(&format!("{path}/feature/x")).await.refuses(404, "404 Branch Not Found");
    assert_eq!(alice.call(Method::HEAD, &format!("{path}/feature/x"), None).await.status, 404);
    alice.get(&format!("{path}/a..b")).await.refuses(400, "The branch refname is invalid");
    alice
        .delete(&format!("{path}/main"))
        .await
        .refuses(400, "The default branch of a project cannot be deleted.");
}

async fn a_branch_that_cannot_be_is_told_in_gitlabs_words(world: World) {
    let alice = world.user("alice").await;
    let path = format!("/projects/{}/repository/branches", project(&alice).await);
    let hex = "0123456789abcdef0123456789abcdef01234567";
    for (branch, from, message) in [
        ("main", "main", "Branch already exists".to_owned()),
        ("x", "nothing", "Failed to create branch 'x': invalid reference name 'nothing'".to_owned()),
        ("a..b", "main", "Branch name is invalid".to_owned()),
        (
            "main/x",
            "main",
            "Failed to create branch 'main/x': Branch name conflicts with existing branch hierarchy."
                .to_owned(),
        ),
        (
            &format!("{hex}/x"),
            "main",
            "You cannot create a branch with a 40-character hexadecimal branch name.".to_owned(),
        ),
    ] {
        alice.post(&path, json!({ "branch": branch, "ref": from })).await.refuses(400, &message);
    }
    alice.post(&path, json!({ "branch": "" })).await.complains("branch is empty, ref is missing");
}

async fn an_empty_project_gets_a_default_branch_first(world: World) {
    let alice = world.user("alice").await;
    let path = format!("/projects/{}/repository", alice.project("p", json!({})).await);
    assert_eq!(alice.get(&format!("{path}/branches")).await.is(200), json!([]));
    alice.post(&format!("{path}/branches"), json!({ "branch": "x", "ref": "main" })).await.is(201);
    assert_eq!(alice.get(&format!("{path}/branches")).await.column("name"), ["main", "x"]);
    assert_eq!(alice.get(&format!("{path}/tree")).await.column("path"), ["README.md"]);
}

async fn branches_are_listed_by_name_or_date_in_pages(world: World) {
    let alice = world.user("alice").await;
    let id = project(&alice).await;
    let path = format!("/projects/{id}/repository/branches");
    world.pass_secs(60);
    commit(&alice, id, json!({ "branch": "b/new", "start_branch": "main" })).await;
    alice.post(&path, json!({ "branch": "a", "ref": "main" })).await.is(201);
    for (query, names) in [
        ("", vec!["a", "b/new", "main"]),
        ("?search=^b", vec!["b/new"]),
        ("?search=IN$", vec!["main"]),
        ("?search=n", vec!["b/new", "main"]),
        ("?sort=updated_desc&search=n", vec!["b/new", "main"]),
        ("?sort=updated_asc&search=n", vec!["main", "b/new"]),
        ("?per_page=2&page=2", vec!["main"]),
        ("?pagination=keyset&per_page=2&page_token=a", vec!["b/new", "main"]),
        ("?page=9", vec![]),
    ] {
        assert_eq!(alice.get(&format!("{path}{query}")).await.column("name"), names, "{query}");
    }
    is_middle_page(&alice.get(&format!("{path}?per_page=1&page=2")).await, &path);
    let first = alice.get(&format!("{path}?pagination=keyset&per_page=1")).await;
    assert_eq!(
        first.header("link"),
        format!(
            "<http://ci.example/api/v4{path}?id={id}&page_token=a&pagination=keyset&per_page=1>; rel=\"next\""
        )
    );
    alice
        .get(&format!("{path}?pagination=keyset&page_token=z"))
        .await
        .refuses(422, "422 Unprocessable Entity - Invalid page token: z");
    alice.get(&format!("{path}?sort=x")).await.complains("sort does not have a valid value");
    let list = alice.get(&path).await.is(200);
    has_shape(&list[0], SHAPE);
    // What is where the default branch is, is not called merged.
    assert_eq!([&list[0]["merged"], &list[1]["merged"]], [false, false]);
    commit(&alice, id, json!({ "branch": "main", "start_branch": "main" })).await;
    assert_eq!(alice.get(&format!("{path}/a")).await.is(200)["merged"], true);
}

async fn protection_tells_who_may_push_and_delete(world: World) {
    let (alice, dev) = (world.user("alice").await, world.user("dev").await);
    let id = project(&alice).await;
    alice.invite(&format!("projects/{id}"), &dev, 30).await;
    let path = format!("/projects/{id}/repository/branches");
    let protect = |name: &str, push: i64, merge: i64| json!({ "name": name, "push_access_level": push, "merge_access_level": merge });
    let protections = format!("/projects/{id}/protected_branches");
    alice.post(&protections, protect("open/*", 30, 30)).await.is(201);
    alice.post(&protections, protect("merge/*", 40, 30)).await.is(201);
    alice.post(&protections, protect("closed/*", 40, 40)).await.is(201);

    let open = dev.post(&path, json!({ "branch": "open/1", "ref": "main" })).await.is(201);
    let told = |branch: &Value| {
        ["protected", "developers_can_push", "developers_can_merge", "can_push"].map(|it| branch[it] == true)
    };
    assert_eq!(told(&open), [true, true, true, true]);
    // Who may only merge may still branch off from what is protected.
    let merge = dev.post(&path, json!({ "branch": "merge/1", "ref": "main" })).await.is(201);
    assert_eq!(told(&merge), [true, false, true, false]);
    let refused = "You are not allowed to create protected branches on this project.";
    dev.post(&path, json!({ "branch": "closed/1", "ref": "main" })).await.refuses(400, refused);
    assert_eq!(told(&dev.get(&format!("{path}/main")).await.is(200)), [true, false, false, false]);
    let refused = "You are not allowed to delete protected branches from this project. Only a project maintainer \
                   or owner can delete a protected branch.";
    dev.delete(&format!("{path}/open/1")).await.refuses(400, refused);
    alice.delete(&format!("{path}/open/1")).await.is(204);
}

async fn branches_are_for_those_who_read_and_write_code(world: World) {
    let (alice, guest, reporter) = (world.user("alice").await, world.user("g").await, world.user("r").await);
    let id = project(&alice).await;
    alice.invite(&format!("projects/{id}"), &guest, 10).await;
    alice.invite(&format!("projects/{id}"), &reporter, 20).await;
    let path = format!("/projects/{id}/repository/branches");
    let body = json!({ "branch": "x", "ref": "main" });
    guest.get(&path).await.refuses(403, "403 Forbidden");
    reporter.get(&path).await.is(200);
    reporter.post(&path, body.clone()).await.refuses(403, "403 Forbidden");
    reporter.delete(&format!("{path}/main")).await.refuses(403, "403 Forbidden");
    world.user("eve").await.get(&path).await.refuses(404, "404 Project Not Found");
    world.anonymous().get(&path).await.refuses(404, "404 Project Not Found");
    world.anonymous().post(&path, body).await.refuses(401, "401 Unauthorized");
    world.anonymous().delete(&format!("{path}/main")).await.refuses(401, "401 Unauthorized");
}

async fn a_new_branch_gets_a_pipeline_and_a_deleted_one_none(world: World) {
    let alice = world.user("alice").await;
    let id = alice.project("p", json!({})).await;
    let config = json!([{ "action": "create", "file_path": ".gitlab-ci.yml", "content": "a: {script: x}" }]);
    let body = json!({ "branch": "main", "commit_message": "m", "actions": config });
    alice.post(&format!("/projects/{id}/repository/commits"), body).await.is(201);
    let path = format!("/projects/{id}/repository");
    alice.post(&format!("{path}/branches"), json!({ "branch": "x", "ref": "main" })).await.is(201);
    alice.post(&format!("{path}/tags"), json!({ "tag_name": "v1", "ref": "x" })).await.is(201);
    alice.delete(&format!("{path}/branches/x")).await.is(204);
    alice.delete(&format!("{path}/tags/v1")).await.is(204);
    let pipelines = alice.get(&format!("/projects/{id}/pipelines")).await.is(200);
    let told: Vec<_> = pipelines.as_array().unwrap().iter().map(|it| (&it["ref"], &it["source"])).collect();
    let push = json!("push");
    assert_eq!(told, [(&json!("v1"), &push), (&json!("x"), &push), (&json!("main"), &push)]);
}

on_each_database!(
    branches_are_created_shown_and_deleted,
    a_branch_that_cannot_be_is_told_in_gitlabs_words,
    an_empty_project_gets_a_default_branch_first,
    branches_are_listed_by_name_or_date_in_pages,
    protection_tells_who_may_push_and_delete,
    branches_are_for_those_who_read_and_write_code,
    a_new_branch_gets_a_pipeline_and_a_deleted_one_none,
);
