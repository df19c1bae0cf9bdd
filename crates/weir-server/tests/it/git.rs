//! Git over HTTP, with the real client.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::json;

use crate::harness::{Caller, World};

const CONFIG: &str = "build:\n  script: make\n";

/// A server that clients reach, a project with a configuration on `main`, and a folder to work in.
struct Place {
    address: String,
    folder: tempfile::TempDir,
    id: i64,
}

impl Place {
    async fn new(world: &World, owner: &Caller) -> Self {
        let id = owner.project("p", json!({})).await;
        let actions = json!([{ "action": "create", "file_path": ".gitlab-ci.yml", "content": CONFIG }]);
        let body = json!({ "branch": "main", "commit_message": "First", "actions": actions });
        owner.post(&format!("/projects/{id}/repository/commits"), body).await.is(201);
        Self { address: world.listen().await, folder: tempfile::tempdir().unwrap(), id }
    }

    fn url(&self, user: &str, password: &str, path: &str) -> String {
        format!("http://{user}:{password}@{}/{path}.git", self.address)
    }

    /// The URL of the project for somebody with a token.
    fn url_of(&self, caller: &Caller) -> String {
        self.url("any", caller.token(), "alice/p")
    }

    /// Runs `git` in a folder below the place; the folder is made if need be.
    async fn git(&self, folder: &str, args: &[&str]) -> Ran {
        let folder = self.folder.path().join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        // The server answers on this thread, so the client waits on another.
        let output = tokio::task::spawn_blocking(move || git(&folder, &args)).await.unwrap();
        Ran(output)
    }

    /// A clone for the caller, in a folder with this name.
    async fn clone(&self, caller: &Caller, folder: &str) {
        self.git(folder, &["clone", &self.url_of(caller), "."]).await.succeeds();
    }

    /// Commits one file in a clone.
    async fn commit(&self, folder: &str, message: &str) {
        std::fs::write(self.path(folder).join("file"), message).unwrap();
        self.git(folder, &["add", "."]).await.succeeds();
        self.git(folder, &["commit", "-m", message]).await.succeeds();
    }

    fn path(&self, folder: &str) -> PathBuf {
        self.folder.path().join(folder)
    }

    /// Refs, sources and statuses of the project's pipelines, newest first.
    async fn pipelines(&self, owner: &Caller) -> Vec<String> {
        let list = owner.get(&format!("/projects/{}/pipelines", self.id)).await.is(200);
        let told = list.as_array().unwrap().iter();
        told.map(|it| ["ref", "source", "status"].map(|name| it[name].as_str().unwrap()).join(" ")).collect()
    }
}

fn git(folder: &Path, args: &[String]) -> Output {
    let mut command = Command::new("git");
    command.args(["-c", "protocol.version=2", "-c", "commit.gpgsign=false"]).args(args).current_dir(folder);
    command
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0");
    for role in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{role}_NAME"), "Dora").env(format!("GIT_{role}_EMAIL"), "dora@example.com");
    }
    command.env("LC_ALL", "C").output().unwrap()
}

/// How a client ended.
struct Ran(Output);

impl Ran {
    #[track_caller]
    fn succeeds(self) -> String {
        let errors = String::from_utf8_lossy(&self.0.stderr);
        assert!(self.0.status.success(), "{errors}");
        String::from_utf8_lossy(&self.0.stdout).trim().to_owned()
    }

    /// Demands that it failed and said all of this.
    #[track_caller]
    fn fails(self, words: &[&str]) {
        let errors = String::from_utf8_lossy(&self.0.stderr);
        assert!(!self.0.status.success(), "{errors}");
        for word in words {
            assert!(errors.contains(word), "{word:?} is not in: {errors}");
        }
    }
}

async fn clients_clone_and_fetch_whole_shallow_or_partial(world: World) {
    let alice = world.user("alice").await;
    let place = Place::new(&world, &alice).await;
    place.clone(&alice, "whole").await;
    assert_eq!(std::fs::read_to_string(place.path("whole/.gitlab-ci.yml")).unwrap(), CONFIG);
    place.commit("whole", "Second").await;
    place.git("whole", &["push", "origin", "main"]).await.succeeds();

    let url = place.url_of(&alice);
    place.git("shallow", &["clone", "--depth=1", &url, "."]).await.succeeds();
    assert_eq!(place.git("shallow", &["rev-list", "--count", "HEAD"]).await.succeeds(), "1");
    place.git("shallow", &["fetch", "--unshallow"]).await.succeeds();
    assert_eq!(place.git("shallow", &["rev-list", "--count", "HEAD"]).await.succeeds(), "2");

    place.git("partial", &["clone", "--filter=blob:none", "--no-checkout", &url, "."]).await.succeeds();
    let list = ["rev-list", "--objects", "--missing=print", "HEAD"];
    let missing = place.git("partial", &list).await.succeeds();
    assert!(missing.lines().any(|line| line.starts_with('?')), "{missing}");
    // A missing blob is fetched when it is needed.
    assert_eq!(place.git("partial", &["show", "HEAD:file"]).await.succeeds(), "Second");
}

