use super::*;
use weir_api::environments::EnvironmentAction;
use weir_api::id::{EnvironmentId, JobId, NamespaceId, PipelineId, ProjectId, RunnerId, UserId};
use weir_api::{PipelineSource, Visibility};

fn server() -> ServerFacts {
    ServerFacts {
        url: "https://ci.example.com".into(),
        name: "GitLab".into(),
        version: "18.5.2-weir".into(),
        revision: "0a1b2c3".into(),
        ssh_host: "ci.example.com".into(),
        ssh_port: 22,
        features: Vec::new(),
        registry: None,
        pages_domain: None,
        dependency_proxy: false,
        template_registry_host: "registry.example.com".into(),
    }
}

fn project() -> ProjectFacts {
    ProjectFacts {
        id: ProjectId(7),
        path: "Tools/build/Anvil".into(),
        title: "The Anvil".into(),
        description: None,
        topics: vec!["Forge".into(), "iron".into()],
        namespace_id: NamespaceId(3),
        visibility: Visibility::Internal,
        languages: vec!["Rust".into(), "Shell".into()],
        classification_label: None,
        default_branch: Some("main".into()),
        config_path: ".gitlab-ci.yml".into(),
        registry: true,
    }
}

fn commit() -> CommitFacts {
    CommitFacts {
        sha: "9f3c2b1a4d5e6f708192a3b4c5d6e7f808192a3b".into(),
        before_sha: "0".repeat(40),
        ref_name: "feature/Add_Größe".into(),
        ref_kind: RefKind::Branch,
        ref_protected: false,
        message: "Add sizes\n\nAnd weights.\n".into(),
        author: "Ada <ada@example.com>".into(),
        user_login: Some("ada".into()),
        timestamp: "2026-01-05T11:13:33+01:00".into(),
        tag_message: None,
    }
}

fn pipeline() -> PipelineFacts {
    PipelineFacts {
        iid: Some(12),
        source: PipelineSource::Push,
        created_at: Some("2026-01-05T10:13:34.506Z".parse().unwrap()),
        name: None,
        schedule_description: None,
        commit: commit(),
        merge_request: None,
        upstream: None,
        open_merge_requests: Vec::new(),
        kubernetes_active: false,
        deploy_freeze: false,
        external_pull_request: None,
    }
}

fn merge_request() -> MergeRequestFacts {
    MergeRequestFacts {
        event_type: "detached".into(),
        source_branch_sha: String::new(),
        target_branch_sha: String::new(),
        diff: Some((31, "b".repeat(40))),
        id: 44,
        iid: 5,
        ref_path: "refs/merge-requests/5/head".into(),
        project_id: ProjectId(7),
        project_path: "tools/anvil".into(),
        project_url: "https://ci.example.com/tools/anvil".into(),
        target_branch: "main".into(),
        target_branch_protected: true,
        title: "Draft: sizes".into(),
        draft: true,
        description: "d".repeat(2701),
        assignees: vec!["ada".into(), "bob".into(), "eve".into()],
        milestone: Some("1.0".into()),
        labels: vec!["bug".into(), "p1".into()],
        squash_on_merge: false,
        approved: true,
        source_project_id: ProjectId(8),
        source_project_path: "ada/anvil".into(),
        source_project_url: "https://ci.example.com/ada/anvil".into(),
        source_branch: "sizes".into(),
        source_branch_protected: false,
    }
}

/// One line for each variable: `KEY=value`, `KEY null`, then the flags that are not the usual ones.
fn render(variables: &[Variable]) -> String {
    let line = |variable: &Variable| {
        let value = variable.value.as_ref().map_or(" null".to_owned(), |value| format!("={value}"));
        let flags: String = [
            (!variable.public, " (not public)"),
            (variable.file, " (file)"),
            (variable.masked, " (masked)"),
            (variable.raw, " (raw)"),
        ]
        .iter()
        .filter_map(|(set, name)| set.then_some(*name))
        .collect();
        format!("{}{}{flags}\n", variable.key, value.replace('\n', "\\n"))
    };
    variables.iter().map(line).collect()
}

