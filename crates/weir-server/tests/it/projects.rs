//! `/projects`.

use serde_json::{Value, json};
use weir_server::background::deleted_projects;

use crate::harness::{World, has_shape, is_middle_page};

const BASIC: &[(&str, &str)] = &[
    ("id", "int"),
    ("description", "str|null"),
    ("name", "str"),
    ("name_with_namespace", "str"),
    ("path", "str"),
    ("path_with_namespace", "str"),
    ("created_at", "time"),
    ("default_branch", "str|null"),
    ("tag_list", "array"),
    ("topics", "array"),
    ("ssh_url_to_repo", "str"),
    ("http_url_to_repo", "str"),
    ("web_url", "str"),
    ("readme_url", "str|null"),
    ("forks_count", "int"),
    ("avatar_url", "null"),
    ("star_count", "int"),
    ("last_activity_at", "time"),
    ("visibility", "str"),
    ("namespace", "object"),
];
const FULL: &[(&str, &str)] = &[
    ("_links", "object"),
    ("empty_repo", "bool"),
    ("archived", "bool"),
    ("creator_id", "int"),
    ("import_status", "str"),
    ("open_issues_count", "int"),
    ("updated_at", "time"),
    ("shared_with_groups", "array"),
    ("permissions", "object"),
    ("issues_enabled", "bool"),
    ("merge_requests_enabled", "bool"),
    ("wiki_enabled", "bool"),
    ("jobs_enabled", "bool"),
    ("snippets_enabled", "bool"),
    ("container_registry_enabled", "bool"),
    ("builds_access_level", "str"),
    ("repository_access_level", "str"),
    ("environments_access_level", "str"),
    ("public_jobs", "bool"),
    ("build_git_strategy", "str"),
    ("build_timeout", "int"),
    ("ci_config_path", "str|null"),
    ("ci_default_git_depth", "int|null"),
    ("ci_forward_deployment_enabled", "bool"),
    ("ci_forward_deployment_rollback_allowed", "bool"),
    ("ci_separated_caches", "bool"),
    ("ci_job_token_scope_enabled", "bool"),
    ("ci_push_repository_for_job_token_allowed", "bool"),
    ("ci_allow_fork_pipelines_to_run_in_parent_project", "bool"),
    ("ci_pipeline_variables_minimum_override_role", "str"),
    ("ci_delete_pipelines_in_seconds", "int|null"),
    ("ci_id_token_sub_claim_components", "array"),
    ("restrict_user_defined_variables", "bool"),
    ("keep_latest_artifact", "bool"),
    ("auto_cancel_pending_pipelines", "str"),
    ("auto_devops_enabled", "bool"),
    ("shared_runners_enabled", "bool"),
    ("group_runners_enabled", "bool"),
    ("runner_token_expiration_interval", "int|null"),
    ("only_allow_merge_if_pipeline_succeeds", "bool"),
    ("allow_merge_on_skipped_pipeline", "bool|null"),
    ("remove_source_branch_after_merge", "bool"),
];

async fn a_project_of_ones_own_is_created(world: World) {
    let alice = world.user("alice").await;
    let project = alice.post("/projects", json!({ "name": "My Project", "description": "d" })).await.is(201);
    has_shape(&project, BASIC);
    has_shape(&project, FULL);
    for (field, value) in [
        ("path", json!("my-project")),
        ("path_with_namespace", json!("alice/my-project")),
        ("name_with_namespace", json!("ALICE / My Project")),
        ("visibility", json!("private")),
        ("description", json!("d")),
        ("http_url_to_repo", json!("http://ci.example/alice/my-project.git")),
        ("ssh_url_to_repo", json!("git@ci.example:alice/my-project.git")),
        ("empty_repo", json!(true)),
        ("default_branch", json!(null)),
        ("creator_id", json!(alice.id)),
        ("runners_token", json!(null)),
        (
            "permissions",
            json!({ "project_access": { "access_level": 50, "notification_level": 3 }, "group_access": null }),
        ),
    ] {
        assert_eq!(project[field], value, "{field}");
    }
    assert_eq!(project["owner"]["username"], "alice");
    assert_eq!(project["namespace"]["kind"], "user");
    let id = &project["id"];
    assert_eq!(project["_links"]["self"], format!("http://ci.example/api/v4/projects/{id}"));
    assert_eq!(project["_links"]["members"], format!("http://ci.example/api/v4/projects/{id}/members"));
    assert_eq!(alice.get(&format!("/projects/{id}/members")).await.column("access_level"), [50]);
    assert!(world.ctx.repositories.repository(id.as_i64().unwrap()).exists().await);
}

