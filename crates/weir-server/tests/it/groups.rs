//! `/groups`.

use serde_json::json;

use crate::harness::{World, has_shape, is_middle_page};

const SHAPE: &[(&str, &str)] = &[
    ("id", "int"),
    ("web_url", "str"),
    ("name", "str"),
    ("path", "str"),
    ("description", "str"),
    ("visibility", "str"),
    ("full_name", "str"),
    ("full_path", "str"),
    ("parent_id", "int|null"),
    ("created_at", "time"),
    ("avatar_url", "null"),
    ("default_branch", "str|null"),
    ("shared_runners_setting", "str"),
    ("project_creation_level", "str"),
    ("subgroup_creation_level", "str"),
    ("share_with_group_lock", "bool"),
];

async fn a_group_is_created_and_owned_by_its_maker(world: World) {
    let alice = world.user("alice").await;
    let body = json!({ "name": "The Club", "path": "club", "description": "ours", "visibility": "internal" });
    let group = alice.post("/groups", body).await.is(201);
    has_shape(&group, SHAPE);
    assert_eq!(group["web_url"], "http://ci.example/groups/club");
    assert_eq!((&group["visibility"], &group["description"]), (&json!("internal"), &json!("ours")));
    let members = alice.get("/groups/club/members").await.is(200);
    assert_eq!((&members[0]["id"], &members[0]["access_level"]), (&json!(alice.id), &json!(50)));

    let body = json!({ "name": "Inner", "path": "inner", "parent_id": group["id"] });
    let inner = alice.post("/groups", body).await.is(201);
    assert_eq!(
        (&inner["full_path"], &inner["full_name"]),
        (&json!("club/inner"), &json!("The Club / Inner"))
    );
    assert_eq!((&inner["parent_id"], &inner["visibility"]), (&group["id"], &json!("private")));
}

async fn what_a_group_cannot_be_is_refused(world: World) {
    let (alice, bert) = (world.user("alice").await, world.user("bert").await);
    let club = alice.group("club", json!({})).await;
    let new = |path: &str| json!({ "name": "x", "path": path });
    alice.post("/groups", json!({})).await.complains("name is missing, path is missing");
    alice
        .post("/groups", json!({ "name": "x", "path": "x", "visibility": "secret" }))
        .await
        .complains("visibility does not have a valid value");
    for (path, complaint) in [
        ("club", "has already been taken"),
        ("BERT", "has already been taken"),
        ("api", "is a reserved name"),
        (
            "a/b",
            "can contain only letters, digits, '_', '-' and '.'. Cannot start with '-' or end in '.', '.git' or \
             '.atom'.",
        ),
    ] {
        let said = format!("Failed to save group {{:path=>[\"{complaint}\"]}}");
        alice.post("/groups", new(path)).await.refuses(400, &said);
    }
    alice
        .post("/groups", json!({ "name": "x", "path": "x", "parent_id": club, "visibility": "public" }))
        .await
        .refuses(
            400,
            "Failed to save group {:visibility_level=>[\"public is not allowed since the parent group has a private \
             visibility.\"]}",
        );
    let inside = json!({ "name": "x", "path": "x", "parent_id": club });
    bert.post("/groups", inside.clone()).await.refuses(404, "404 Group Not Found");
    alice.invite(&format!("groups/{club}"), &bert, 30).await;
    bert.post("/groups", inside).await.refuses(403, "403 Forbidden");
    alice
        .post("/groups", json!({ "name": "x", "path": "x", "parent_id": 4711 }))
        .await
        .refuses(404, "404 Group Not Found");
    world.anonymous().post("/groups", new("x")).await.refuses(401, "401 Unauthorized");
}

async fn groups_are_listed_to_whom_they_are_visible(world: World) {
    let (alice, bert) = (world.user("alice").await, world.user("bert").await);
    let open = alice.group("open", json!({ "visibility": "public" })).await;
    alice.group("half", json!({ "visibility": "internal" })).await;
    let hidden = alice.group("hidden", json!({})).await;
    alice.group("below", json!({ "parent_id": open, "visibility": "public" })).await;
    let list = bert.get("/groups").await.is(200);
    has_shape(&list[0], SHAPE);
    assert_eq!(bert.get("/groups").await.column("path"), ["below", "half", "open"]);
    assert_eq!(world.anonymous().get("/groups").await.column("path"), ["below", "open"]);
    assert_eq!(world.root().get("/groups").await.column("path").len(), 4);
    alice.invite(&format!("groups/{hidden}"), &bert, 20).await;
    for (query, paths) in [
        ("?search=HID", vec!["hidden"]),
        ("?owned=true", vec![]),
        ("?min_access_level=20", vec!["hidden"]),
        ("?min_access_level=30", vec![]),
        ("?top_level_only=true", vec!["half", "hidden", "open"]),
        ("?visibility=internal", vec!["half"]),
        ("?order_by=id&sort=desc", vec!["below", "hidden", "half", "open"]),
        ("?order_by=path", vec!["below", "half", "hidden", "open"]),
    ] {
        assert_eq!(bert.get(&format!("/groups{query}")).await.column("path"), paths, "{query}");
    }
    assert_eq!(alice.get("/groups?owned=true").await.column("path").len(), 4);
    is_middle_page(&alice.get("/groups?top_level_only=true&per_page=1&page=2").await, "/groups");
    alice.get("/groups?order_by=size").await.complains("order_by does not have a valid value");
    assert_eq!(alice.get(&format!("/groups/{open}/subgroups")).await.column("path"), ["below"]);
    assert_eq!(alice.get("/groups/open/descendant_groups").await.column("full_path"), ["open/below"]);
    bert.get("/groups/4711/subgroups").await.refuses(404, "404 Group Not Found");
}

