//! `/projects/:id/repository/tags`.

use serde_json::{Value, json};

use crate::harness::{Caller, World, has_shape, is_middle_page};

const SHAPE: &[(&str, &str)] = &[
    ("name", "str"),
    ("message", "str"),
    ("target", "str"),
    ("commit", "object"),
    ("release", "null"),
    ("protected", "bool"),
    ("created_at", "time|null"),
];

/// A project with one commit, on `main`; its id.
async fn project(owner: &Caller) -> i64 {
    let id = owner.project("p", json!({ "initialize_with_readme": true })).await;
    owner.get(&format!("/projects/{id}/repository/branches/main")).await.is(200);
    id
}

fn tag(name: &str) -> Value {
    json!({ "tag_name": name, "ref": "main" })
}

async fn tags_are_light_or_annotated(world: World) {
    let alice = world.user("alice").await;
    let path = format!("/projects/{}/repository/tags", project(&alice).await);
    let light = alice.post(&path, tag("v1")).await.is(201);
    has_shape(&light, SHAPE);
    assert_eq!((&light["message"], &light["created_at"]), (&json!(""), &Value::Null));
    assert_eq!(light["target"], light["commit"]["id"]);
    let annotated = json!({ "tag_name": "rel/v2", "ref": "v1", "message": "Second" });
    let annotated = alice.post(&path, annotated).await.is(201);
    has_shape(&annotated, SHAPE);
    assert_eq!(annotated["message"], "Second");
    assert_eq!(annotated["created_at"], "2026-01-05T10:00:00.000Z");
    assert_ne!(annotated["target"], annotated["commit"]["id"]);
    assert_eq!(alice.get(&format!("{path}/rel%2Fv2")).await.is(200), annotated);
    alice.delete(&format!("{path}/rel%2Fv2")).await.is(204);
    alice.get(&format!("{path}/rel%2Fv2")).await.refuses(404, "404 Tag Not Found");
    alice.delete(&format!("{path}/rel%2Fv2")).await.refuses(404, "404 Tag Not Found");
}

async fn a_tag_that_cannot_be_is_told_in_gitlabs_words(world: World) {
    let alice = world.user("alice").await;
    let path = format!("/projects/{}/repository/tags", project(&alice).await);
    alice.post(&path, tag("v1")).await.is(201);
    let hex = "0123456789abcdef0123456789abcdef01234567";
    for (name, target, message) in [
        ("v1", "main", "Tag v1 already exists"),
        ("v2", "nothing", "Target nothing is invalid"),
        ("a..b", "main", "Tag name invalid"),
        ("main", "main", "You cannot use default branch name to create a tag"),
        (hex, "main", "You cannot create a tag with a SHA-1 or SHA-256 tag name."),
    ] {
        alice.post(&path, json!({ "tag_name": name, "ref": target })).await.refuses(400, message);
    }
    alice.post(&path, json!({})).await.complains("tag_name is missing, ref is missing");
}

async fn tags_are_listed_newest_first_unless_asked(world: World) {
    let alice = world.user("alice").await;
    let id = project(&alice).await;
    let path = format!("/projects/{id}/repository/tags");
    assert_eq!(alice.get(&path).await.is(200), json!([]));
    for (name, message) in [("v10", "x"), ("v9", "x"), ("w", "x")] {
        let body = json!({ "tag_name": name, "ref": "main", "message": message });
        alice.post(&path, body).await.is(201);
        world.pass_secs(60);
    }
    for (query, names) in [
        ("", vec!["w", "v9", "v10"]),
        ("?sort=asc", vec!["v10", "v9", "w"]),
        ("?order_by=name&sort=asc", vec!["v10", "v9", "w"]),
        ("?order_by=version&sort=asc", vec!["v9", "v10", "w"]),
        ("?order_by=version", vec!["w", "v10", "v9"]),
        ("?search=^v", vec!["v9", "v10"]),
        ("?pagination=keyset&page_token=w", vec!["v9", "v10"]),
    ] {
        assert_eq!(alice.get(&format!("{path}{query}")).await.column("name"), names, "{query}");
    }
    is_middle_page(&alice.get(&format!("{path}?per_page=1&page=2")).await, &path);
    alice.get(&format!("{path}?order_by=x")).await.complains("order_by does not have a valid value");
}

async fn protected_tags_are_for_those_who_may_create_them(world: World) {
    let (alice, dev, reporter) = (world.user("alice").await, world.user("dev").await, world.user("r").await);
    let id = project(&alice).await;
    alice.invite(&format!("projects/{id}"), &dev, 30).await;
    alice.invite(&format!("projects/{id}"), &reporter, 20).await;
    let path = format!("/projects/{id}/repository/tags");
    alice.post(&format!("/projects/{id}/protected_tags"), json!({ "name": "v*" })).await.is(201);
    let refused = "You are not allowed to create this tag as it is protected.";
    dev.post(&path, tag("v1")).await.refuses(400, refused);
    assert_eq!(alice.post(&path, tag("v1")).await.is(201)["protected"], true);
    assert_eq!(dev.post(&path, tag("w1")).await.is(201)["protected"], false);
    dev.delete(&format!("{path}/v1")).await.refuses(403, "403 Forbidden");
    dev.delete(&format!("{path}/w1")).await.is(204);
    alice.delete(&format!("{path}/v1")).await.is(204);
    reporter.get(&path).await.is(200);
    reporter.post(&path, tag("x")).await.refuses(403, "403 Forbidden");
    world.anonymous().post(&path, tag("x")).await.refuses(401, "401 Unauthorized");
    world.anonymous().get(&path).await.refuses(404, "404 Project Not Found");
    world.user("eve").await.delete(&format!("{path}/v1")).await.refuses(404, "404 Project Not Found");
}

on_each_database!(
    tags_are_light_or_annotated,
    a_tag_that_cannot_be_is_told_in_gitlabs_words,
    tags_are_listed_newest_first_unless_asked,
    protected_tags_are_for_those_who_may_create_them,
);
