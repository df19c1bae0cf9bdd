//! `…/protected_branches` and `…/protected_tags`.

use serde_json::json;

use crate::harness::{World, has_shape, is_middle_page};

async fn branches_are_protected(world: World) {
    let alice = world.user("alice").await;
    let path = format!("/projects/{}/protected_branches", alice.project("p", json!({})).await);
    let branch = alice.post(&path, json!({ "name": "main" })).await.is(201);
    has_shape(&branch, &[("id", "int"), ("name", "str"), ("allow_force_push", "bool")]);
    for levels in ["push_access_levels", "merge_access_levels"] {
        let level = &branch[levels][0];
        has_shape(
            level,
            &[("id", "int"), ("user_id", "null"), ("group_id", "null"), ("deploy_key_id", "null")],
        );
        assert_eq!(level["access_level"], 40);
        assert_eq!(level["access_level_description"], "Maintainers");
    }
    let wild = json!({
        "name": "release/*", "push_access_level": 0, "merge_access_level": "30", "allow_force_push": true,
    });
    let wild = alice.post(&path, wild).await.is(201);
    assert_eq!(wild["push_access_levels"][0]["access_level_description"], "No one");
    assert_eq!(wild["merge_access_levels"][0]["access_level_description"], "Developers + Maintainers");
    assert_eq!(wild["allow_force_push"], true);
    let several =
        json!({ "name": "dev", "allowed_to_push": [{ "access_level": 40 }, { "access_level": 30 }] });
    assert_eq!(alice.post(&path, several).await.is(201)["push_access_levels"][0]["access_level"], 30);

    assert_eq!(alice.get(&path).await.column("name"), ["dev", "main", "release/*"]);
    assert_eq!(alice.get(&format!("{path}?search=rel")).await.column("name"), ["release/*"]);
    is_middle_page(&alice.get(&format!("{path}?per_page=1&page=2")).await, &path);
    let one = format!("{path}/release%2F*");
    assert_eq!(alice.get(&one).await.is(200), wild);
    let changed =
        alice.call(axum::http::Method::PATCH, &one, Some(json!({ "allow_force_push": false }))).await;
    assert_eq!(changed.is(200)["allow_force_push"], false);
    assert_eq!(alice.delete(&one).await.is(204), "");
    alice.get(&one).await.refuses(404, "404 Not found");
    alice.delete(&one).await.refuses(404, "404 Not found");
}

async fn tags_are_protected(world: World) {
    let alice = world.user("alice").await;
    let path = format!("/projects/{}/protected_tags", alice.project("p", json!({})).await);
    let tag = alice.post(&path, json!({ "name": "v*", "create_access_level": 30 })).await.is(201);
    assert_eq!(tag["name"], "v*");
    let level = &tag["create_access_levels"][0];
    assert_eq!(level["access_level_description"], "Developers + Maintainers");
    has_shape(level, &[("id", "int"), ("access_level", "int")]);
    alice.post(&path, json!({ "name": "a" })).await.is(201);
    alice.post(&path, json!({ "name": "z" })).await.is(201);
    assert_eq!(alice.get(&path).await.column("name"), ["a", "v*", "z"]);
    is_middle_page(&alice.get(&format!("{path}?per_page=1&page=2")).await, &path);
    assert_eq!(alice.get(&format!("{path}/v*")).await.is(200), tag);
    alice
        .post(&path, json!({ "name": "v*" }))
        .await
        .says(422, &json!({ "message": ["Name has already been taken"] }));
    assert_eq!(alice.delete(&format!("{path}/v*")).await.is(204), "");
    alice.get(&format!("{path}/v*")).await.refuses(404, "404 Not found");
}

async fn only_maintainers_protect(world: World) {
    let (alice, bert) = (world.user("alice").await, world.user("bert").await);
    let project = alice.project("p", json!({})).await;
    for (kind, taken) in [("branches", Some("Protected branch 'x' already exists")), ("tags", None)] {
        let path = format!("/projects/{project}/protected_{kind}");
        let new = json!({ "name": "x" });
        alice.post(&path, json!({})).await.complains("name is missing");
        let level = if kind == "tags" { "create_access_level" } else { "push_access_level" };
        let complaint = format!("{level} does not have a valid value");
        alice.post(&path, json!({ "name": "x", level: 20 })).await.complains(&complaint);
        alice.post(&path, new.clone()).await.is(201);
        if let Some(taken) = taken {
            alice.post(&path, new.clone()).await.refuses(409, taken);
        }
        world.anonymous().get(&path).await.refuses(401, "401 Unauthorized");
        bert.get(&path).await.refuses(404, "404 Project Not Found");
        bert.post(&path, new.clone()).await.refuses(404, "404 Project Not Found");
    }
    alice.invite(&format!("projects/{project}"), &bert, 30).await;
    for kind in ["branches", "tags"] {
        let path = format!("/projects/{project}/protected_{kind}");
        assert_eq!(bert.get(&path).await.column("name"), ["x"]);
        bert.post(&path, json!({ "name": "y" })).await.refuses(403, "403 Forbidden");
        bert.delete(&format!("{path}/x")).await.refuses(403, "403 Forbidden");
    }
}

on_each_database!(branches_are_protected, tags_are_protected, only_maintainers_protect);