async fn a_group_is_shown_with_its_projects(world: World) {
    let (alice, bert) = (world.user("alice").await, world.user("bert").await);
    let open = alice.group("open", json!({ "visibility": "public" })).await;
    alice.project("seen", json!({ "namespace_id": open, "visibility": "public" })).await;
    alice.project("unseen", json!({ "namespace_id": open })).await;
    let group = alice.get("/groups/OPEN").await.is(200);
    has_shape(&group, SHAPE);
    assert_eq!(group["projects"].as_array().unwrap().len(), 2);
    assert_eq!(group["shared_projects"], json!([]));
    let seen_by_bert = bert.get(&format!("/groups/{open}")).await.is(200);
    assert_eq!(seen_by_bert["projects"][0]["name"], "seen");
    assert_eq!(seen_by_bert["projects"].as_array().unwrap().len(), 1);
    let without = world.anonymous().get("/groups/open?with_projects=false").await.is(200);
    assert_eq!(without.get("projects"), None);
    alice.group("hidden", json!({})).await;
    for hidden in ["/groups/hidden", "/groups/4711", "/groups/alice"] {
        bert.get(hidden).await.refuses(404, "404 Group Not Found");
    }
}

async fn the_projects_of_a_group_are_listed(world: World) {
    let alice = world.user("alice").await;
    let club = alice.group("club", json!({})).await;
    let inner = alice.group("inner", json!({ "parent_id": club })).await;
    for name in ["one", "two", "three"] {
        alice.project(name, json!({ "namespace_id": club })).await;
    }
    alice.project("deep", json!({ "namespace_id": inner })).await;
    let path = format!("/groups/{club}/projects");
    assert_eq!(alice.get(&path).await.column("path"), ["three", "two", "one"]);
    assert_eq!(
        alice.get(&format!("{path}?include_subgroups=true&search=deep")).await.column("path"),
        ["deep"]
    );
    assert_eq!(alice.get(&format!("{path}?simple=true")).await.is(200)[0].get("permissions"), None);
    is_middle_page(&alice.get(&format!("{path}?per_page=1&page=2")).await, &path);
    world.user("bert").await.get(&path).await.refuses(404, "404 Group Not Found");
}

async fn owners_change_groups(world: World) {
    let (alice, bert) = (world.user("alice").await, world.user("bert").await);
    let club = alice.group("club", json!({ "visibility": "public" })).await;
    let inner = alice.group("inner", json!({ "parent_id": club, "visibility": "internal" })).await;
    let project = alice.project("p", json!({ "namespace_id": inner })).await;
    let path = format!("/groups/{club}");
    let change = json!({ "name": "New", "path": "new", "description": "d", "shared_runners_setting": "disabled_and_unoverridable" });
    let group = alice.put(&path, change).await.is(200);
    has_shape(&group, SHAPE);
    assert_eq!((&group["full_path"], &group["full_name"]), (&json!("new"), &json!("New")));
    assert_eq!((&group["description"], &group["visibility"]), (&json!("d"), &json!("public")));
    assert_ne!(group["shared_runners_setting"], "enabled");
    // What is below moves along.
    assert_eq!(alice.get("/groups/new%2Finner").await.is(200)["full_name"], "New / inner");
    assert_eq!(
        alice.get(&format!("/projects/{project}")).await.is(200)["path_with_namespace"],
        "new/inner/p"
    );

    let refused = |field: &str, complaint: &str| json!({ "message": { field: [complaint] } });
    for (group, change, body) in [
        (club, json!({ "path": "bert" }), refused("path", "has already been taken")),
        (
            club,
            json!({ "visibility": "private" }),
            refused(
                "visibility_level",
                "private is not allowed since there are sub-groups with higher visibility.",
            ),
        ),
    ] {
        alice.put(&format!("/groups/{group}"), change).await.says(400, &body);
    }
    bert.put(&path, json!({ "name": "x" })).await.refuses(403, "403 Forbidden");
    alice.invite(&format!("groups/{club}"), &bert, 40).await;
    bert.put(&path, json!({ "name": "x" })).await.refuses(403, "403 Forbidden");
    alice.put(&path, json!({ "visibility": "x" })).await.complains("visibility does not have a valid value");
    world.anonymous().put(&path, json!({})).await.refuses(401, "401 Unauthorized");
    alice.put("/groups/4711", json!({})).await.refuses(404, "404 Group Not Found");
}

async fn a_deleted_group_takes_all_below_along(world: World) {
    let (alice, bert) = (world.user("alice").await, world.user("bert").await);
    let club = alice.group("club", json!({ "visibility": "public" })).await;
    let inner = alice.group("inner", json!({ "parent_id": club })).await;
    let project = alice.project("p", json!({ "namespace_id": inner })).await;
    bert.delete("/groups/club").await.refuses(403, "403 Forbidden");
    world.anonymous().delete("/groups/club").await.refuses(401, "401 Unauthorized");
    alice.delete("/groups/club").await.refuses(202, "202 Accepted");
    for path in [format!("/groups/{club}"), format!("/groups/{inner}")] {
        alice.get(&path).await.refuses(404, "404 Group Not Found");
    }
    alice.get(&format!("/projects/{project}")).await.refuses(404, "404 Project Not Found");
    assert!(!world.ctx.repositories.repository(project).exists().await);
    alice.group("club", json!({})).await;
}

on_each_database!(
    a_group_is_created_and_owned_by_its_maker,
    what_a_group_cannot_be_is_refused,
    groups_are_listed_to_whom_they_are_visible,
    a_group_is_shown_with_its_projects,
    the_projects_of_a_group_are_listed,
    owners_change_groups,
    a_deleted_group_takes_all_below_along,
);
