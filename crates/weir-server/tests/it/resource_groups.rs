//! `…/resource_groups`, and how jobs of a group wait for each other.

use serde_json::json;
use weir_server::app::resource_groups::assign;

use crate::harness::{World, has_shape, is_middle_page};
use crate::scene::Scene;

const DEPLOY: &str = "
stages: [build, deploy]
build:
  stage: build
  script: make
deploy:
  stage: deploy
  script: make deploy
  resource_group: $CI_COMMIT_BRANCH/production
";
const GROUP: &str = "/resource_groups/main%2Fproduction";

/// How the pipelines' deploy jobs stand.
async fn deploys(scene: &Scene<'_>, pipelines: &[i64]) -> String {
    let mut statuses = Vec::new();
    for pipeline in pipelines {
        let jobs = scene.jobs(*pipeline).await;
        statuses.push(jobs.split("deploy:").nth(1).unwrap().to_owned());
    }
    statuses.join(" ")
}

async fn groups_are_made_with_pipelines_and_can_be_changed(world: World) {
    let scene = Scene::new(&world, "a: { script: x, resource_group: a }").await;
    let path = scene.path("/resource_groups");
    scene.alice.get(&path).await.says(200, &json!([]));
    let pipeline = scene.run().await;
    scene.configure("b: { script: x, resource_group: b.c }\nc: { script: x, resource_group: $NAME/x }").await;
    let body = json!({ "ref": "main", "variables": [{ "key": "NAME", "value": "y" }] });
    scene.alice.post(&scene.path("/pipeline"), body).await.is(201);
    assert_eq!(scene.alice.get(&path).await.column("key"), ["a", "b.c", "y/x"]);
    is_middle_page(&scene.alice.get(&format!("{path}?per_page=1&page=2")).await, &path);

    let one = scene.alice.get(&format!("{path}/y%2Fx")).await.is(200);
    assert_eq!(one.as_object().unwrap().len(), 5);
    has_shape(&one, &[("id", "int"), ("created_at", "time"), ("updated_at", "time")]);
    assert_eq!((&one["key"], &one["process_mode"]), (&json!("y/x"), &json!("unordered")));
    let current = scene.alice.get(&format!("{path}/a/current_job")).await.is(200);
    assert_eq!((&current["name"], &current["pipeline"]["id"]), (&json!("a"), &json!(pipeline)));
    assert!(current.get("artifacts").is_none());
    scene.alice.get(&format!("{path}/a/upcoming_jobs")).await.says(200, &json!([]));

    world.pass_secs(5);
    let changed =
        scene.alice.put(&format!("{path}/a"), json!({ "process_mode": "newest_ready_first" })).await;
    let changed = changed.is(200);
    assert_eq!(changed["process_mode"], "newest_ready_first");
    assert_ne!(changed["created_at"], changed["updated_at"]);
    assert_eq!(scene.alice.put(&format!("{path}/a"), json!({})).await.is(200), changed);
    let odd = json!({ "process_mode": "random" });
    scene.alice.put(&format!("{path}/a"), odd).await.complains("process_mode does not have a valid value");

    let bert = world.user("bert").await;
    for path in [path.clone(), format!("{path}/a"), format!("{path}/a/current_job")] {
        world.anonymous().get(&path).await.refuses(401, "401 Unauthorized");
        bert.get(&path).await.refuses(404, "404 Project Not Found");
    }
    for rest in ["", "/current_job", "/upcoming_jobs"] {
        scene.alice.get(&format!("{path}/none{rest}")).await.refuses(404, "404 Not found");
    }
    scene.alice.invite(&format!("projects/{}", scene.project), &bert, 20).await;
    bert.get(&path).await.refuses(403, "403 Forbidden");
    bert.put(&format!("{path}/a"), json!({})).await.refuses(403, "403 Forbidden");
}

async fn jobs_of_a_group_run_one_at_a_time(world: World) {
    let scene = Scene::new(&world, DEPLOY).await;
    let (one, two, three) = (scene.run().await, scene.run().await, scene.run().await);
    let builds = [scene.take().await, scene.take().await, scene.take().await];
    for build in builds {
        scene.end(build, "success").await;
    }
    let all = [one, two, three];
    assert_eq!(deploys(&scene, &all).await, "pending waiting_for_resource waiting_for_resource");
    let deploy = scene.take().await;
    let upcoming = format!("{}/upcoming_jobs", scene.path(GROUP));
    let current = format!("{}/current_job", scene.path(GROUP));
    assert_eq!(scene.alice.get(&current).await.is(200)["id"], deploy.id);
    let ids = [scene.job(two, "deploy").await, scene.job(three, "deploy").await];
    assert_eq!(scene.alice.get(&upcoming).await.column("id"), ids);
    assert_eq!(scene.alice.get(&format!("{upcoming}?page=2&per_page=1")).await.column("id"), ids[1..]);

    // One that is canceled leaves the line; a retry stands in it again.
    scene.alice.post(&scene.path(&format!("/jobs/{}/cancel", ids[0])), json!({})).await.is(201);
    scene.end(deploy, "failed").await;
    assert_eq!(deploys(&scene, &all).await, "failed canceled pending");
    scene.alice.post(&scene.path(&format!("/pipelines/{one}/retry")), json!({})).await.is(201);
    scene.settle().await;
    assert_eq!(deploys(&scene, &all).await, "waiting_for_resource canceled pending");
    scene.next("deploy", "success").await;
    scene.next("deploy", "success").await;
    assert_eq!(deploys(&scene, &all).await, "success canceled success");
    scene.alice.get(&current).await.says(200, &json!(null));
}

