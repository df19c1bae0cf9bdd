//! What the project folder holds when the script starts.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::{World, add_variable, git, job};

/// A repository with two commits on `main`.
fn repository() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    git(folder.path(), &["init", "-q"]);
    for content in ["one", "two"] {
        std::fs::write(folder.path().join("file"), content).unwrap();
        git(folder.path(), &["add", "."]);
        git(folder.path(), &["commit", "-qm", content]);
    }
    folder
}

fn from(repository: &Path, mut payload: Value) -> Value {
    payload["git_info"]["repo_url"] = json!(format!("file://{}", repository.display()));
    payload["git_info"]["sha"] = json!(git(repository, &["rev-parse", "HEAD"]));
    payload["git_info"]["refspecs"] = json!(["+refs/heads/main:refs/remotes/origin/main"]);
    payload["variables"] = json!([]);
    payload
}

#[tokio::test]
async fn the_commit_is_checked_out_with_the_wanted_depth() {
    let (world, repository) = (World::new().await, repository());
    let script = ["cat file; echo", "git rev-list --count HEAD", "git status --porcelain | wc -l"];
    let mut payload = from(repository.path(), job(1, &script));
    payload["git_info"]["depth"] = json!(1);
    let seen = world.run(payload).await;
    let text = seen.text();
    assert_eq!(seen.state(), "success", "{text}");
    let short = &git(repository.path(), &["rev-parse", "HEAD"])[..8];
    assert!(text.contains("Fetching changes with git depth set to 1..."), "{text}");
    assert!(text.contains("Created fresh repository."), "{text}");
    assert!(text.contains(&format!("Checking out {short} as detached HEAD (ref is main)...")), "{text}");
    assert!(text.contains("Skipping Git submodules setup"), "{text}");
    assert!(text.contains("\ntwo\n") && text.contains("\n1\n") && text.contains("\n0\n"), "{text}");
}

#[tokio::test]
async fn a_folder_is_used_again_and_cleaned() {
    let (world, repository) = (World::new().await, repository());
    world.run(from(repository.path(), job(1, &["echo mine > file; touch untracked .git/index.lock"]))).await;
    std::fs::write(repository.path().join("file"), "three").unwrap();
    git(repository.path(), &["commit", "-qam", "three"]);
    let mut payload = from(repository.path(), job(2, &["cat file; echo", "ls"]));
    payload["git_info"]["depth"] = json!(0);
    let text = world.run(payload).await.text();
    assert!(!text.contains("Created fresh repository."), "{text}");
    assert!(text.contains("\nthree\n"), "{text}");
    assert!(!text.contains("\nuntracked\n"), "{text}");
}

#[tokio::test]
async fn a_broken_repository_is_replaced_if_another_attempt_is_allowed() {
    let (world, repository) = (World::new().await, repository());
    let broken = ["rm -rf .git/objects; mkdir .git/objects; echo 0 > .git/packed-refs"];
    for (id, attempts, state) in [(1, "1", "failed"), (3, "2", "success")] {
        world.run(from(repository.path(), job(id, &broken))).await;
        let mut payload = from(repository.path(), job(id + 1, &["cat file"]));
        add_variable(&mut payload, json!({"key": "GET_SOURCES_ATTEMPTS", "value": attempts}));
        let seen = world.run(payload).await;
        assert_eq!(seen.state(), state, "{}", seen.text());
        std::fs::remove_dir_all(world.project_dir("g/p")).unwrap();
    }
}

#[tokio::test]
async fn a_given_work_tree_is_used_as_it_is() {
    let (mut world, repository) = (World::new().await, repository());
    std::fs::write(repository.path().join("uncommitted"), "mine").unwrap();
    world.config.project_dir = Some(repository.path().to_path_buf());
    let mut payload = from(repository.path(), job(1, &["cat uncommitted; echo; echo \"$CI_PROJECT_DIR\""]));
    add_variable(&mut payload, json!({"key": "GIT_STRATEGY", "value": "empty"}));
    let text = world.run(payload).await.text();
    assert!(text.contains("\nmine\n"), "{text}");
    assert!(text.contains(&format!("\n{}\n", repository.path().display())), "{text}");
    assert!(repository.path().join("file").is_file());
}

