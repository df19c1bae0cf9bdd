//! `GET /version`, `GET /metadata`, `GET /application/settings`.

use serde_json::json;

use crate::harness::{World, has_shape};

async fn the_version_is_one_that_clients_know(world: World) {
    let alice = world.user("alice").await;
    for path in ["/version", "/metadata"] {
        let metadata = alice.get(path).await.is(200);
        let version: Vec<u32> =
            metadata["version"].as_str().unwrap().split('.').map(|part| part.parse().unwrap()).collect();
        assert!(version >= vec![16, 0, 0], "{metadata}");
        has_shape(&metadata, &[("revision", "str"), ("enterprise", "bool")]);
        assert_eq!(
            metadata["kas"],
            json!({ "enabled": false, "externalUrl": null, "externalK8sProxyUrl": null, "version": null })
        );
        world.anonymous().get(path).await.refuses(401, "401 Unauthorized");
    }
}

async fn only_administrators_see_the_settings(world: World) {
    let settings = world.root().get("/application/settings").await.is(200);
    has_shape(
        &settings,
        &[("id", "int"), ("max_artifacts_size", "int"), ("default_project_visibility", "str")],
    );
    world.user("alice").await.get("/application/settings").await.refuses(403, "403 Forbidden");
    world.anonymous().get("/application/settings").await.refuses(401, "401 Unauthorized");
}

async fn a_verb_that_a_route_lacks_is_405_and_an_unknown_route_404(world: World) {
    world.root().delete("/version").await.says(405, &json!({ "error": "405 Not Allowed" }));
    world.root().get("/versions").await.says(404, &json!({ "error": "404 Not Found" }));
}

on_each_database!(
    the_version_is_one_that_clients_know,
    only_administrators_see_the_settings,
    a_verb_that_a_route_lacks_is_405_and_an_unknown_route_404,
);