async fn a_project_of_a_group_has_the_groups_members(world: World) {
    let (alice, bert) = (world.user("alice").await, world.user("bert").await);
    let group = alice.group("club", json!({ "visibility": "internal" })).await;
    let new = json!({ "path": "p", "namespace_id": group, "visibility": "internal" });
    bert.post("/projects", new.clone())
        .await
        .says(400, &json!({ "message": { "namespace": ["is not valid"] } }));
    alice.invite(&format!("groups/{group}"), &bert, 30).await;
    let project = bert.post("/projects", new).await.is(201);
    assert_eq!((&project["name"], &project["path_with_namespace"]), (&json!("p"), &json!("club/p")));
    assert_eq!(project.get("owner"), None);
    assert_eq!(project.get("runners_token"), None, "for Maintainers");
    assert_eq!(
        project["permissions"],
        json!({ "project_access": null, "group_access": { "access_level": 30, "notification_level": 3 } })
    );
    let id = &project["id"];
    assert_eq!(bert.get(&format!("/projects/{id}/members")).await.column("id"), Vec::<Value>::new());
}

async fn a_readme_makes_the_default_branch_and_protects_it(world: World) {
    let alice = world.user("alice").await;
    let new = json!({ "name": "p", "initialize_with_readme": true, "default_branch": "trunk" });
    let project = alice.post("/projects", new).await.is(201);
    assert_eq!((&project["default_branch"], &project["empty_repo"]), (&json!("trunk"), &json!(false)));
    let path = format!("/projects/{}/protected_branches", project["id"]);
    let protected = alice.get(&path).await.is(200);
    assert_eq!(protected[0]["name"], "trunk");
    assert_eq!(protected[0]["push_access_levels"][0]["access_level"], 40);
    assert_eq!(protected[0]["merge_access_levels"][0]["access_level"], 40);
    alice.put(&format!("/projects/{}", project["id"]), json!({ "default_branch": "none" })).await.says(
        400,
        &json!({ "message": { "base": ["Could not change HEAD: branch 'none' does not exist"] } }),
    );
}

async fn what_a_project_cannot_be_is_refused(world: World) {
    let alice = world.user("alice").await;
    let group = alice.group("club", json!({})).await;
    alice.project("taken", json!({})).await;
    alice
        .post("/projects", json!({}))
        .await
        .complains("name, path are missing, at least one parameter must be provided");
    alice
        .post("/projects", json!({ "name": "x", "visibility": "x" }))
        .await
        .complains("visibility does not have a valid value");
    let path = "can contain only letters, digits, '_', '-' and '.'. Cannot start with '-', end in '.git' or end in \
                '.atom'";
    let name = "can contain only letters, digits, emoji, '_', '.', '+', dashes, or spaces. It must start with a \
                letter, digit, emoji, or '_'.";
    for (new, message) in [
        (
            json!({ "name": "taken" }),
            json!({ "name": ["has already been taken"], "path": ["has already been taken"] }),
        ),
        (json!({ "name": "x", "path": "TAKEN" }), json!({ "path": ["has already been taken"] })),
        (json!({ "name": "taken", "path": "x" }), json!({ "name": ["has already been taken"] })),
        (json!({ "name": "x", "path": "a b" }), json!({ "path": [path] })),
        (json!({ "name": "x", "path": "tree" }), json!({ "path": ["is a reserved name"] })),
        (json!({ "name": "<b>", "path": "b" }), json!({ "name": [name] })),
        (json!({ "name": "x", "namespace_id": 4711 }), json!({ "namespace": ["is not valid"] })),
        (
            json!({ "name": "x", "namespace_id": group, "visibility": "public" }),
            json!({ "visibility_level": ["public is not allowed in a private group."] }),
        ),
        (
            json!({ "name": "x", "build_timeout": 10 }),
            json!({ "build_timeout": ["needs to be between 10 minutes and 1 month"] }),
        ),
    ] {
        alice.post("/projects", new).await.says(400, &json!({ "message": message }));
    }
    world.anonymous().post("/projects", json!({ "name": "x" })).await.refuses(401, "401 Unauthorized");
}