async fn the_mode_decides_whose_turn_it_is(world: World) {
    let scene = Scene::new(&world, "").await;
    // Which pipelines' builds end while the first one deploys, in this order, and which deploys next.
    for (case, (mode, builds, next)) in [
        ("unordered", [2, 1], Some(1)),
        ("oldest_first", [2, 3], None),
        ("oldest_first", [2, 1], Some(1)),
        ("newest_first", [1, 2], None),
        ("newest_first", [1, 3], Some(3)),
        ("newest_ready_first", [1, 2], Some(2)),
    ]
    .into_iter()
    .enumerate()
    {
        let configuration = format!(
            "stages: [build, deploy]\n\
             build: {{ stage: build, when: manual, allow_failure: false, script: x }}\n\
             deploy: {{ stage: deploy, script: x, resource_group: group-{case} }}"
        );
        scene.configure(&configuration).await;
        let group = scene.path(&format!("/resource_groups/group-{case}"));
        let mut pipelines = Vec::new();
        for _ in 0..4 {
            pipelines.push(scene.run().await);
        }
        scene.play(pipelines[0], "build").await;
        scene.next("build", "success").await;
        let first = scene.take().await;
        scene.alice.put(&group, json!({ "process_mode": mode })).await.is(200);
        for pipeline in builds {
            scene.play(pipelines[pipeline], "build").await;
            scene.next("build", "success").await;
        }
        assert!(!deploys(&scene, &pipelines).await.contains("pending"), "{mode} gives what it has not");
        scene.end(first, "success").await;
        let given = |statuses: String| statuses.split(' ').position(|status| status == "pending");
        assert_eq!(given(deploys(&scene, &pipelines).await), next, "{mode} after {builds:?}");
        if next.is_none() {
            // Another mode lets those go on that wait for a job that is not ready.
            scene.alice.put(&group, json!({ "process_mode": "unordered" })).await.is(200);
            scene.settle().await;
            let expected = builds.into_iter().min();
            assert_eq!(given(deploys(&scene, &pipelines).await), expected, "unordered instead of {mode}");
        }
        for pipeline in pipelines {
            scene.alice.post(&scene.path(&format!("/pipelines/{pipeline}/cancel")), json!({})).await.is(200);
        }
        scene.settle().await;
    }
}

async fn many_at_once_give_the_resource_once(world: World) {
    let scene = Scene::new(&world, "deploy: { script: x, resource_group: a }").await;
    let hold = scene.run().await;
    let pipelines = [scene.run().await, scene.run().await, scene.run().await];
    let deploy = scene.job(hold, "deploy").await;
    let group = scene.alice.get(&scene.path("/resource_groups/a")).await.is(200)["id"].as_i64().unwrap();
    scene.alice.post(&scene.path(&format!("/jobs/{deploy}/cancel")), json!({})).await.is(201);
    let mut assignments = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let ctx = world.ctx.clone();
        assignments.spawn(async move { assign(&ctx, group.into()).await });
    }
    while let Some(assigned) = assignments.join_next().await {
        assigned.unwrap().unwrap();
    }
    scene.settle().await;
    assert_eq!(deploys(&scene, &pipelines).await, "pending waiting_for_resource waiting_for_resource");
}

async fn what_is_deleted_or_canceled_gives_up_its_turn(world: World) {
    let scene = Scene::new(&world, "deploy: { script: x, resource_group: a }").await;
    let mode = json!({ "process_mode": "oldest_first" });
    let (one, two, three) = (scene.run().await, scene.run().await, scene.run().await);
    scene.alice.put(&scene.path("/resource_groups/a"), mode).await.is(200);
    assert_eq!(deploys(&scene, &[one, two]).await, "pending waiting_for_resource");
    scene.alice.delete(&scene.path(&format!("/pipelines/{one}"))).await.is(204);
    scene.settle().await;
    assert_eq!(deploys(&scene, &[two, three]).await, "pending waiting_for_resource");
    let deploy = scene.job(two, "deploy").await;
    scene.alice.post(&scene.path(&format!("/jobs/{deploy}/cancel")), json!({})).await.is(201);
    scene.settle().await;
    assert_eq!(deploys(&scene, &[two, three]).await, "canceled pending");
}

async fn a_bridge_waits_for_its_group(world: World) {
    let configuration = "deploy: { script: x, resource_group: a }\n\
                         start: { trigger: alice/elsewhere, resource_group: a }";
    let scene = Scene::new(&world, configuration).await;
    let pipeline = scene.run().await;
    assert_eq!(scene.jobs(pipeline).await, "deploy:pending start:waiting_for_resource");
    scene.next("deploy", "success").await;
    // It was its turn: the project does not exist.
    assert_eq!(scene.jobs(pipeline).await, "deploy:success start:failed");
}

async fn the_project_says_how_new_groups_are_processed(world: World) {
    let scene = Scene::new(&world, "a: { script: x, resource_group: a }").await;
    let setting = "resource_group_default_process_mode";
    let project = scene.path("");
    assert_eq!(scene.alice.get(&project).await.is(200)[setting], "unordered");
    let changed = scene.alice.put(&project, json!({ setting: "oldest_first" })).await.is(200);
    assert_eq!(changed[setting], "oldest_first");
    scene
        .alice
        .put(&project, json!({ setting: "x" }))
        .await
        .complains(&format!("{setting} does not have a valid value"));
    scene.run().await;
    let group = scene.alice.get(&scene.path("/resource_groups/a")).await.is(200);
    assert_eq!(group["process_mode"], "oldest_first");
}

on_each_database!(
    groups_are_made_with_pipelines_and_can_be_changed,
    jobs_of_a_group_run_one_at_a_time,
    the_mode_decides_whose_turn_it_is,
    many_at_once_give_the_resource_once,
    what_is_deleted_or_canceled_gives_up_its_turn,
    a_bridge_waits_for_its_group,
    the_project_says_how_new_groups_are_processed,
);
