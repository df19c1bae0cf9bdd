//! Forks.

use serde_json::json;

use crate::harness::{World, has_shape, is_middle_page};

async fn a_fork_is_a_project_with_the_parents_code(world: World) {
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    let settings =
        json!({ "visibility": "public", "description": "The parent", "initialize_with_readme": true });
    let parent = alice.project("p", settings).await;
    let fork = bob.post(&format!("/projects/{parent}/fork"), json!({})).await.is(201);
    has_shape(&fork, &[("id", "int"), ("forked_from_project", "object"), ("created_at", "time")]);
    assert_eq!(fork["path_with_namespace"], "bob/p");
    assert_eq!((&fork["visibility"], &fork["description"]), (&json!("public"), &json!("The parent")));
    assert_eq!((&fork["default_branch"], &fork["import_status"]), (&json!("main"), &json!("finished")));
    assert_eq!(fork["forked_from_project"]["id"], parent);
    assert_eq!(fork["forked_from_project"]["path_with_namespace"], "alice/p");
    assert_eq!(fork["permissions"]["project_access"]["access_level"], 50);

    let id = &fork["id"];
    let tree = bob.get(&format!("/projects/{id}/repository/tree")).await.column("name");
    assert_eq!(tree, ["README.md"]);
    assert_eq!(bob.get(&format!("/projects/{id}/protected_branches")).await.column("name"), ["main"]);
    assert_eq!(alice.get(&format!("/projects/{parent}")).await.is(200)["forks_count"], 1);
    assert_eq!(alice.get(&format!("/projects/{parent}/forks")).await.column("id"), std::slice::from_ref(id));

    alice.delete(&format!("/projects/{id}/fork")).await.refuses(403, "403 Forbidden");
    assert_eq!(bob.delete(&format!("/projects/{id}/fork")).await.status, 204);
    let alone = bob.get(&format!("/projects/{id}")).await.is(200);
    assert!(alone.get("forked_from_project").is_none());
}

async fn a_fork_goes_where_and_is_called_what_was_asked_for(world: World) {
    let alice = world.user("alice").await;
    let bob = world.user("bob").await;
    let parent =
        alice.project("p", json!({ "visibility": "internal", "initialize_with_readme": true })).await;
    let team = bob.group("team", json!({ "visibility": "private" })).await;
    let fork = format!("/projects/{parent}/fork");
    for (body, path, visibility) in [
        (json!({ "namespace_id": team }), "team/p", "private"),
        (json!({ "namespace_path": "bob", "path": "q", "name": "Q" }), "bob/q", "internal"),
        (json!({ "namespace": "team", "path": "r", "name": "r" }), "team/r", "private"),
        (json!({ "namespace": team, "path": "s", "name": "s" }), "team/s", "private"),
        (json!({ "path": "t", "name": "t", "visibility": "public" }), "bob/t", "internal"),
        (json!({ "path": "u", "name": "u", "visibility": "private" }), "bob/u", "private"),
        (json!({ "path": "v", "name": "v", "branches": "main" }), "bob/v", "internal"),
    ] {
        let made = bob.post(&fork, body).await.is(201);
        assert_eq!((&made["path_with_namespace"], &made["visibility"]), (&json!(path), &json!(visibility)));
    }
    let taken = json!({ "name": ["has already been taken"], "path": ["has already been taken"] });
    bob.post(&fork, json!({ "namespace_id": team })).await.says(409, &json!({ "message": taken }));
    bob.post(&fork, json!({ "namespace_path": "alice" }))
        .await
        .refuses(404, "404 Target Namespace Not Found");
    bob.post(&fork, json!({ "namespace_path": "no" })).await.refuses(404, "404 Target Namespace Not Found");
    bob.post(&fork, json!({ "branches": "no" })).await.refuses(404, "404 Branch Not Found");
    bob.post(&fork, json!({ "visibility": "x" })).await.complains("visibility does not have a valid value");

    for path in ["w", "x", "y"] {
        alice.post(&fork, json!({ "path": path, "name": path })).await.is(201);
    }
    let forks = format!("/projects/{parent}/forks");
    let seen = alice.get(&format!("{forks}?order_by=name&sort=asc")).await.column("path");
    assert_eq!(seen, ["Q", "t", "v", "w", "x", "y"].map(str::to_lowercase), "not those that are hidden");
    let page = alice.get(&format!("{forks}?owned=true&page=2&per_page=1")).await;
    is_middle_page(&page, &forks);
}

async fn what_one_may_not_read_one_may_not_fork(world: World) {
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    let private = alice.project("p", json!({ "initialize_with_readme": true })).await;
    let fork = format!("/projects/{private}/fork");
    world.anonymous().post(&fork, json!({})).await.refuses(401, "401 Unauthorized");
    bob.post(&fork, json!({})).await.refuses(404, "404 Project Not Found");
    alice.invite(&format!("projects/{private}"), &bob, 10).await;
    bob.post(&fork, json!({})).await.refuses(403, "403 Forbidden");
    bob.get(&format!("/projects/{private}/forks")).await.is(200);

    let carol = world.user("carol").await;
    alice.invite(&format!("projects/{private}"), &carol, 20).await;
    let made = carol.post(&fork, json!({ "visibility": "public" })).await.is(201);
    assert_eq!(made["visibility"], "private", "what is private stays so");
    // Whoever sees the fork need not see the parent.
    carol.invite(&format!("projects/{}", made["id"]), &world.user("dave").await, 20).await;
    let dave = world.root().get("/users?username=dave").await.is(200)[0]["id"].clone();
    let token = json!({ "name": "all", "scopes": ["api"] });
    let token = world.root().post(&format!("/users/{dave}/personal_access_tokens"), token).await.is(201);
    let dave = world.with_token(token["token"].as_str().unwrap());
    assert!(
        dave.get(&format!("/projects/{}", made["id"])).await.is(200).get("forked_from_project").is_none()
    );
}

async fn an_empty_project_is_forked_and_variables_stay_behind(world: World) {
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    let parent = alice.project("p", json!({ "visibility": "public" })).await;
    let fork = bob.post(&format!("/projects/{parent}/fork"), json!({})).await.is(201);
    assert_eq!((&fork["default_branch"], &fork["empty_repo"]), (&json!(null), &json!(true)));
}

on_each_database!(
    a_fork_is_a_project_with_the_parents_code,
    a_fork_goes_where_and_is_called_what_was_asked_for,
    what_one_may_not_read_one_may_not_fork,
    an_empty_project_is_forked_and_variables_stay_behind,
);