async fn a_push_makes_pipelines_for_branches_and_tags_and_none_for_deletions(world: World) {
    let alice = world.user("alice").await;
    let place = Place::new(&world, &alice).await;
    place.clone(&alice, "c").await;
    let before = place.git("c", &["rev-parse", "HEAD"]).await.succeeds();
    world.pass_secs(60);
    place.commit("c", "Second").await;
    place.git("c", &["push", "origin", "HEAD:main", "HEAD:refs/heads/feature/x"]).await.succeeds();
    place.git("c", &["tag", "-m", "One", "v1"]).await.succeeds();
    place.git("c", &["push", "origin", "v1"]).await.succeeds();
    place.git("c", &["push", "origin", ":feature/x", ":v1"]).await.succeeds();
    let pipelines = place.pipelines(&alice).await;
    assert_eq!(pipelines[0], "v1 push pending");
    let mut two = pipelines[1..3].to_vec();
    two.sort();
    assert_eq!(two, ["feature/x push pending", "main push pending"]);
    // The one that the first commit made is redundant now.
    assert_eq!(pipelines[3..], ["main push canceled"]);
    let list = alice.get(&format!("/projects/{}/pipelines?ref=main", place.id)).await.is(200);
    let newest = alice.get(&format!("/projects/{}/pipelines/{}", place.id, list[0]["id"])).await.is(200);
    assert_eq!(newest["before_sha"], before);
    let branches = format!("/projects/{}/repository/branches", place.id);
    assert_eq!(alice.get(&branches).await.column("name"), ["main"]);
}

async fn the_first_push_makes_the_default_branch(world: World) {
    let alice = world.user("alice").await;
    let place = Place::new(&world, &alice).await;
    let id = alice.project("empty", json!({})).await;
    let url = place.url("any", alice.token(), "alice/empty");
    place.git("c", &["init", "-b", "trunk", "."]).await.succeeds();
    place.commit("c", "First").await;
    place.git("c", &["push", &url, "trunk"]).await.succeeds();
    assert_eq!(alice.get(&format!("/projects/{id}")).await.is(200)["default_branch"], "trunk");
    let branch = alice.get(&format!("/projects/{id}/repository/branches/trunk")).await.is(200);
    assert_eq!((&branch["default"], &branch["protected"]), (&json!(true), &json!(true)));
    assert_eq!(alice.get(&format!("/projects/{id}/pipelines")).await.is(200), json!([]));
}

async fn push_options_skip_a_pipeline_or_give_it_variables(world: World) {
    let alice = world.user("alice").await;
    let place = Place::new(&world, &alice).await;
    place.clone(&alice, "c").await;
    place.commit("c", "Second").await;
    place.git("c", &["push", "-o", "ci.skip", "origin", "HEAD:refs/heads/a"]).await.succeeds();
    assert_eq!(place.pipelines(&alice).await[0], "a push skipped");
    let option = "ci.variable=COLOUR=dark red";
    place.git("c", &["push", "-o", option, "origin", "HEAD:refs/heads/b"]).await.succeeds();
    let pipelines = alice.get(&format!("/projects/{}/pipelines", place.id)).await.is(200);
    assert_eq!(pipelines[0]["ref"], "b");
    let variables = format!("/projects/{}/pipelines/{}/variables", place.id, pipelines[0]["id"]);
    let variables = alice.get(&variables).await.is(200);
    assert_eq!((&variables[0]["key"], &variables[0]["value"]), (&json!("COLOUR"), &json!("dark red")));
}

async fn strangers_and_wrong_passwords_are_refused(world: World) {
    let alice = world.user("alice").await;
    let place = Place::new(&world, &alice).await;
    let clone = |url: String| {
        let place = &place;
        async move { place.git("x", &["clone", &url, "."]).await }
    };
    clone(place.url("any", "wrong", "alice/p")).await.fails(&["Authentication failed"]);
    clone(format!("http://{}/alice/p.git", place.address)).await.fails(&["could not read Username"]);
    clone(format!("http://{}/alice/none.git", place.address)).await.fails(&["could not read Username"]);
    let eve = world.user("eve").await;
    clone(place.url_of(&eve)).await.fails(&["not found"]);
    let reporter = world.user("rep").await;
    alice.invite(&format!("projects/{}", place.id), &reporter, 20).await;
    place.clone(&reporter, "r").await;
    place.commit("r", "Second").await;
    place.git("r", &["push", "origin", "HEAD:refs/heads/x"]).await.fails(&["403"]);
}

