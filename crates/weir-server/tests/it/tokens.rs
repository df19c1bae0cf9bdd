//! `/personal_access_tokens` and the ways to make one.

use serde_json::{Value, json};

use crate::harness::{Caller, World, has_shape, is_middle_page};

const SHAPE: &[(&str, &str)] = &[
    ("id", "int"),
    ("name", "str"),
    ("revoked", "bool"),
    ("created_at", "time"),
    ("description", "str|null"),
    ("scopes", "array"),
    ("user_id", "int"),
    ("last_used_at", "time|null"),
    ("active", "bool"),
    ("expires_at", "date"),
];

async fn make(world: &World, of: &Caller, more: Value) -> Value {
    let mut body = json!({ "name": "made", "scopes": ["api"] });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    world.root().post(&format!("/users/{}/personal_access_tokens", of.id), body).await.is(201)
}

fn text(token: &Value) -> &str {
    token["token"].as_str().unwrap()
}

async fn administrators_make_tokens_for_others(world: World) {
    let alice = world.user("alice").await;
    let made = make(&world, &alice, json!({ "description": "for CI", "expires_at": "2026-02-01" })).await;
    has_shape(&made, SHAPE);
    assert!(text(&made).starts_with("glpat-"));
    assert_eq!((&made["user_id"], &made["expires_at"]), (&json!(alice.id), &json!("2026-02-01")));
    assert_eq!((&made["active"], &made["scopes"]), (&json!(true), &json!(["api"])));
    assert_eq!(world.with_token(text(&made)).get("/user").await.is(200)["id"], alice.id);

    let path = format!("/users/{}/personal_access_tokens", alice.id);
    let body = json!({ "name": "x", "scopes": ["api"] });
    alice.post(&path, body.clone()).await.refuses(403, "403 Forbidden");
    world.anonymous().post(&path, body.clone()).await.refuses(401, "401 Unauthorized");
    let root = world.root();
    root.post("/users/4711/personal_access_tokens", body).await.refuses(404, "404 User Not Found");
    root.post(&path, json!({})).await.complains("name is missing, scopes is missing");
    root.post(&path, json!({ "name": "x", "scopes": ["all"] }))
        .await
        .complains("scopes does not have a valid value");
    root.post(&path, json!({ "name": "x", "scopes": ["api"], "expires_at": "soon" }))
        .await
        .complains("expires_at is invalid");
    root.post(&path, json!({ "name": "x", "scopes": ["api"], "expires_at": "2030-01-01" }))
        .await
        .refuses(422, "Expiration date must be before 2027-01-05");
    root.post(&path, json!({ "name": "x", "scopes": [] })).await.refuses(422, "Scopes can't be blank");
}

async fn a_token_lives_a_year_unless_asked(world: World) {
    let alice = world.user("alice").await;
    assert_eq!(make(&world, &alice, json!({})).await["expires_at"], "2027-01-05");
    let made = make(&world, &alice, json!({ "expires_at": "2026-01-06" })).await;
    world.with_token(text(&made)).get("/user").await.is(200);
    world.pass_secs(86_400);
    let expired = world.with_token(text(&made)).get("/user").await;
    expired.says(
        401,
        &json!({
            "error": "invalid_token",
            "error_description": "Token is expired. You can either do re-authorization or token refresh.",
        }),
    );
}

async fn users_make_tokens_with_few_scopes_for_a_day(world: World) {
    let alice = world.user("alice").await;
    let path = "/user/personal_access_tokens";
    let made = alice.post(path, json!({ "name": "mine", "scopes": ["self_rotate"] })).await.is(201);
    assert_eq!((&made["expires_at"], &made["user_id"]), (&json!("2026-01-06"), &json!(alice.id)));
    alice
        .post(path, json!({ "name": "x", "scopes": ["api"] }))
        .await
        .complains("scopes does not have a valid value");
    world.anonymous().post(path, json!({})).await.refuses(401, "401 Unauthorized");

    let rotator = world.with_token(text(&made));
    rotator.get("/user").await.is(403);
    rotator.post("/personal_access_tokens/self/rotate", json!({})).await.is(200);
}

