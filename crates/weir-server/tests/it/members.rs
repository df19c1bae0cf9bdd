//! `…/members` of projects and groups.

use serde_json::json;

use crate::harness::{World, has_shape, is_middle_page};

const SHAPE: &[(&str, &str)] = &[
    ("id", "int"),
    ("username", "str"),
    ("name", "str"),
    ("state", "str"),
    ("locked", "bool"),
    ("avatar_url", "null"),
    ("web_url", "str"),
    ("access_level", "int"),
    ("created_at", "time"),
    ("created_by", "object|null"),
    ("expires_at", "date|null"),
    ("membership_state", "str"),
];

async fn members_are_added_changed_and_removed(world: World) {
    let (alice, bert) = (world.user("alice").await, world.user("bert").await);
    let group = alice.group("club", json!({})).await;
    let project = alice.project("p", json!({})).await;
    for place in [format!("/groups/{group}/members"), format!("/projects/{project}/members")] {
        let body = json!({ "user_id": bert.id, "access_level": 30, "expires_at": "2026-02-01" });
        let member = alice.post(&place, body.clone()).await.is(201);
        has_shape(&member, SHAPE);
        assert_eq!((&member["access_level"], &member["expires_at"]), (&json!(30), &json!("2026-02-01")));
        assert_eq!(member["created_by"]["id"], alice.id);
        alice.post(&place, body).await.refuses(409, "Member already exists");

        let one = format!("{place}/{}", bert.id);
        has_shape(&bert.get(&one).await.is(200), SHAPE);
        let member = alice.put(&one, json!({ "access_level": "40" })).await.is(200);
        assert_eq!((&member["access_level"], &member["expires_at"]), (&json!(40), &json!("2026-02-01")));
        let member = alice.put(&one, json!({ "access_level": 40, "expires_at": "" })).await.is(200);
        assert_eq!(member["expires_at"], json!(null));

        assert_eq!(alice.delete(&one).await.is(204), "");
        alice.get(&one).await.refuses(404, "404 Not found");
        alice.delete(&one).await.refuses(404, "404 Not found");
        alice.put(&one, json!({ "access_level": 30 })).await.refuses(404, "404 Not found");
    }
}

async fn what_a_membership_cannot_be_is_refused(world: World) {
    let (alice, bert) = (world.user("alice").await, world.user("bert").await);
    let group = alice.group("club", json!({})).await;
    let project = alice.project("p", json!({ "namespace_id": group })).await;
    let (of_group, of_project) = (format!("/groups/{group}/members"), format!("/projects/{project}/members"));
    for place in [&of_group, &of_project] {
        alice.post(place, json!({})).await.complains("user_id is missing, access_level is missing");
        for (level, complaint) in [
            (json!(33), "access_level does not have a valid value"),
            (json!("high"), "access_level is invalid"),
            (json!(60), "access_level does not have a valid value"),
        ] {
            let body = json!({ "user_id": bert.id, "access_level": level });
            alice.post(place, body).await.complains(complaint);
        }
        alice
            .post(place, json!({ "user_id": bert.id, "access_level": 30, "expires_at": "soon" }))
            .await
            .complains("expires_at is invalid");
        alice
            .post(place, json!({ "user_id": 4711, "access_level": 30 }))
            .await
            .refuses(404, "404 User Not Found");
        world.anonymous().post(place, json!({})).await.refuses(401, "401 Unauthorized");
    }
    bert.post(&of_group, json!({})).await.refuses(404, "404 Group Not Found");
    bert.post(&of_project, json!({})).await.refuses(404, "404 Project Not Found");
    alice.invite(&format!("groups/{group}"), &bert, 40).await;
    alice.post(&of_project, json!({ "user_id": bert.id, "access_level": 30 })).await.says(
        400,
        &json!({ "message": { "access_level": [
            "should be greater than or equal to Maintainer inherited membership from group club"
        ] } }),
    );
}