async fn protected_refs_are_kept_in_gitlabs_words(world: World) {
    let (alice, dev) = (world.user("alice").await, world.user("dev").await);
    let place = Place::new(&world, &alice).await;
    alice.invite(&format!("projects/{}", place.id), &dev, 30).await;
    let tags = format!("/projects/{}/protected_tags", place.id);
    alice.post(&tags, json!({ "name": "v*" })).await.is(201);
    place.clone(&dev, "d").await;
    place.commit("d", "Second").await;
    place.git("d", &["tag", "v1"]).await.succeeds();
    let declined = "pre-receive hook declined";
    for (refspec, words) in [
        ("main", "GitLab: You are not allowed to push code to protected branches on this project."),
        (":main", "GitLab: The default branch of a project cannot be deleted."),
        ("v1", "GitLab: You are not allowed to create this tag as it is protected."),
        ("HEAD:refs/tags/main", "GitLab: You cannot use default branch name to create a tag"),
        (
            "HEAD:refs/heads/0123456789abcdef0123456789abcdef01234567",
            "GitLab: You cannot create a branch with a 40-character hexadecimal branch name.",
        ),
    ] {
        place.git("d", &["push", "origin", refspec]).await.fails(&[words, declined]);
    }
    place.git("d", &["push", "origin", "HEAD:refs/heads/x"]).await.succeeds();
    place.git("d", &["commit", "--amend", "-m", "Other"]).await.succeeds();
    place.git("d", &["push", "--force", "origin", "HEAD:refs/heads/x"]).await.succeeds();

    place.clone(&alice, "a").await;
    place.git("a", &["commit", "--amend", "-m", "Other"]).await.succeeds();
    place.git("a", &["push", "--force", "origin", "main"]).await.fails(&["rejected"]);
    let path = format!("/projects/{}/repository/commits/main", place.id);
    assert_eq!(alice.get(&path).await.is(200)["title"], "First");

    let empty = alice.project("empty", json!({})).await;
    alice.invite(&format!("projects/{empty}"), &dev, 30).await;
    let url = place.url("any", dev.token(), "alice/empty");
    place
        .git("d", &["push", &url, "HEAD:refs/heads/main"])
        .await
        .fails(&["A default branch (e.g. main) does not yet exist for alice/empty", declined]);
}

async fn a_job_reads_its_project_while_it_runs(world: World) {
    let alice = world.user("alice").await;
    let place = Place::new(&world, &alice).await;
    alice.project("other", json!({ "initialize_with_readme": true })).await;
    let runner = weir_server::app::runners::embed(&world.ctx).await.unwrap();
    let anonymous = world.anonymous();
    let job = anonymous.post("/jobs/request", json!({ "token": runner.expose() })).await.is(201);
    let token = job["token"].as_str().unwrap();
    let clone = |folder: &'static str, project: &'static str| {
        let (place, url) = (&place, place.url("gitlab-ci-token", token, project));
        async move { place.git(folder, &["clone", &url, "."]).await }
    };
    clone("own", "alice/p").await.succeeds();
    clone("other", "alice/other").await.fails(&[]);
    place.commit("own", "Second").await;
    place
        .git("own", &["push", "origin", "HEAD:refs/heads/x"])
        .await
        .fails(&["You are not allowed to upload code"]);
    let raw = format!("/projects/{}/repository/files/.gitlab-ci.yml/raw?job_token={token}", place.id);
    assert_eq!(anonymous.get(&raw).await.is(200), CONFIG);

    let done = json!({ "token": token, "state": "success" });
    anonymous.put(&format!("/jobs/{}", job["id"]), done).await.is(200);
    clone("late", "alice/p").await.fails(&["Authentication failed"]);
}

on_each_database!(
    clients_clone_and_fetch_whole_shallow_or_partial,
    a_push_makes_pipelines_for_branches_and_tags_and_none_for_deletions,
    the_first_push_makes_the_default_branch,
    push_options_skip_a_pipeline_or_give_it_variables,
    strangers_and_wrong_passwords_are_refused,
    protected_refs_are_kept_in_gitlabs_words,
    a_job_reads_its_project_while_it_runs,
);
