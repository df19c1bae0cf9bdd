//! `/user` and `/users`.

use serde_json::{Value, json};

use crate::harness::{World, has_shape, is_middle_page};

const BASIC: &[(&str, &str)] = &[
    ("id", "int"),
    ("username", "str"),
    ("public_email", "str|null"),
    ("name", "str"),
    ("state", "str"),
    ("locked", "bool"),
    ("avatar_url", "str|null"),
    ("web_url", "str"),
];
const FULL: &[(&str, &str)] = &[
    ("created_at", "time"),
    ("bio", "str"),
    ("location", "str|null"),
    ("linkedin", "str"),
    ("twitter", "str"),
    ("website_url", "str"),
    ("organization", "str|null"),
    ("job_title", "str"),
    ("pronouns", "str|null"),
    ("bot", "bool"),
    ("work_information", "str|null"),
    ("followers", "int"),
    ("following", "int"),
    ("local_time", "str|null"),
];
const CURRENT: &[(&str, &str)] = &[
    ("email", "str"),
    ("last_sign_in_at", "time|null"),
    ("confirmed_at", "time"),
    ("last_activity_on", "date|null"),
    ("theme_id", "int"),
    ("color_scheme_id", "int"),
    ("projects_limit", "int"),
    ("current_sign_in_at", "time|null"),
    ("identities", "array"),
    ("can_create_group", "bool"),
    ("can_create_project", "bool"),
    ("two_factor_enabled", "bool"),
    ("external", "bool"),
    ("private_profile", "bool"),
    ("commit_email", "str"),
];

fn bob() -> Value {
    json!({ "email": "bob@example.com", "username": "bob", "name": "Bob", "reset_password": true })
}

async fn a_user_sees_themself_whole(world: World) {
    let alice = world.user("alice").await;
    let user = alice.get("/user").await.is(200);
    for shape in [BASIC, FULL, CURRENT] {
        has_shape(&user, shape);
    }
    assert_eq!(user["web_url"], "http://ci.example/alice");
    assert_eq!(user.get("is_admin"), None);
    assert_eq!(world.root().get("/user").await.is(200)["is_admin"], true);
    world.anonymous().get("/user").await.refuses(401, "401 Unauthorized");
    world.with_token("glpat-unknown").get("/user").await.refuses(401, "401 Unauthorized");
}

async fn users_are_listed_and_found(world: World) {
    let alice = world.user("alice").await;
    world.user("bert").await;
    let all = alice.get("/users").await.is(200);
    has_shape(&all[0], BASIC);
    assert_eq!(all[0].get("email"), None, "only administrators see addresses");
    for (query, names) in [
        ("", vec!["bert", "alice", "root"]),
        ("?username=ALICE", vec!["alice"]),
        ("?username=ali", vec![]),
        ("?search=er", vec!["bert"]),
        ("?search=alice@example.com", vec!["alice"]),
        ("?active=true&search=b", vec!["bert"]),
        ("?blocked=true", vec![]),
    ] {
        assert_eq!(alice.get(&format!("/users{query}")).await.column("username"), names, "{query}");
    }
    assert_eq!(world.root().get("/users?admins=true").await.column("email"), ["admin@example.com"]);
    is_middle_page(&alice.get("/users?per_page=1&page=2").await, "/users");
    alice.get("/users?per_page=x").await.complains("per_page is invalid");
    alice.get("/users?active=perhaps").await.complains("active is invalid");
}

async fn someone_without_credentials_finds_a_user_by_name_only(world: World) {
    let anonymous = world.anonymous();
    assert_eq!(anonymous.get("/users?username=root").await.column("id"), [1]);
    anonymous.get("/users").await.refuses(403, "403 Forbidden - Not authorized to access /api/v4/users");
    anonymous.get("/users/1").await.refuses(403, "403 Forbidden - Not authorized!");
}

async fn one_user_is_shown(world: World) {
    let alice = world.user("alice").await;
    let root = alice.get("/users/1").await.is(200);
    has_shape(&root, BASIC);
    has_shape(&root, FULL);
    assert_eq!(root.get("email"), None);
    let seen_by_root = world.root().get(&format!("/users/{}", alice.id)).await.is(200);
    assert_eq!(seen_by_root["email"], "alice@example.com");
    alice.get("/users/4711").await.refuses(404, "404 User Not Found");
    alice.get("/users/alice").await.complains("id is invalid");
}