async fn a_project_is_found_by_id_and_path_by_whom_it_is_visible_to(world: World) {
    let (alice, bert) = (world.user("alice").await, world.user("bert").await);
    let open = alice.project("open", json!({ "visibility": "public" })).await;
    let half = alice.project("half", json!({ "visibility": "internal" })).await;
    let hidden = alice.project("hidden", json!({})).await;
    for path in
        [format!("/projects/{hidden}"), "/projects/alice%2Fhidden".into(), "/projects/Alice%2fHIDDEN".into()]
    {
        assert_eq!(alice.get(&path).await.is(200)["id"], hidden, "{path}");
        bert.get(&path).await.refuses(404, "404 Project Not Found");
        world.anonymous().get(&path).await.refuses(404, "404 Project Not Found");
    }
    for path in ["/projects/4711", "/projects/open", "/projects/alice%2Fnone"] {
        alice.get(path).await.refuses(404, "404 Project Not Found");
    }
    let seen_by_bert = bert.get(&format!("/projects/{half}")).await.is(200);
    has_shape(&seen_by_bert, FULL);
    assert_eq!(seen_by_bert["permissions"], json!({ "project_access": null, "group_access": null }));
    world.anonymous().get(&format!("/projects/{half}")).await.refuses(404, "404 Project Not Found");
    let seen_by_all = world.anonymous().get(&format!("/projects/{open}")).await.is(200);
    has_shape(&seen_by_all, BASIC);
    assert_eq!(seen_by_all.get("permissions"), None);
    assert_eq!(
        world.root().get(&format!("/projects/{hidden}")).await.is(200)["repository_storage"],
        "default"
    );
}

async fn projects_are_listed_by_every_filter(world: World) {
    let (alice, bert) = (world.user("alice").await, world.user("bert").await);
    let group = alice.group("club", json!({ "visibility": "public" })).await;
    let open = alice.project("open", json!({ "visibility": "public" })).await;
    world.pass_secs(1);
    let half = alice.project("half", json!({ "visibility": "internal", "namespace_id": group })).await;
    world.pass_secs(1);
    let hidden = alice.project("hidden", json!({})).await;
    world.pass_secs(1);
    alice.invite(&format!("projects/{hidden}"), &bert, 30).await;
    alice.post(&format!("/projects/{open}/archive"), json!({})).await.is(201);
    let all = bert.get("/projects").await.is(200);
    has_shape(&all[0], BASIC);
    has_shape(&all[0], FULL);
    for (query, ids) in [
        (String::new(), vec![hidden, half, open]),
        ("?search=HALF".into(), vec![half]),
        ("?membership=true".into(), vec![hidden]),
        ("?owned=true".into(), vec![]),
        ("?min_access_level=30".into(), vec![hidden]),
        ("?min_access_level=40".into(), vec![]),
        ("?visibility=public".into(), vec![open]),
        ("?archived=true".into(), vec![open]),
        ("?archived=false".into(), vec![hidden, half]),
        ("?order_by=name&sort=asc".into(), vec![half, hidden, open]),
        ("?order_by=id&sort=asc".into(), vec![open, half, hidden]),
        ("?order_by=updated_at".into(), vec![open, hidden, half]),
        (format!("?id_after={open}"), vec![hidden, half]),
        (format!("?id_before={hidden}"), vec![half, open]),
    ] {
        assert_eq!(bert.get(&format!("/projects{query}")).await.column("id"), ids, "{query}");
    }
    assert_eq!(alice.get("/projects?owned=true").await.column("id").len(), 3);
    assert_eq!(alice.get(&format!("/users/{}/projects", alice.id)).await.column("id"), [hidden, open]);
    assert_eq!(world.anonymous().get("/projects").await.column("id"), [open]);
    assert_eq!(world.anonymous().get("/projects?membership=true").await.column("id"), Vec::<Value>::new());
    let simple = bert.get("/projects?simple=true").await.is(200);
    has_shape(&simple[0], BASIC);
    assert_eq!(simple[0].get("permissions"), None);
    is_middle_page(&bert.get("/projects?per_page=1&page=2").await, "/projects");
    bert.get("/projects?order_by=size").await.complains("order_by does not have a valid value");
    bert.get("/projects?min_access_level=3").await.complains("min_access_level does not have a valid value");
    bert.get("/users/4711/projects").await.refuses(404, "404 User Not Found");
}

