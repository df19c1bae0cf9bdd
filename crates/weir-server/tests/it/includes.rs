//! What a configuration takes from elsewhere: files, paths and ids.

use axum::Router;
use axum::response::Redirect;
use axum::routing::get;
use serde_json::{Value, json};

use crate::harness::{Caller, World};

/// A project with these files on `main`.
async fn project(owner: &Caller, name: &str, files: &[(&str, &str)]) -> i64 {
    let id = owner.project(name, json!({})).await;
    let actions: Vec<Value> = files
        .iter()
        .map(|(path, content)| json!({ "action": "create", "file_path": path, "content": content }))
        .collect();
    let body = json!({ "branch": "main", "commit_message": "[skip ci]", "actions": actions });
    owner.post(&format!("/projects/{id}/repository/commits"), body).await.is(201);
    id
}

/// The names of the jobs of a new pipeline, sorted, or why there is none.
async fn run(caller: &Caller, project: i64) -> Result<Vec<String>, String> {
    let answer = caller.post(&format!("/projects/{project}/pipeline"), json!({ "ref": "main" })).await;
    let status = answer.status;
    let body = answer.is(status);
    if status != 201 {
        return Err(body["message"]["base"][0].as_str().unwrap_or_default().to_owned());
    }
    let path = format!("/projects/{project}/pipelines/{}/jobs", body["id"]);
    let names = caller.get(&path).await.column("name");
    let mut names: Vec<String> = names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect();
    names.sort_unstable();
    Ok(names)
}

async fn a_file_of_another_project_is_included_for_who_may_read_it(world: World) {
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    let shared = [("t.yml", "shared: {script: x}\ninclude: u.yml"), ("u.yml", "nested: {script: x}")];
    project(&alice, "shared", &shared).await;
    let config = "include: [{project: alice/shared, file: t.yml}]\nown: {script: x}";
    let of_alice = project(&alice, "own", &[(".gitlab-ci.yml", config)]).await;
    let of_bob = project(&bob, "own", &[(".gitlab-ci.yml", config)]).await;
    assert_eq!(run(&alice, of_alice).await.unwrap(), ["nested", "own", "shared"]);
    // That the project exists is not told.
    let refused = run(&bob, of_bob).await.unwrap_err();
    assert!(refused.starts_with("Project `alice/shared` not found or access denied!"), "{refused}");

    for (n, (include, expected)) in (0..).zip([
        ("{project: alice/shared, file: gone.yml}", "Project `alice/shared` file `gone.yml` does not exist!"),
        (
            "{project: alice/shared, ref: gone, file: t.yml}",
            "Project `alice/shared` reference `gone` does not exist!",
        ),
        ("{project: alice/gone, file: t.yml}", "Project `alice/gone` not found or access denied!"),
    ]) {
        let id =
            project(&alice, &format!("p{n}"), &[(".gitlab-ci.yml", &format!("include: [{include}]"))]).await;
        let refused = run(&alice, id).await.unwrap_err();
        assert!(refused.starts_with(expected), "{refused}");
    }
}

/// Another server with files; its URL.
async fn elsewhere() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let nested = format!("remote: {{script: x}}\ninclude: '{url}/nested.yml'");
    let router = Router::new()
        .route("/file.yml", get(async move || nested))
        .route("/nested.yml", get(async || "nested: {script: x}"))
        .route("/moved.yml", get(async || Redirect::temporary("/nested.yml")))
        .route("/circle.yml", get(async || Redirect::temporary("/circle.yml")));
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

async fn a_file_of_another_server_is_included(world: World) {
    let alice = world.user("alice").await;
    let url = elsewhere().await;
    for (n, (file, expected)) in (0..).zip([
        ("file.yml", Ok(&["nested", "own", "remote"][..])),
        ("moved.yml", Ok(&["nested", "own"][..])),
        ("gone.yml", Err("could not be fetched because of HTTP code `404` error!")),
        ("circle.yml", Err("could not be fetched because of HTTP error!")),
    ]) {
        let config = format!("include: {{remote: '{url}/{file}'}}\nown: {{script: x}}");
        let id = project(&alice, &format!("p{n}"), &[(".gitlab-ci.yml", &config)]).await;
        match (run(&alice, id).await, expected) {
            (Ok(names), Ok(expected)) => assert_eq!(names, expected, "{file}"),
            (Err(said), Err(expected)) => {
                assert!(said.starts_with(&format!("Remote file `{url}/{file}` {expected}")), "{said}");
            }
            (found, _) => panic!("{file}: {found:?}"),
        }
    }
}

async fn a_rule_looks_for_files_of_another_project(world: World) {
    let alice = world.user("alice").await;
    project(&alice, "other", &[("Dockerfile", "FROM x")]).await;
    for (n, (exists, expected)) in (0..).zip([
        ("{project: alice/other, paths: [Dockerfile]}", Ok(&["other", "own"][..])),
        ("{project: alice/other, ref: main, paths: ['*.md']}", Ok(&["own"][..])),
        (
            "{project: alice/gone, paths: [x]}",
            Err("rules:exists:project `alice/gone` not found or access denied"),
        ),
        (
            "{project: alice/other, ref: v1, paths: [x]}",
            Err("rules:exists:ref `v1` is not a valid ref in project `alice/other`"),
        ),
    ]) {
        let config = format!("own: {{script: x}}\nother: {{script: x, rules: [{{exists: {exists}}}]}}");
        let id = project(&alice, &format!("p{n}"), &[(".gitlab-ci.yml", &config)]).await;
        match (run(&alice, id).await, expected) {
            (Ok(names), Ok(expected)) => assert_eq!(names, expected, "{exists}"),
            (Err(said), Err(expected)) => assert!(said.contains(expected), "{said}"),
            (found, _) => panic!("{exists}: {found:?}"),
        }
    }
}

async fn a_compare_to_that_is_no_ref_is_an_error(world: World) {
    let alice = world.user("alice").await;
    let config = "own: {script: x, rules: [{changes: {paths: [x], compare_to: gone}}]}";
    let id = project(&alice, "p", &[(".gitlab-ci.yml", config)]).await;
    let said = run(&alice, id).await.unwrap_err();
    assert!(said.contains("rules:changes:compare_to is not a valid ref"), "{said}");
}

on_each_database!(
    a_file_of_another_project_is_included_for_who_may_read_it,
    a_file_of_another_server_is_included,
    a_rule_looks_for_files_of_another_project,
    a_compare_to_that_is_no_ref_is_an_error,
);