#[tokio::test]
async fn clean_flags_can_keep_files() {
    let (world, repository) = (World::new().await, repository());
    world.run(from(repository.path(), job(1, &["touch kept"]))).await;
    let mut payload = from(repository.path(), job(2, &["ls"]));
    add_variable(&mut payload, json!({"key": "GIT_CLEAN_FLAGS", "value": "-ffdx -e kept"}));
    let text = world.run(payload).await.text();
    assert!(text.contains("\nkept\n"), "{text}");
}

#[tokio::test]
async fn the_clone_strategy_starts_afresh() {
    let (world, repository) = (World::new().await, repository());
    world.run(from(repository.path(), job(1, &["touch .git/mark"]))).await;
    let mut payload = from(repository.path(), job(2, &["test ! -e .git/mark"]));
    add_variable(&mut payload, json!({"key": "GIT_STRATEGY", "value": "clone"}));
    let seen = world.run(payload).await;
    assert_eq!(seen.state(), "success", "{}", seen.text());
}

#[tokio::test]
async fn a_checkout_can_be_left_out() {
    let (world, repository) = (World::new().await, repository());
    let mut payload = from(repository.path(), job(1, &["ls | wc -l"]));
    add_variable(&mut payload, json!({"key": "GIT_CHECKOUT", "value": "false"}));
    let text = world.run(payload).await.text();
    assert!(text.contains("Skipping Git checkout") && text.contains("\n0\n"), "{text}");
}

#[tokio::test]
async fn credentials_are_neither_in_the_trace_nor_left_in_the_folder() {
    let world = World::new().await;
    let mut payload = job(1, &["true"]);
    payload["git_info"]["repo_url"] = json!("http://gitlab-ci-token:glcbt-job-token@127.0.0.1:1/g/p.git");
    payload["git_info"]["refspecs"] = json!(["+refs/heads/main:refs/remotes/origin/main"]);
    payload["variables"] = json!([]);
    let seen = world.run(payload).await;
    let text = seen.text();
    assert_eq!(
        (seen.state(), &seen.result()["failure_reason"]),
        ("failed", &json!("script_failure")),
        "{text}"
    );
    assert!(text.contains("127.0.0.1"), "Git says what failed: {text}");
    assert!(!text.contains("glcbt-job-token"), "{text}");
    let config = std::fs::read_to_string(world.project_dir("g/p").join(".git/config")).unwrap();
    assert!(!config.contains("glcbt-job-token"), "{config}");
    assert!(!world.project_dir("g/p.tmp").exists());
}

#[tokio::test]
async fn submodules_come_along_when_asked_for() {
    let (world, repository, inner) = (World::new().await, repository(), repository());
    let url = format!("file://{}", inner.path().display());
    git(repository.path(), &["submodule", "add", "-q", &url, "sub"]);
    git(repository.path(), &["commit", "-qm", "sub"]);
    let mut payload = from(repository.path(), job(1, &["cat sub/file; echo"]));
    add_variable(&mut payload, json!({"key": "GIT_SUBMODULE_STRATEGY", "value": "recursive"}));
    for (key, value) in [
        ("GIT_CONFIG_COUNT", "1"),
        ("GIT_CONFIG_KEY_0", "protocol.file.allow"),
        ("GIT_CONFIG_VALUE_0", "always"),
    ] {
        add_variable(&mut payload, json!({"key": key, "value": value}));
    }
    let seen = world.run(payload).await;
    let text = seen.text();
    assert_eq!(seen.state(), "success", "{text}");
    assert!(text.contains("Updated submodules") && text.contains("\ntwo\n"), "{text}");
}

#[tokio::test]
async fn hooks_run_around_the_checkout() {
    let (world, repository) = (World::new().await, repository());
    let mut payload = from(repository.path(), job(1, &["true"]));
    payload["hooks"] = json!([
        {"name": "pre_get_sources_script", "script": ["test ! -e file && echo before"]},
        {"name": "post_get_sources_script", "script": ["test -e file && echo after"]},
    ]);
    let seen = world.run(payload).await;
    let text = seen.text();
    assert_eq!(seen.state(), "success", "{text}");
    assert!(text.find("\nbefore\n").unwrap() < text.find("\nafter\n").unwrap(), "{text}");
}