async fn keyset_pages_follow_each_other_by_id(world: World) {
    let alice = world.user("alice").await;
    for name in ["a", "b", "c"] {
        alice.project(name, json!({})).await;
    }
    for (sort, wanted) in [("asc", ["a", "b", "c"]), ("desc", ["c", "b", "a"])] {
        let mut path = format!("/projects?pagination=keyset&order_by=id&per_page=2&sort={sort}");
        let mut names = Vec::new();
        loop {
            let answer = alice.get(&path).await;
            assert_eq!(
                [answer.header("x-total"), answer.header("x-page"), answer.header("x-next-page")],
                [""; 3]
            );
            let link = answer.header("link").to_owned();
            names.extend(answer.column("name"));
            let Some(rest) = link.strip_prefix("<http://ci.example/api/v4") else { break };
            rest.strip_suffix(">; rel=\"next\"").unwrap().clone_into(&mut path);
        }
        assert_eq!(names, wanted, "{sort}");
    }
    alice
        .get("/projects?pagination=keyset&order_by=name")
        .await
        .says(405, &json!({ "error": "Keyset pagination is not yet available for this type of request" }));
}

async fn every_setting_of_ci_is_changed_and_read_back(world: World) {
    let alice = world.user("alice").await;
    let path = format!("/projects/{}", alice.project("p", json!({})).await);
    for (field, value) in [
        ("name", json!("Other name")),
        ("description", json!("d")),
        ("visibility", json!("public")),
        ("builds_access_level", json!("private")),
        ("public_jobs", json!(false)),
        ("shared_runners_enabled", json!(false)),
        ("group_runners_enabled", json!(false)),
        ("build_timeout", json!(7200)),
        ("ci_config_path", json!("ci/main.yml")),
        ("ci_default_git_depth", json!(0)),
        ("build_git_strategy", json!("clone")),
        ("auto_cancel_pending_pipelines", json!("disabled")),
        ("keep_latest_artifact", json!(false)),
        ("ci_forward_deployment_enabled", json!(false)),
        ("ci_forward_deployment_rollback_allowed", json!(false)),
        ("ci_separated_caches", json!(false)),
        ("ci_job_token_scope_enabled", json!(true)),
        ("ci_push_repository_for_job_token_allowed", json!(true)),
        ("ci_allow_fork_pipelines_to_run_in_parent_project", json!(false)),
        ("ci_pipeline_variables_minimum_override_role", json!("no_one_allowed")),
        ("ci_delete_pipelines_in_seconds", json!(864_000)),
        ("ci_id_token_sub_claim_components", json!(["project_path", "ref"])),
        ("ci_restrict_pipeline_cancellation_role", json!("maintainer")),
        ("runner_token_expiration_interval", json!(7200)),
        ("environments_access_level", json!("disabled")),
        ("only_allow_merge_if_pipeline_succeeds", json!(true)),
        ("allow_merge_on_skipped_pipeline", json!(true)),
    ] {
        assert_eq!(alice.put(&path, json!({ field: value })).await.is(200)[field], value, "{field}");
        assert_eq!(alice.get(&path).await.is(200)[field], value, "{field}");
    }
    for field in [
        "ci_config_path",
        "ci_default_git_depth",
        "ci_delete_pipelines_in_seconds",
        "runner_token_expiration_interval",
    ] {
        assert_eq!(
            alice.put(&path, json!({ field: null, "name": "p" })).await.is(200)[field],
            json!(null),
            "{field}"
        );
    }
    // Older names of the same settings.
    let older = alice.put(&path, json!({ "jobs_enabled": false, "public_builds": true })).await.is(200);
    assert_eq!((&older["builds_access_level"], &older["public_jobs"]), (&json!("disabled"), &json!(true)));
    assert_eq!(older["jobs_enabled"], false);
    let role = "ci_pipeline_variables_minimum_override_role";
    for (restrict, wanted) in [(false, "developer"), (true, "maintainer")] {
        let project = alice.put(&path, json!({ "restrict_user_defined_variables": restrict })).await.is(200);
        assert_eq!(
            (&project["restrict_user_defined_variables"], &project[role]),
            (&json!(restrict), &json!(wanted))
        );
    }
    // The same settings come with a new project.
    let new = json!({ "name": "q", "build_timeout": 7200, "ci_config_path": "x.yml", "public_jobs": false });
    let project = alice.post("/projects", new).await.is(201);
    assert_eq!((&project["build_timeout"], &project["ci_config_path"]), (&json!(7200), &json!("x.yml")));
    assert_eq!(project["public_jobs"], false);
}