async fn nobody_gives_more_than_they_have(world: World) {
    let users = [world.user("alice").await, world.user("bert").await, world.user("carl").await];
    let [alice, bert, carl] = &users;
    let group = alice.group("club", json!({})).await;
    let project = alice.project("p", json!({ "namespace_id": group })).await;
    let (of_group, of_project) = (format!("/groups/{group}/members"), format!("/projects/{project}/members"));
    alice.invite(&format!("groups/{group}"), bert, 40).await;
    // Maintainers manage the members of projects, not those of groups.
    let carl_as = |level: i64| json!({ "user_id": carl.id, "access_level": level });
    bert.post(&of_group, carl_as(10)).await.refuses(403, "403 Forbidden");
    bert.post(&of_project, carl_as(50)).await.refuses(403, "403 Forbidden");
    bert.post(&of_project, carl_as(40)).await.is(201);
    let of_carl = format!("{of_project}/{}", carl.id);
    bert.put(&of_carl, json!({ "access_level": 50 })).await.refuses(403, "403 Forbidden");
    // Nor do they touch whoever is above them.
    alice.put(&of_carl, json!({ "access_level": 50 })).await.is(200);
    bert.put(&of_carl, json!({ "access_level": 30 })).await.refuses(403, "403 Forbidden");
    bert.delete(&of_carl).await.refuses(403, "403 Forbidden");
    // The last owner stays; everyone else may leave.
    let of_alice = format!("{of_group}/{}", alice.id);
    alice.delete(&of_alice).await.refuses(403, "403 Forbidden");
    alice.put(&of_alice, json!({ "access_level": 40 })).await.refuses(403, "403 Forbidden");
    bert.delete(&of_alice).await.refuses(403, "403 Forbidden");
    bert.delete(&format!("{of_group}/{}", bert.id)).await.is(204);
    bert.get(&of_group).await.refuses(404, "404 Group Not Found");
}

async fn members_are_listed_with_and_without_those_from_above(world: World) {
    let users = [world.user("alice").await, world.user("bert").await, world.user("carl").await];
    let [alice, bert, carl] = &users;
    let group = alice.group("club", json!({})).await;
    let inner = alice.group("inner", json!({ "parent_id": group })).await;
    let project = alice.project("p", json!({ "namespace_id": inner })).await;
    alice.invite(&format!("groups/{group}"), bert, 20).await;
    alice.invite(&format!("projects/{project}"), bert, 30).await;
    alice.invite(&format!("projects/{project}"), carl, 10).await;
    let path = format!("/projects/{project}/members");
    assert_eq!(carl.get(&path).await.column("username"), ["bert", "carl"]);
    let all = carl.get(&format!("{path}/all")).await;
    has_shape(&all.body[0], SHAPE);
    assert_eq!(all.column("access_level"), [50, 30, 10], "the highest membership counts");
    assert_eq!(carl.get(&format!("{path}/all?query=ALI")).await.column("username"), ["alice"]);
    assert_eq!(alice.get(&format!("/groups/{inner}/members/all")).await.column("access_level"), [50, 20]);
    assert_eq!(alice.get(&format!("/groups/{inner}/members")).await.column("username"), ["alice"]);
    is_middle_page(&carl.get(&format!("{path}/all?per_page=1&page=2")).await, &format!("{path}/all"));
    assert_eq!(carl.get(&format!("{path}/all/{}", alice.id)).await.is(200)["access_level"], 50);
    carl.get(&format!("{path}/{}", alice.id)).await.refuses(404, "404 Not found");
    for path in [path, format!("/groups/{group}/members")] {
        world.anonymous().get(&path).await.refuses(401, "401 Unauthorized");
    }
    world
        .user("dora")
        .await
        .get(&format!("/groups/{group}/members"))
        .await
        .refuses(404, "404 Group Not Found");
}

async fn an_expired_membership_gives_nothing(world: World) {
    let (alice, bert) = (world.user("alice").await, world.user("bert").await);
    let project = alice.project("p", json!({})).await;
    let body = json!({ "user_id": bert.id, "access_level": 40, "expires_at": "2026-01-06" });
    alice.post(&format!("/projects/{project}/members"), body).await.is(201);
    bert.get(&format!("/projects/{project}")).await.is(200);
    world.pass_secs(86_400);
    bert.get(&format!("/projects/{project}")).await.refuses(404, "404 Project Not Found");
}

on_each_database!(
    members_are_added_changed_and_removed,
    what_a_membership_cannot_be_is_refused,
    nobody_gives_more_than_they_have,
    members_are_listed_with_and_without_those_from_above,
    an_expired_membership_gives_nothing,
);
