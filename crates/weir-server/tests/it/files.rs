//! `/projects/:id/repository/files/:file_path` and `/projects/:id/repository/tree`.

use axum::http::Method;
use serde_json::{Value, json};

use crate::harness::{Caller, World, has_shape, is_middle_page, with};

const SHAPE: &[(&str, &str)] = &[
    ("file_name", "str"),
    ("file_path", "str"),
    ("size", "int"),
    ("encoding", "str"),
    ("content_sha256", "str"),
    ("ref", "str"),
    ("blob_id", "str"),
    ("commit_id", "str"),
    ("last_commit_id", "str"),
    ("execute_filemode", "bool"),
    ("content", "str"),
];

fn body(more: Value) -> Value {
    with(json!({ "branch": "main", "commit_message": "m", "content": "hello\n" }), more)
}

/// A project with the file `docs/a.txt`; its id.
async fn project(owner: &Caller) -> i64 {
    let id = owner.project("p", json!({})).await;
    let made = owner.post(&format!("/projects/{id}/repository/files/docs%2Fa.txt"), body(json!({}))).await;
    made.says(201, &json!({ "file_path": "docs/a.txt", "branch": "main" }));
    id
}

async fn a_file_is_shown_with_its_content_and_as_headers(world: World) {
    let alice = world.user("alice").await;
    let path = format!("/projects/{}/repository/files", project(&alice).await);
    let shown = alice.get(&format!("{path}/docs%2Fa%2Etxt?ref=main")).await;
    let head = alice.call(Method::HEAD, &format!("{path}/docs%2Fa.txt?ref=main"), None).await;
    for answer in [&shown, &head] {
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("x-gitlab-file-path"), "docs/a.txt");
        assert_eq!(answer.header("x-gitlab-size"), "6");
        assert_eq!(answer.header("x-gitlab-execute-filemode"), "false");
    }
    assert_eq!(head.body, "");
    let file = shown.is(200);
    has_shape(&file, SHAPE);
    assert_eq!((&file["file_name"], &file["content"]), (&json!("a.txt"), &json!("aGVsbG8K")));
    assert_eq!(file["content_sha256"], "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03");
    assert_eq!(file["commit_id"], file["last_commit_id"]);
    for (query, status, message) in [
        ("docs%2Fb.txt?ref=main", 404, "404 File Not Found"),
        ("docs?ref=main", 404, "404 File Not Found"),
        ("docs%2Fa.txt?ref=nothing", 404, "404 Commit Not Found"),
    ] {
        alice.get(&format!("{path}/{query}")).await.refuses(status, message);
    }
    alice.get(&format!("{path}/docs%2Fa.txt")).await.complains("ref is missing");
    alice.get(&format!("{path}/docs%2Fa.txt?ref=")).await.complains("ref is empty");
    let outside = "file_path should be a valid file path";
    alice.get(&format!("{path}/..%2F..%2Fetc%2Fpasswd?ref=main")).await.complains(outside);
    world
        .anonymous()
        .get(&format!("{path}/docs%2Fa.txt?ref=main"))
        .await
        .refuses(404, "404 Project Not Found");
}