async fn a_change_that_cannot_be_is_refused(world: World) {
    let (alice, bert) = (world.user("alice").await, world.user("bert").await);
    let project = alice.project("p", json!({})).await;
    alice.project("q", json!({})).await;
    let path = format!("/projects/{project}");
    for (change, message) in [
        (json!({ "path": "q" }), json!({ "path": ["has already been taken"] })),
        (json!({ "name": "q" }), json!({ "name": ["has already been taken"] })),
        (
            json!({ "build_timeout": 1 }),
            json!({ "build_timeout": ["needs to be between 10 minutes and 1 month"] }),
        ),
        (
            json!({ "ci_default_git_depth": 1001 }),
            json!({ "ci_cd_settings.default_git_depth": ["must be less than or equal to 1000"] }),
        ),
        (
            json!({ "ci_id_token_sub_claim_components": ["ref"] }),
            json!({ "ci_cd_settings.id_token_sub_claim_components":
                ["project_path must be the first element of the sub claim"] }),
        ),
    ] {
        alice.put(&path, change).await.says(400, &json!({ "message": message }));
    }
    for (change, complaint) in [
        (json!({ "builds_access_level": "x" }), "builds_access_level does not have a valid value"),
        (json!({ "build_timeout": "x" }), "build_timeout is invalid"),
        (json!({ "build_git_strategy": "x" }), "build_git_strategy does not have a valid value"),
        (json!({ "public_jobs": "x" }), "public_jobs is invalid"),
    ] {
        alice.put(&path, change).await.complains(complaint);
    }
    let nothing = alice.put(&path, json!({})).await.is(400);
    assert!(
        nothing["error"].as_str().unwrap().ends_with("are missing, at least one parameter must be provided")
    );
    let change = json!({ "name": "x" });
    world.anonymous().put(&path, change.clone()).await.refuses(401, "401 Unauthorized");
    bert.put(&path, change.clone()).await.refuses(404, "404 Project Not Found");
    alice.invite(&format!("projects/{project}"), &bert, 30).await;
    bert.put(&path, change.clone()).await.refuses(403, "403 Forbidden");
    alice.put(&format!("{path}/members/{}", bert.id), json!({ "access_level": 40 })).await.is(200);
    bert.put(&path, change).await.is(200);
    bert.put(&path, json!({ "visibility": "public" })).await.refuses(403, "403 Forbidden");
}