fn value(variables: &[Variable], key: &str) -> Option<String> {
    variables.iter().find(|variable| variable.key == key)?.value.clone()
}

#[test]
fn a_branch_pipeline_has_these_variables() {
    insta::assert_snapshot!(render(&pre_pipeline(&server(), &project(), &pipeline())), @r"
    CI=true
    GITLAB_CI=true
    CI_SERVER_FQDN=ci.example.com
    CI_SERVER_URL=https://ci.example.com
    CI_SERVER_HOST=ci.example.com
    CI_SERVER_PORT=443
    CI_SERVER_PROTOCOL=https
    CI_SERVER_SHELL_SSH_HOST=ci.example.com
    CI_SERVER_SHELL_SSH_PORT=22
    CI_SERVER_NAME=GitLab
    CI_SERVER_VERSION=18.5.2-weir
    CI_SERVER_VERSION_MAJOR=18
    CI_SERVER_VERSION_MINOR=5
    CI_SERVER_VERSION_PATCH=2
    CI_SERVER_REVISION=0a1b2c3
    GITLAB_FEATURES=
    CI_PROJECT_ID=7
    CI_PROJECT_NAME=Anvil
    CI_PROJECT_TITLE=The Anvil
    CI_PROJECT_DESCRIPTION null
    CI_PROJECT_TOPICS=forge,iron
    CI_PROJECT_PATH=Tools/build/Anvil
    CI_PROJECT_PATH_SLUG=tools-build-anvil
    CI_PROJECT_NAMESPACE=Tools/build
    CI_PROJECT_NAMESPACE_SLUG=tools-build
    CI_PROJECT_NAMESPACE_ID=3
    CI_PROJECT_ROOT_NAMESPACE=Tools
    CI_PROJECT_URL=https://ci.example.com/Tools/build/Anvil
    CI_PROJECT_VISIBILITY=internal
    CI_PROJECT_REPOSITORY_LANGUAGES=rust,shell
    CI_PROJECT_CLASSIFICATION_LABEL null
    CI_DEFAULT_BRANCH=main
    CI_DEFAULT_BRANCH_SLUG=main
    CI_CONFIG_PATH=.gitlab-ci.yml
    CI_API_V4_URL=https://ci.example.com/api/v4
    CI_API_GRAPHQL_URL=https://ci.example.com/api/graphql
    CI_TEMPLATE_REGISTRY_HOST=registry.example.com
    CI_PIPELINE_IID=12
    CI_PIPELINE_SOURCE=push
    CI_PIPELINE_CREATED_AT=2026-01-05T10:13:34Z
    CI_PIPELINE_NAME null
    CI_CONFIG_REF_URI=ci.example.com/Tools/build/Anvil//.gitlab-ci.yml@refs/heads/feature/Add_Größe
    CI_COMMIT_SHA=9f3c2b1a4d5e6f708192a3b4c5d6e7f808192a3b
    CI_COMMIT_SHORT_SHA=9f3c2b1a
    CI_COMMIT_BEFORE_SHA=0000000000000000000000000000000000000000
    CI_COMMIT_REF_NAME=feature/Add_Größe
    CI_COMMIT_REF_SLUG=feature-add-gr--e
    CI_COMMIT_BRANCH=feature/Add_Größe
    CI_COMMIT_MESSAGE=Add sizes\n\nAnd weights.\n
    CI_COMMIT_MESSAGE_IS_TRUNCATED=false
    CI_COMMIT_TITLE=Add sizes
    CI_COMMIT_DESCRIPTION=\nAnd weights.
    CI_COMMIT_REF_PROTECTED=false
    CI_COMMIT_TIMESTAMP=2026-01-05T11:13:33+01:00
    CI_COMMIT_AUTHOR=Ada <ada@example.com>
    CI_COMMIT_USER_LOGIN=ada
    ");
}

#[test]
fn a_tag_pipeline_on_a_server_with_all_features_has_these_variables() {
    let server = ServerFacts {
        url: "http://localhost:8080/weir/".into(),
        registry: Some("localhost:5000".into()),
        pages_domain: Some("pages.localhost".into()),
        dependency_proxy: true,
        ..server()
    };
    let commit = CommitFacts {
        ref_name: "v1.0".into(),
        ref_kind: RefKind::Tag,
        ref_protected: true,
        tag_message: Some("Version 1".into()),
        ..commit()
    };
    let pipeline = PipelineFacts {
        name: Some("Release".into()),
        source: PipelineSource::Schedule,
        schedule_description: Some("nightly".into()),
        upstream: Some(UpstreamFacts {
            pipeline_id: PipelineId(1),
            project_id: ProjectId(2),
            job_id: JobId(3),
        }),
        commit,
        ..pipeline()
    };
    insta::assert_snapshot!(render(&pre_pipeline(&server, &project(), &pipeline)), @r"
    CI=true
    GITLAB_CI=true
    CI_SERVER_FQDN=localhost:8080/weir
    CI_SERVER_URL=http://localhost:8080/weir/
    CI_SERVER_HOST=localhost
    CI_SERVER_PORT=8080
    CI_SERVER_PROTOCOL=http
    CI_SERVER_SHELL_SSH_HOST=ci.example.com
    CI_SERVER_SHELL_SSH_PORT=22
    CI_SERVER_NAME=GitLab
    CI_SERVER_VERSION=18.5.2-weir
    CI_SERVER_VERSION_MAJOR=18
    CI_SERVER_VERSION_MINOR=5
    CI_SERVER_VERSION_PATCH=2
    CI_SERVER_REVISION=0a1b2c3
    GITLAB_FEATURES=
    CI_PROJECT_ID=7
    CI_PROJECT_NAME=Anvil
    CI_PROJECT_TITLE=The Anvil
    CI_PROJECT_DESCRIPTION null
    CI_PROJECT_TOPICS=forge,iron
    CI_PROJECT_PATH=Tools/build/Anvil
    CI_PROJECT_PATH_SLUG=tools-build-anvil
    CI_PROJECT_NAMESPACE=Tools/build
    CI_PROJECT_NAMESPACE_SLUG=tools-build
    CI_PROJECT_NAMESPACE_ID=3
    CI_PROJECT_ROOT_NAMESPACE=Tools
    CI_PROJECT_URL=http://localhost:8080/weir/Tools/build/Anvil
    CI_PROJECT_VISIBILITY=internal
    CI_PROJECT_REPOSITORY_LANGUAGES=rust,shell
    CI_PROJECT_CLASSIFICATION_LABEL null
    CI_DEFAULT_BRANCH=main
    CI_DEFAULT_BRANCH_SLUG=main
    CI_CONFIG_PATH=.gitlab-ci.yml
    CI_PAGES_DOMAIN=pages.localhost
    CI_REGISTRY=localhost:5000
    CI_REGISTRY_IMAGE=localhost:5000/tools/build/anvil
    CI_DEPENDENCY_PROXY_SERVER=localhost:8080
    CI_DEPENDENCY_PROXY_GROUP_IMAGE_PREFIX=localhost:8080/tools/dependency_proxy/containers
    CI_DEPENDENCY_PROXY_DIRECT_GROUP_IMAGE_PREFIX=localhost:8080/tools/build/dependency_proxy/containers
    CI_API_V4_URL=http://localhost:8080/weir/api/v4
    CI_API_GRAPHQL_URL=http://localhost:8080/weir/api/graphql
    CI_TEMPLATE_REGISTRY_HOST=registry.example.com
    CI_PIPELINE_IID=12
    CI_PIPELINE_SOURCE=schedule
    CI_PIPELINE_CREATED_AT=2026-01-05T10:13:34Z
    CI_PIPELINE_NAME=Release
    CI_PIPELINE_SCHEDULE_DESCRIPTION=nightly
    CI_CONFIG_REF_URI=localhost:8080/weir/Tools/build/Anvil//.gitlab-ci.yml@refs/tags/v1.0
    CI_COMMIT_SHA=9f3c2b1a4d5e6f708192a3b4c5d6e7f808192a3b
    CI_COMMIT_SHORT_SHA=9f3c2b1a
    CI_COMMIT_BEFORE_SHA=0000000000000000000000000000000000000000
    CI_COMMIT_REF_NAME=v1.0
    CI_COMMIT_REF_SLUG=v1-0
    CI_COMMIT_MESSAGE=Add sizes\n\nAnd weights.\n
    CI_COMMIT_MESSAGE_IS_TRUNCATED=false
    CI_COMMIT_TITLE=Add sizes
    CI_COMMIT_DESCRIPTION=\nAnd weights.
    CI_COMMIT_REF_PROTECTED=true
    CI_COMMIT_TIMESTAMP=2026-01-05T11:13:33+01:00
    CI_COMMIT_AUTHOR=Ada <ada@example.com>
    CI_COMMIT_USER_LOGIN=ada
    CI_COMMIT_TAG=v1.0
    CI_COMMIT_TAG_MESSAGE=Version 1
    CI_UPSTREAM_PIPELINE_ID=1
    CI_UPSTREAM_PROJECT_ID=2
    CI_UPSTREAM_JOB_ID=3
    ");
}

#[test]
fn a_merge_request_pipeline_adds_these_variables() {
    let commit = CommitFacts { ref_name: "sizes".into(), ref_kind: RefKind::MergeRequest, ..commit() };
    let pipeline = PipelineFacts {
        source: PipelineSource::MergeRequestEvent,
        merge_request: Some(merge_request()),
        commit,
        ..pipeline()
    };
    let variables = pre_pipeline(&server(), &project(), &pipeline);
    assert_eq!(value(&variables, "CI_COMMIT_BRANCH"), None);
    let description = value(&variables, "CI_MERGE_REQUEST_DESCRIPTION").unwrap();
    assert_eq!((description.chars().count(), description.ends_with("d...")), (2700, true));
    let shown: Vec<_> = variables
        .into_iter()
        .filter(|variable| variable.key.contains("MERGE_REQUEST") || variable.key == "CI_CONFIG_REF_URI")
        .filter(|variable| variable.key != "CI_MERGE_REQUEST_DESCRIPTION")
        .collect();
    insta::assert_snapshot!(render(&shown), @r"
    CI_CONFIG_REF_URI=ci.example.com/Tools/build/Anvil//.gitlab-ci.yml@refs/merge-requests/5/head
    CI_MERGE_REQUEST_EVENT_TYPE=detached
    CI_MERGE_REQUEST_SOURCE_BRANCH_SHA=
    CI_MERGE_REQUEST_TARGET_BRANCH_SHA=
    CI_MERGE_REQUEST_DIFF_ID=31
    CI_MERGE_REQUEST_DIFF_BASE_SHA=bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
    CI_MERGE_REQUEST_ID=44
    CI_MERGE_REQUEST_IID=5
    CI_MERGE_REQUEST_REF_PATH=refs/merge-requests/5/head
    CI_MERGE_REQUEST_PROJECT_ID=7
    CI_MERGE_REQUEST_PROJECT_PATH=tools/anvil
    CI_MERGE_REQUEST_PROJECT_URL=https://ci.example.com/tools/anvil
    CI_MERGE_REQUEST_TARGET_BRANCH_NAME=main
    CI_MERGE_REQUEST_TARGET_BRANCH_PROTECTED=true
    CI_MERGE_REQUEST_TITLE=Draft: sizes
    CI_MERGE_REQUEST_DRAFT=true
    CI_MERGE_REQUEST_DESCRIPTION_IS_TRUNCATED=true
    CI_MERGE_REQUEST_ASSIGNEES=ada, bob, and eve
    CI_MERGE_REQUEST_MILESTONE=1.0
    CI_MERGE_REQUEST_LABELS=bug,p1
    CI_MERGE_REQUEST_SQUASH_ON_MERGE=false
    CI_MERGE_REQUEST_APPROVED=true
    CI_MERGE_REQUEST_SOURCE_PROJECT_ID=8
    CI_MERGE_REQUEST_SOURCE_PROJECT_PATH=ada/anvil
    CI_MERGE_REQUEST_SOURCE_PROJECT_URL=https://ci.example.com/ada/anvil
    CI_MERGE_REQUEST_SOURCE_BRANCH_NAME=sizes
    CI_MERGE_REQUEST_SOURCE_BRANCH_PROTECTED=false
    ");
}

#[test]
fn an_external_pull_request_and_the_state_of_the_project_add_variables() {
    let pull_request = ExternalPullRequestFacts {
        iid: 3,
        source_repository: "ada/anvil".into(),
        target_repository: "tools/anvil".into(),
        source_branch: "sizes".into(),
        source_branch_sha: "a1".into(),
        target_branch: "main".into(),
        target_branch_sha: "b2".into(),
    };
    let pipeline = PipelineFacts {
        external_pull_request: Some(pull_request),
        open_merge_requests: (1..=5).map(|iid| format!("tools/anvil!{iid}")).collect(),
        kubernetes_active: true,
        deploy_freeze: true,
        ..pipeline()
    };
    let plain = pre_pipeline(&server(), &project(), &self::pipeline()).len();
    insta::assert_snapshot!(render(&pre_pipeline(&server(), &project(), &pipeline)[plain..]), @r"
    CI_OPEN_MERGE_REQUESTS=tools/anvil!1,tools/anvil!2,tools/anvil!3,tools/anvil!4
    CI_KUBERNETES_ACTIVE=true
    CI_DEPLOY_FREEZE=true
    CI_EXTERNAL_PULL_REQUEST_IID=3
    CI_EXTERNAL_PULL_REQUEST_SOURCE_REPOSITORY=ada/anvil
    CI_EXTERNAL_PULL_REQUEST_TARGET_REPOSITORY=tools/anvil
    CI_EXTERNAL_PULL_REQUEST_SOURCE_BRANCH_SHA=a1
    CI_EXTERNAL_PULL_REQUEST_TARGET_BRANCH_SHA=b2
    CI_EXTERNAL_PULL_REQUEST_SOURCE_BRANCH_NAME=sizes
    CI_EXTERNAL_PULL_REQUEST_TARGET_BRANCH_NAME=main
    ");
}

#[test]
fn jobs_users_runners_and_releases_have_these_variables() {
    let environment = EnvironmentFacts {
        name: "review/a".into(),
        action: EnvironmentAction::Start,
        url: Some("https://$CI_ENVIRONMENT_SLUG.example.com".into()),
        slug: Some("review-a-x1y2z3".into()),
        id: Some(EnvironmentId(9)),
        tier: None,
    };
    let facts = JobFacts {
        name: "deploy: [aws, eu]".into(),
        stage: "Deploy it".into(),
        manual: true,
        trigger_short_token: Some("ab12".into()),
        node_index: Some(2),
        node_total: Some(4),
        environment: Some(environment.clone()),
    };
    let mut variables = job(&facts);
    variables.extend(user(&UserFacts {
        id: UserId(1),
        email: "ada@example.com".into(),
        login: "ada".into(),
        name: "Ada".into(),
    }));
    variables.extend(runner(&RunnerFacts {
        id: RunnerId(5),
        description: None,
        tags: vec!["docker".into(), "linux".into()],
    }));
    variables.extend(release(&ReleaseFacts { description: "costs $5".into(), name: "One".into() }));
    let pages =
        PagesFacts { hostname: "tools.example.com".into(), url: "https://tools.example.com/anvil".into() };
    variables.extend(persisted(Some(&environment), Some(&pages)));
    insta::assert_snapshot!(render(&variables), @r#"
    CI_JOB_NAME=deploy: [aws, eu]
    CI_JOB_NAME_SLUG=deploy---aws--eu
    CI_JOB_GROUP_NAME=deploy
    CI_JOB_STAGE=Deploy it
    CI_JOB_MANUAL=true
    CI_PIPELINE_TRIGGERED=true
    CI_TRIGGER_SHORT_TOKEN=ab12
    CI_NODE_INDEX=2
    CI_NODE_TOTAL=4
    CI_ENVIRONMENT_NAME=review/a
    CI_ENVIRONMENT_ACTION=start
    CI_ENVIRONMENT_TIER null
    CI_ENVIRONMENT_URL=https://$CI_ENVIRONMENT_SLUG.example.com
    GITLAB_USER_ID=1
    GITLAB_USER_EMAIL=ada@example.com
    GITLAB_USER_LOGIN=ada
    GITLAB_USER_NAME=Ada
    CI_RUNNER_ID=5
    CI_RUNNER_DESCRIPTION null
    CI_RUNNER_TAGS=["docker", "linux"]
    CI_RELEASE_DESCRIPTION=costs $5 (raw)
    CI_RELEASE_NAME=One
    CI_ENVIRONMENT_SLUG=review-a-x1y2z3
    CI_ENVIRONMENT_ID=9
    CI_ENVIRONMENT_URL=https://$CI_ENVIRONMENT_SLUG.example.com
    CI_PAGES_HOSTNAME=tools.example.com
    CI_PAGES_URL=https://tools.example.com/anvil
    "#);
}

#[test]
fn a_plain_job_has_these_variables() {
    let facts = JobFacts { name: "test".into(), stage: "test".into(), ..JobFacts::default() };
    insta::assert_snapshot!(render(&job(&facts)), @r"
    CI_JOB_NAME=test
    CI_JOB_NAME_SLUG=test
    CI_JOB_GROUP_NAME=test
    CI_JOB_STAGE=test
    CI_NODE_TOTAL=1
    ");
}

#[test]
fn a_started_job_has_secrets() {
    let facts = StartedJobFacts {
        id: JobId(70),
        url: "https://ci.example.com/tools/anvil/-/jobs/70".into(),
        token: "glcbt-secret".into(),
        started_at: Some("2026-01-05T10:13:40.999Z".parse().unwrap()),
        pipeline_id: PipelineId(11),
        pipeline_url: "https://ci.example.com/tools/anvil/-/pipelines/11".into(),
        repository_url: "https://ci.example.com/tools/anvil.git".into(),
        deploy_token: Some(("gitlab+deploy-token-1".into(), "deploy-secret".into())),
    };
    let server = ServerFacts { dependency_proxy: true, ..server() };
    insta::assert_snapshot!(render(&started_job(&server, &facts)), @r"
    CI_PIPELINE_ID=11
    CI_PIPELINE_URL=https://ci.example.com/tools/anvil/-/pipelines/11
    CI_JOB_ID=70
    CI_JOB_URL=https://ci.example.com/tools/anvil/-/jobs/70
    CI_JOB_TOKEN=glcbt-secret (not public) (masked)
    CI_JOB_STARTED_AT=2026-01-05T10:13:40Z
    CI_REGISTRY_USER=gitlab-ci-token
    CI_REGISTRY_PASSWORD=glcbt-secret (not public) (masked)
    CI_REPOSITORY_URL=https://gitlab-ci-token:glcbt-secret@ci.example.com/tools/anvil.git (not public)
    CI_DEPLOY_USER=gitlab+deploy-token-1
    CI_DEPLOY_PASSWORD=deploy-secret (not public) (masked)
    CI_DEPENDENCY_PROXY_USER=gitlab-ci-token
    CI_DEPENDENCY_PROXY_PASSWORD=glcbt-secret (not public) (masked)
    ");
}

#[test]
fn slugs_suit_host_names() {
    for (text, slug) in [
        ("main", "main"),
        ("Feature/ABC_1.2", "feature-abc-1-2"),
        ("-a-", "a"),
        ("a//b", "a--b"),
        ("Größe", "gr--e"),
        ("ÄÖ", ""),
        ("", ""),
    ] {
        assert_eq!(slugify(text), slug, "{text}");
    }
    assert_eq!(slugify(&"a".repeat(70)), "a".repeat(limits::SLUG_CHARS));
    assert_eq!(slugify(&format!("{}-b", "a".repeat(62))), "a".repeat(62));
}

#[test]
fn group_names_leave_counters_and_matrices_out() {
    for (job, group) in [
        ("rspec", "rspec"),
        ("rspec 1/3", "rspec"),
        ("rspec 1 3", "rspec"),
        ("rspec:1:3", "rspec"),
        (r"rspec 1\3", "rspec"),
        ("rspec 0 1 ruby", "rspec 0 1 ruby"),
        ("deploy: [aws, eu]", "deploy"),
        ("rspec:test: [ruby, ubuntu] 1/2", "rspec:test"),
        ("rspec 1", "rspec 1"),
        ("a[b]", "a[b]"),
        (" padded ", "padded"),
    ] {
        assert_eq!(group_name(job), group, "{job}");
    }
}

#[test]
fn the_address_of_the_server_is_taken_apart() {
    for (url, protocol, host, port, fqdn) in [
        ("https://a.b", "https", "a.b", "443", "a.b"),
        ("https://a.b:443", "https", "a.b", "443", "a.b"),
        ("https://a.b:80", "https", "a.b", "80", "a.b:80"),
        ("http://a.b", "http", "a.b", "80", "a.b"),
        ("http://a.b:8080/x/", "http", "a.b", "8080", "a.b:8080/x"),
        ("http://[::1]", "http", "[::1]", "80", "[::1]"),
        ("http://[::1]:81", "http", "[::1]", "81", "[::1]:81"),
    ] {
        let address = Address::of(url);
        let parts = (address.protocol, address.host, address.port, address.fqdn.as_str());
        assert_eq!(parts, (protocol, host, port, fqdn), "{url}");
    }
}

#[test]
fn messages_have_a_title_and_a_description() {
    let long = "x".repeat(100);
    let long_message = format!("{long}\nbody");
    for (message, title, description) in [
        ("One line", "One line", ""),
        ("One line\n", "One line", ""),
        ("Title\n\nBody\nmore\n", "Title", "\nBody\nmore"),
        ("Title\r\nBody\r\n", "Title", "Body"),
        (" \n", "No commit message", "No commit message"),
        (&long_message, &long, &long_message),
    ] {
        assert_eq!(title_and_description(message), (title, description), "{message:?}");
    }
}

#[test]
fn long_messages_are_cut() {
    let message = format!("Title\n{}", "é".repeat(limits::COMMIT_MESSAGE_BYTES));
    let pipeline = PipelineFacts { commit: CommitFacts { message, ..commit() }, ..pipeline() };
    let variables = pre_pipeline(&server(), &project(), &pipeline);
    assert_eq!(value(&variables, "CI_COMMIT_MESSAGE_IS_TRUNCATED").as_deref(), Some("true"));
    for key in ["CI_COMMIT_MESSAGE", "CI_COMMIT_DESCRIPTION"] {
        let len = value(&variables, key).unwrap().len();
        assert!(
            (limits::COMMIT_MESSAGE_BYTES - 1..=limits::COMMIT_MESSAGE_BYTES).contains(&len),
            "{key}: {len}"
        );
    }
}

#[test]
fn long_releases_and_many_topics_are_cut() {
    let facts = ReleaseFacts { description: "é".repeat(2000), name: String::new() };
    let description = value(&release(&facts), "CI_RELEASE_DESCRIPTION").unwrap();
    assert_eq!(description.chars().count(), limits::RELEASE_DESCRIPTION_CHARS);
    assert!(description.ends_with("é..."));
    let project = ProjectFacts { topics: (1..=30).map(|n| n.to_string()).collect(), ..project() };
    let topics = value(&pre_pipeline(&server(), &project, &pipeline()), "CI_PROJECT_TOPICS").unwrap();
    assert_eq!(topics.split(',').count(), limits::PROJECT_TOPICS);
}