async fn tokens_are_listed_to_whom_they_belong(world: World) {
    let (alice, bert) = (world.user("alice").await, world.user("bert").await);
    let revoked = make(&world, &alice, json!({ "name": "revoked" })).await;
    make(&world, &alice, json!({ "name": "short", "expires_at": "2026-01-06" })).await;
    world.with_token(text(&revoked)).delete("/personal_access_tokens/self").await.is(204);
    world.pass_secs(86_400);

    let list = alice.get("/personal_access_tokens").await.is(200);
    has_shape(&list[0], SHAPE);
    assert_eq!(list[0].get("token"), None, "the text is told once");
    for (query, names) in [
        ("", vec!["all", "revoked", "short"]),
        ("?revoked=true", vec!["revoked"]),
        ("?state=active", vec!["all"]),
        ("?state=inactive", vec!["revoked", "short"]),
    ] {
        let path = format!("/personal_access_tokens{query}");
        assert_eq!(alice.get(&path).await.column("name"), names, "{query}");
    }
    is_middle_page(&alice.get("/personal_access_tokens?per_page=1&page=2").await, "/personal_access_tokens");
    let of_alice = format!("/personal_access_tokens?user_id={}", alice.id);
    assert_eq!(world.root().get(&of_alice).await.column("user_id"), vec![alice.id; 3]);
    assert_eq!(world.root().get("/personal_access_tokens").await.column("id").len(), 5);
    bert.get(&of_alice).await.refuses(401, "401 Unauthorized");
    alice.get("/personal_access_tokens?state=x").await.complains("state does not have a valid value");
    world.anonymous().get("/personal_access_tokens").await.refuses(401, "401 Unauthorized");
}

async fn a_token_is_shown_to_its_user(world: World) {
    let (alice, bert) = (world.user("alice").await, world.user("bert").await);
    let made = make(&world, &alice, json!({ "scopes": ["read_user"] })).await;
    let path = format!("/personal_access_tokens/{}", made["id"]);
    has_shape(&alice.get(&path).await.is(200), SHAPE);
    world.root().get(&path).await.is(200);
    bert.get(&path).await.refuses(401, "401 Unauthorized");
    bert.get("/personal_access_tokens/4711").await.refuses(401, "401 Unauthorized");
    world.root().get("/personal_access_tokens/4711").await.refuses(404, "404 Not Found");
    // Whatever its scopes, a token may look at itself.
    let own = world.with_token(text(&made)).get("/personal_access_tokens/self").await.is(200);
    assert_eq!(own["id"], made["id"]);
    assert_eq!(alice.get(&path).await.is(200)["last_used_at"], "2026-01-05T10:00:00.000Z");
    world.anonymous().get("/personal_access_tokens/self").await.refuses(401, "401 Unauthorized");
}

async fn rotation_replaces_a_token(world: World) {
    let (alice, bert) = (world.user("alice").await, world.user("bert").await);
    let old = make(&world, &alice, json!({ "description": "kept" })).await;
    let path = format!("/personal_access_tokens/{}/rotate", old["id"]);
    bert.post(&path, json!({})).await.refuses(401, "401 Unauthorized");
    world.root().post("/personal_access_tokens/4711/rotate", json!({})).await.refuses(404, "404 Not Found");

    let new = alice.post(&path, json!({})).await.is(200);
    has_shape(&new, SHAPE);
    assert_ne!(new["id"], old["id"]);
    assert_eq!((&new["name"], &new["description"]), (&old["name"], &old["description"]));
    assert_eq!((&new["scopes"], &new["expires_at"]), (&old["scopes"], &json!("2026-01-12")));
    let revoked = json!({
        "error": "invalid_token",
        "error_description": "Token was revoked. You have to re-authorize from the user.",
    });
    world.with_token(text(&old)).get("/user").await.says(401, &revoked);
    alice.post(&path, json!({})).await.refuses(400, "400 Bad request - token already revoked");

    let itself = world.with_token(text(&new));
    let newer =
        itself.post("/personal_access_tokens/self/rotate", json!({ "expires_at": "2026-03-01" })).await;
    assert_eq!(newer.is(200)["expires_at"], "2026-03-01");
    itself.get("/user").await.says(401, &revoked);
}

async fn a_revoked_token_is_dead(world: World) {
    let (alice, bert) = (world.user("alice").await, world.user("bert").await);
    let made = make(&world, &alice, json!({})).await;
    let path = format!("/personal_access_tokens/{}", made["id"]);
    bert.delete(&path).await.refuses(400, "400 Bad request");
    alice.delete("/personal_access_tokens/4711").await.refuses(404, "404 Not found");
    world.anonymous().delete(&path).await.refuses(401, "401 Unauthorized");
    alice.delete(&path).await.is(204);
    world.with_token(text(&made)).get("/user").await.is(401);
    assert_eq!(alice.get(&path).await.is(200)["revoked"], true);
}

async fn a_scope_that_is_too_small_is_named(world: World) {
    let alice = world.user("alice").await;
    let reader = make(&world, &alice, json!({ "scopes": ["read_api"] })).await;
    let refused = world.with_token(text(&reader)).post("/user/personal_access_tokens", json!({})).await;
    refused.says(
        403,
        &json!({
            "error": "insufficient_scope",
            "error_description": "The request requires higher privileges than provided by the access token.",
            "scope": "api",
        }),
    );
}

on_each_database!(
    administrators_make_tokens_for_others,
    a_token_lives_a_year_unless_asked,
    users_make_tokens_with_few_scopes_for_a_day,
    tokens_are_listed_to_whom_they_belong,
    a_token_is_shown_to_its_user,
    rotation_replaces_a_token,
    a_revoked_token_is_dead,
    a_scope_that_is_too_small_is_named,
);