async fn a_renamed_project_is_found_at_its_new_path(world: World) {
    let alice = world.user("alice").await;
    let path = format!("/projects/{}", alice.project("p", json!({})).await);
    let project = alice.put(&path, json!({ "path": "Other" })).await.is(200);
    assert_eq!((&project["path_with_namespace"], &project["name"]), (&json!("alice/Other"), &json!("p")));
    assert_eq!(alice.get("/projects/alice%2Fother").await.is(200)["id"], project["id"]);
    alice.get("/projects/alice%2Fp").await.refuses(404, "404 Project Not Found");
}

async fn an_archived_project_says_so(world: World) {
    let (alice, bert) = (world.user("alice").await, world.user("bert").await);
    let path = format!("/projects/{}", alice.project("p", json!({ "visibility": "public" })).await);
    for (action, archived) in [("archive", true), ("unarchive", false)] {
        let action = format!("{path}/{action}");
        assert_eq!(alice.post(&action, json!({})).await.is(201)["archived"], archived);
        assert_eq!(alice.get(&path).await.is(200)["archived"], archived);
        bert.post(&action, json!({})).await.refuses(403, "403 Forbidden");
        world.anonymous().post(&action, json!({})).await.refuses(401, "401 Unauthorized");
    }
    alice.post("/projects/4711/archive", json!({})).await.refuses(404, "404 Project Not Found");
}

async fn a_deleted_project_is_gone_at_once_and_for_good_later(world: World) {
    let (alice, bert) = (world.user("alice").await, world.user("bert").await);
    let project = alice.project("p", json!({ "visibility": "public" })).await;
    let path = format!("/projects/{project}");
    bert.delete(&path).await.refuses(403, "403 Forbidden");
    world.anonymous().delete(&path).await.refuses(401, "401 Unauthorized");
    alice.delete(&path).await.refuses(202, "202 Accepted");
    alice.get(&path).await.refuses(404, "404 Project Not Found");
    alice.delete(&path).await.refuses(404, "404 Project Not Found");
    assert_eq!(alice.get("/projects").await.column("id"), Vec::<Value>::new());

    let repository = world.ctx.repositories.repository(project);
    assert!(repository.exists().await);
    deleted_projects::sweep(&world.ctx).await.unwrap();
    assert!(!repository.exists().await);
    // The path is free again.
    alice.project("p", json!({})).await;
}

async fn the_projects_of_a_deleted_user_are_gone(world: World) {
    let alice = world.user("alice").await;
    let project = alice.project("p", json!({ "visibility": "public" })).await;
    world.root().delete(&format!("/users/{}", alice.id)).await.is(204);
    world.anonymous().get(&format!("/projects/{project}")).await.refuses(404, "404 Project Not Found");
    assert!(!world.ctx.repositories.repository(project).exists().await);
}

on_each_database!(
    a_project_of_ones_own_is_created,
    a_project_of_a_group_has_the_groups_members,
    a_readme_makes_the_default_branch_and_protects_it,
    what_a_project_cannot_be_is_refused,
    a_project_is_found_by_id_and_path_by_whom_it_is_visible_to,
    projects_are_listed_by_every_filter,
    keyset_pages_follow_each_other_by_id,
    every_setting_of_ci_is_changed_and_read_back,
    a_change_that_cannot_be_is_refused,
    a_renamed_project_is_found_at_its_new_path,
    an_archived_project_says_so,
    a_deleted_project_is_gone_at_once_and_for_good_later,
    the_projects_of_a_deleted_user_are_gone,
);