async fn a_raw_file_is_its_bytes(world: World) {
    let alice = world.user("alice").await;
    let id = project(&alice).await;
    let path = format!("/projects/{id}/repository/files");
    let page = body(json!({ "content": "<script>", "branch": "x", "start_branch": "main" }));
    alice.post(&format!("{path}/p.html"), page).await.is(201);
    let raw = alice.get(&format!("{path}/p.html/raw?ref=x")).await;
    assert_eq!(raw.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!((raw.header("content-length"), raw.header("x-gitlab-ref")), ("8", "x"));
    assert_eq!(raw.is(200), "<script>");
    assert_eq!(alice.get(&format!("{path}/docs%2Fa.txt/raw")).await.is(200), "hello\n");
    alice.get(&format!("{path}/p.html/raw")).await.refuses(404, "404 File Not Found");
    alice.get(&format!("{path}/p.html/raw?ref=")).await.complains("ref is empty");
}

async fn files_are_created_updated_and_deleted(world: World) {
    let alice = world.user("alice").await;
    let id = project(&alice).await;
    let file = format!("/projects/{id}/repository/files/docs%2Fa.txt");
    let show = || async { alice.get(&format!("{file}?ref=main")).await.is(200) };
    let first = show().await;
    alice.post(&file, body(json!({}))).await.refuses(400, "A file with this name already exists");
    let changed = body(json!({
        "content": "AAE=", "encoding": "base64", "last_commit_id": first["commit_id"], "execute_filemode": true,
    }));
    alice.put(&file, changed).await.says(200, &json!({ "file_path": "docs/a.txt", "branch": "main" }));
    let second = show().await;
    assert_eq!((&second["content"], &second["execute_filemode"]), (&json!("AAE="), &json!(true)));
    let old = json!({ "last_commit_id": first["commit_id"] });
    alice
        .put(&file, body(old.clone()))
        .await
        .refuses(400, "You are attempting to update a file that has changed since you started editing it.");
    let delete = |more: Value| alice.call(Method::DELETE, &file, Some(body(more)));
    delete(old).await.refuses(400, "You are attempting to delete a file that has been previously updated.");
    delete(json!({})).await.is(204);
    delete(json!({})).await.refuses(400, "A file with this name doesn't exist");
    alice.put(&file, body(json!({}))).await.refuses(400, "A file with this name doesn't exist");
    for (more, complaint) in [
        (json!({ "branch": "" }), "branch is empty"),
        (json!({ "commit_message": " " }), "commit_message is empty"),
        (json!({ "content": null }), "content is missing"),
        (json!({ "encoding": "utf-7" }), "encoding does not have a valid value"),
    ] {
        alice.post(&file, body(more)).await.complains(complaint);
    }
    let empty = format!("/projects/{id}/repository/files/empty");
    alice.post(&empty, body(json!({ "content": "" }))).await.is(201);
    world.anonymous().post(&file, body(json!({}))).await.refuses(401, "401 Unauthorized");
    world.user("eve").await.put(&file, body(json!({}))).await.refuses(404, "404 Project Not Found");
}

async fn the_tree_is_listed_directories_first(world: World) {
    let alice = world.user("alice").await;
    let id = project(&alice).await;
    for name in ["a.txt", "docs%2Fz%2Fdeep.txt"] {
        alice.post(&format!("/projects/{id}/repository/files/{name}"), body(json!({}))).await.is(201);
    }
    let path = format!("/projects/{id}/repository/tree");
    for (query, paths) in [
        ("", vec!["docs", "a.txt"]),
        ("?path=docs", vec!["docs/z", "docs/a.txt"]),
        ("?path=docs/", vec!["docs/z", "docs/a.txt"]),
        ("?recursive=true", vec!["docs", "docs/z", "a.txt", "docs/a.txt", "docs/z/deep.txt"]),
        (
            "?recursive=true&pagination=none&per_page=1",
            vec!["docs", "docs/z", "a.txt", "docs/a.txt", "docs/z/deep.txt"],
        ),
        ("?pagination=keyset&per_page=1", vec!["docs"]),
        ("?pagination=keyset&per_page=1&page_token=docs", vec!["a.txt"]),
    ] {
        assert_eq!(alice.get(&format!("{path}{query}")).await.column("path"), paths, "{query}");
    }
    let tree = alice.get(&path).await.is(200);
    has_shape(&tree[0], &[("id", "str"), ("name", "str"), ("type", "str"), ("path", "str"), ("mode", "str")]);
    assert_eq!((&tree[0]["type"], &tree[0]["mode"]), (&json!("tree"), &json!("040000")));
    is_middle_page(&alice.get(&format!("{path}?path=docs&recursive=true&per_page=1&page=2")).await, &path);
    alice.get(&format!("{path}?ref=nothing")).await.refuses(404, "404 Tree Not Found");
    alice.get(&format!("{path}?path=nothing")).await.refuses(404, "404 invalid revision or path Not Found");
    alice
        .get(&format!("{path}?pagination=none"))
        .await
        .complains("pagination cannot be \"none\" unless \"recursive\" is true");
    let empty = alice.project("empty", json!({})).await;
    alice.get(&format!("/projects/{empty}/repository/tree")).await.refuses(404, "404 Tree Not Found");
    world.anonymous().get(&path).await.refuses(404, "404 Project Not Found");
}

on_each_database!(
    a_file_is_shown_with_its_content_and_as_headers,
    a_raw_file_is_its_bytes,
    files_are_created_updated_and_deleted,
    the_tree_is_listed_directories_first,
);