async fn administrators_create_users(world: World) {
    let root = world.root();
    let user = root.post("/users", bob()).await.is(201);
    for shape in [BASIC, FULL, CURRENT] {
        has_shape(&user, shape);
    }
    assert_eq!((&user["username"], &user["state"]), (&json!("bob"), &json!("active")));

    root.post("/users", bob()).await.refuses(409, "Email has already been taken");
    let mut other = bob();
    other["email"] = "bob@example.org".into();
    other["username"] = "BOB".into();
    root.post("/users", other).await.refuses(409, "Username has already been taken");

    root.post("/users", json!({})).await.complains(
        "email is missing, username is missing, name is missing, password, reset_password, \
         force_random_password are missing, at least one parameter must be provided",
    );
    world.user("alice").await.post("/users", bob()).await.refuses(403, "403 Forbidden");
    world.anonymous().post("/users", bob()).await.refuses(401, "401 Unauthorized");
}

async fn what_a_user_cannot_be_is_refused(world: World) {
    let path = "can contain only letters, digits, '_', '-' and '.'. Cannot start with '-' or end in '.', '.git' or \
                '.atom'.";
    for (field, value, complaint) in [
        ("email", "bob", "is invalid"),
        ("email", "bob @example.com", "is invalid"),
        ("username", "b/b", path),
        ("username", "admin", "is a reserved name"),
        ("password", "short", "is too short (minimum is 8 characters)"),
    ] {
        let mut user = bob();
        user[field] = value.into();
        let answer = world.root().post("/users", user).await;
        answer.says(400, &json!({ "message": { field: [complaint] } }));
    }
}

async fn administrators_change_users(world: World) {
    let (root, alice) = (world.root(), world.user("alice").await);
    let path = format!("/users/{}", alice.id);
    let change =
        json!({ "name": "Alice A.", "email": "a@example.com", "admin": true, "public_email": "a@b.c" });
    let user = root.put(&path, change).await.is(200);
    for (field, value) in [("name", "Alice A."), ("email", "a@example.com"), ("public_email", "a@b.c")] {
        assert_eq!(user[field], value);
    }
    assert_eq!(user["is_admin"], true);
    root.put(&path, json!({ "email": "admin@example.com" }))
        .await
        .refuses(409, "Email has already been taken");
    root.put("/users/4711", json!({})).await.refuses(404, "404 User Not Found");
    let bert = world.user("bert").await;
    bert.put(&path, json!({ "admin": true })).await.refuses(403, "403 Forbidden");
}

async fn a_blocked_user_may_do_nothing(world: World) {
    let (root, alice) = (world.root(), world.user("alice").await);
    let path = format!("/users/{}", alice.id);
    assert_eq!(root.post(&format!("{path}/block"), json!({})).await.is(201), true);
    alice.get("/user").await.refuses(403, "403 Forbidden - Your account has been blocked");
    assert_eq!(root.get("/users?blocked=true").await.column("state"), ["blocked"]);
    root.post(&format!("{path}/deactivate"), json!({})).await.is(403);
    assert_eq!(root.post(&format!("{path}/unblock"), json!({})).await.is(201), true);
    alice.get("/user").await.is(200);
    root.post("/users/1/block", json!({})).await.is(403);
    alice.post("/users/1/block", json!({})).await.refuses(403, "403 Forbidden");
    root.post("/users/4711/block", json!({})).await.refuses(404, "404 User Not Found");
}

async fn a_deleted_user_is_gone(world: World) {
    let (root, alice) = (world.root(), world.user("alice").await);
    let path = format!("/users/{}", alice.id);
    alice.delete("/users/1").await.refuses(403, "403 Forbidden");
    assert_eq!(root.delete(&path).await.is(204), "");
    root.get(&path).await.refuses(404, "404 User Not Found");
    root.delete(&path).await.refuses(404, "404 User Not Found");
    alice.get("/user").await.refuses(401, "401 Unauthorized");
    root.post(
        "/users",
        json!({ "email": "alice@example.com", "username": "alice", "name": "A", "password": "12345678" }),
    )
    .await
    .is(201);
}

on_each_database!(
    a_user_sees_themself_whole,
    users_are_listed_and_found,
    someone_without_credentials_finds_a_user_by_name_only,
    one_user_is_shown,
    administrators_create_users,
    what_a_user_cannot_be_is_refused,
    administrators_change_users,
    a_blocked_user_may_do_nothing,
    a_deleted_user_is_gone,
);
