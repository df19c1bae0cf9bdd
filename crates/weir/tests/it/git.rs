//! Repositories through the real git.

use weir_api::{AccessLevel, JobStatus};

use crate::harness::{Place, commit, ended, git, git_ok, job, only_pipeline, text, trace};

const CONFIGURATION: &str = "
build:
  script:
    - echo \"answer $ANSWER on $CI_COMMIT_REF_NAME, tag $CI_COMMIT_TAG\"
    - cat file
";

#[tokio::test]
async fn a_push_of_a_branch_or_tag_runs_its_pipeline() {
    let place = Place::new();
    let server = place.start();
    let project = server.project("pushed", CONFIGURATION).await;
    let remote = server.remote("root", &server.token, "pushed");
    let root = place.folder("");
    git_ok(&root, &["clone", "--quiet", &remote, "work"]);
    let work = place.folder("work");

    git_ok(&work, &["switch", "--quiet", "--create", "topic/one"]);
    commit(&work, "file", "the content\n", "Add a file");
    git_ok(&work, &["push", "--quiet", "origin", "topic/one"]);
    let of_branch = only_pipeline(&project, "topic/one").await;
    assert_eq!(of_branch.sha, git_ok(&work, &["rev-parse", "HEAD"]).trim());
    assert_eq!(ended(&project.pipeline(of_branch.id)).await.status, JobStatus::Success);
    let build = job(&project.pipeline(of_branch.id), "build").await;
    let said = trace(&project, &build).await;
    assert!(said.contains("on topic/one, tag") && said.contains("the content"), "{said}");

    git_ok(&work, &["tag", "--annotate", "--message", "The first", "v1.0"]);
    git_ok(&work, &["push", "--quiet", "origin", "v1.0"]);
    let of_tag = only_pipeline(&project, "v1.0").await;
    assert!(of_tag.tag);
    assert_eq!(ended(&project.pipeline(of_tag.id)).await.status, JobStatus::Success);
    let build = job(&project.pipeline(of_tag.id), "build").await;
    assert!(trace(&project, &build).await.contains("tag v1.0"));

    git_ok(&root, &["clone", "--quiet", "--branch", "topic/one", &remote, "again"]);
    assert_eq!(std::fs::read_to_string(place.folder("again").join("file")).unwrap(), "the content\n");
}

#[tokio::test]
async fn push_options_and_marks_in_messages_steer_the_pipeline() {
    let place = Place::new();
    let server = place.start();
    let project = server.project("steered", CONFIGURATION).await;
    let remote = server.remote("root", &server.token, "steered");
    git_ok(&place.folder(""), &["clone", "--quiet", &remote, "work"]);
    let work = place.folder("work");
    let push = |branch: &str, message: &str, options: &[&str]| {
        git_ok(&work, &["switch", "--quiet", "--create", branch]);
        commit(&work, "file", branch, message);
        let options: Vec<String> = options.iter().map(|option| format!("--push-option={option}")).collect();
        let mut arguments = vec!["push", "--quiet"];
        arguments.extend(options.iter().map(String::as_str));
        arguments.extend(["origin", branch]);
        git_ok(&work, &arguments);
    };

    push("option", "Change", &["ci.skip"]);
    assert_eq!(only_pipeline(&project, "option").await.status, JobStatus::Skipped);
    push("message", "Change [skip ci]", &[]);
    assert_eq!(only_pipeline(&project, "message").await.status, JobStatus::Skipped);

    push("variable", "Change", &["ci.variable=ANSWER=42"]);
    let pipeline = project.pipeline(only_pipeline(&project, "variable").await.id);
    assert_eq!(ended(&pipeline).await.status, JobStatus::Success);
    let said = trace(&project, &job(&pipeline, "build").await).await;
    assert!(said.contains("answer 42 on variable"), "{said}");
}

#[tokio::test]
async fn a_developer_may_not_push_to_a_protected_branch() {
    let place = Place::new();
    let server = place.start();
    let project = server.project("guarded", CONFIGURATION).await;
    let (dev, token) = server.user("dev").await;
    project.add_member(dev, AccessLevel::Developer).await.unwrap();
    let remote = server.remote("dev", &token, "guarded");
    git_ok(&place.folder(""), &["clone", "--quiet", &remote, "work"]);
    let work = place.folder("work");
    commit(&work, "file", "x", "Change");
    let refused = git(&work, &["push", "origin", "main"]);
    let said = text(&refused.stderr);
    assert!(!refused.status.success());
    assert!(
        said.contains("GitLab: You are not allowed to push code to protected branches on this project."),
        "{said}"
    );
    git_ok(&work, &["push", "--quiet", "origin", "main:topic"]);
    assert_eq!(
        ended(&project.pipeline(only_pipeline(&project, "topic").await.id)).await.status,
        JobStatus::Success
    );
}

#[tokio::test]
async fn a_token_is_the_password_and_nothing_else_is() {
    let place = Place::new().with("--no-runner");
    let server = place.start();
    server.project("private", CONFIGURATION).await;
    let folder = place.folder("");
    let anyone = server.remote("anyone", &server.token, "private");
    git_ok(&folder, &["ls-remote", &anyone]);
    for wrong in [server.remote("root", "glpat-wrong", "private"), format!("{}/root/private.git", server.url)]
    {
        let refused = git(&folder, &["ls-remote", &wrong]);
        let said = text(&refused.stderr);
        assert!(!refused.status.success());
        assert!(said.contains("Authentication failed") || said.contains("could not read Username"), "{said}");
    }
}
