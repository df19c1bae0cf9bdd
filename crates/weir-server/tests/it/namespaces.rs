//! `/namespaces`.

use serde_json::json;

use crate::harness::{World, has_shape, is_middle_page};

const SHAPE: &[(&str, &str)] = &[
    ("id", "int"),
    ("name", "str"),
    ("path", "str"),
    ("kind", "str"),
    ("full_path", "str"),
    ("parent_id", "int|null"),
    ("avatar_url", "null"),
    ("web_url", "str"),
];

async fn namespaces_are_those_in_which_one_has_a_part(world: World) {
    let (alice, bert) = (world.user("alice").await, world.user("bert").await);
    let club = alice.group("club", json!({ "visibility": "public" })).await;
    alice.group("inner", json!({ "parent_id": club })).await;
    bert.invite(&format!("groups/{}", bert.group("other", json!({})).await), &alice, 20).await;
    let list = alice.get("/namespaces").await.is(200);
    has_shape(&list[0], SHAPE);
    assert_eq!(list[0]["kind"], "user");
    assert_eq!(list[1]["web_url"], "http://ci.example/groups/club");
    assert_eq!(list[1]["members_count_with_descendants"], 1);
    assert_eq!(list[3].get("members_count_with_descendants"), None, "only owners are told");
    for (query, paths) in [
        ("", vec!["alice", "club", "club/inner", "other"]),
        ("?owned_only=true", vec!["alice", "club", "club/inner"]),
        ("?top_level_only=true", vec!["alice", "club", "other"]),
        ("?search=INN", vec!["club/inner"]),
    ] {
        assert_eq!(alice.get(&format!("/namespaces{query}")).await.column("full_path"), paths, "{query}");
    }
    // Public groups are visible, but one has no part in them.
    assert_eq!(bert.get("/namespaces").await.column("full_path"), ["bert", "other"]);
    assert_eq!(world.root().get("/namespaces").await.column("id").len(), 6);
    is_middle_page(&alice.get("/namespaces?owned_only=true&per_page=1&page=2").await, "/namespaces");
    world.anonymous().get("/namespaces").await.refuses(401, "401 Unauthorized");
}

async fn a_namespace_is_found_by_id_and_path(world: World) {
    let (alice, bert) = (world.user("alice").await, world.user("bert").await);
    let club = alice.group("club", json!({})).await;
    alice.group("inner", json!({ "parent_id": club })).await;
    has_shape(&alice.get("/namespaces/club%2Finner").await.is(200), SHAPE);
    assert_eq!(alice.get(&format!("/namespaces/{club}")).await.is(200)["path"], "club");
    assert_eq!(alice.get("/namespaces/ALICE").await.is(200)["kind"], "user");
    bert.get("/namespaces/club").await.refuses(404, "404 Namespace Not Found");
    alice.get("/namespaces/4711").await.refuses(404, "404 Namespace Not Found");
    world.anonymous().get("/namespaces/club").await.refuses(401, "401 Unauthorized");
}

async fn a_taken_path_comes_with_a_free_one(world: World) {
    let alice = world.user("alice").await;
    let club = alice.group("club", json!({})).await;
    alice.group("inner", json!({ "parent_id": club })).await;
    let inside = format!("inner/exists?parent_id={club}");
    for (path, answer) in [
        ("club/exists", json!({ "exists": true, "suggests": ["club1"] })),
        ("CLUB/exists", json!({ "exists": true, "suggests": ["CLUB1"] })),
        ("free/exists", json!({ "exists": false, "suggests": [] })),
        ("inner/exists", json!({ "exists": false, "suggests": [] })),
        (inside.as_str(), json!({ "exists": true, "suggests": ["inner1"] })),
    ] {
        alice.get(&format!("/namespaces/{path}")).await.says(200, &answer);
    }
    alice.get("/namespaces/x/exists?parent_id=y").await.complains("parent_id is invalid");
    world.anonymous().get("/namespaces/club/exists").await.refuses(401, "401 Unauthorized");
}

on_each_database!(
    namespaces_are_those_in_which_one_has_a_part,
    a_namespace_is_found_by_id_and_path,
    a_taken_path_comes_with_a_free_one,
);
