//! The payload that a runner gets.

use weir_api::Secret;
use weir_api::id::{JobId, PipelineId, ProjectId};
use weir_api::runner::{JobInfo, JobPayload, ObjectFormat};
use weir_api::status::{ArtifactFileType, ArtifactFormat};
use weir_compiler::plan::{self, Artifacts, ArtifactsWhen, Run};
use weir_compiler::vars::{Level, Variable, Variables};
use weir_engine::payload::{Archive, Caches, Facts, Git, Ref, payload, report_file};

fn text(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn branch(name: &str) -> Git<'_> {
    Git {
        repo_url: Secret::from("https://gitlab-ci-token:t0k3n@ci.example/g/p.git"),
        object_format: ObjectFormat::Sha1,
        reference: Ref::Branch(name),
        protected: true,
        sha: "3fa86b1c",
        before_sha: None,
        pipeline: None,
        default_depth: 20,
        allow_fetch: true,
    }
}

fn info() -> JobInfo {
    JobInfo {
        id: Some(JobId(71)),
        name: "unit".to_owned(),
        stage: "test".to_owned(),
        pipeline_id: Some(PipelineId(9)),
        project_id: ProjectId(2),
        project_name: "p".to_owned(),
        project_full_path: "g/p".to_owned(),
        namespace_id: None,
        root_namespace_id: None,
        organization_id: None,
        instance_id: String::new(),
        instance_uuid: String::new(),
        user_id: None,
        scoped_user_id: None,
        time_in_queue_seconds: Some(1.5),
        project_jobs_running_on_instance_runners_count: "+Inf".to_owned(),
        queue_size: None,
        queue_depth: None,
    }
}

fn of(run: &Run, git: Git<'_>, variables: &Variables, caches: Caches) -> JobPayload {
    payload(Facts {
        info: info(),
        id: JobId(71),
        token: &Secret::from("t0k3n"),
        run,
        timeout: 3600,
        variables,
        git,
        caches,
        dependencies: vec![Archive {
            job: JobId(70),
            name: "build".to_owned(),
            filename: "artifacts.zip".to_owned(),
            size: 12,
        }],
        credentials: Vec::new(),
        inputs: Vec::new(),
        token_prefixes: text(&["glpat-"]),
        session_url: None,
    })
}

fn run(change: impl FnOnce(&mut Run)) -> JobPayload {
    let mut run = Run { script: text(&["make"]), ..Run::default() };
    change(&mut run);
    of(&run, branch("main"), &Variables::new(), Caches::default())
}

#[test]
fn a_small_job_has_a_small_payload() {
    let mut payload = run(|_| ());
    payload.features.failure_reasons.truncate(1);
    insta::assert_json_snapshot!(payload);
}

#[test]
fn a_job_with_everything_sends_texts_as_they_stand() {
    let executor_opts = serde_json::json!({"docker": {"platform": "linux/arm64", "user": 1000}});
    let image = plan::Image {
        name: "$IMAGE:latest".to_owned(),
        entrypoint: Some(text(&[""])),
        pull_policy: text(&["if-not-present", "always"]),
        executor_opts: executor_opts.as_object().cloned().unwrap_or_default(),
        ..plan::Image::default()
    };
    let service = plan::Image {
        name: "postgres:$VERSION".to_owned(),
        alias: Some("db".to_owned()),
        command: Some(text(&["-c", "fsync=off"])),
        variables: vec![plan::Variable { key: "A".to_owned(), value: "$B".to_owned(), raw: false }],
        ..plan::Image::default()
    };
    let payload = run(|run| {
        run.before_script = text(&["cd $DIR", "a\nb"]);
        run.after_script = text(&["bye"]);
        run.pre_get_sources_script = text(&["env"]);
        run.image = Some(image);
        run.services = vec![service];
        run.artifacts = Some(Artifacts {
            name: Some("$CI_JOB_NAME".to_owned()),
            untracked: true,
            paths: text(&["out/$A"]),
            exclude: text(&["out/*.o"]),
            when: ArtifactsWhen::Always,
            expire_in: Some("1 week".to_owned()),
            reports: vec![
                ("junit".to_owned(), text(&["rspec.xml"])),
                ("dotenv".to_owned(), text(&["build.env"])),
                ("unheard_of".to_owned(), text(&["x"])),
            ],
            ..Artifacts::default()
        });
        run.cache = vec![plan::Cache {
            key: "$CI_COMMIT_REF_SLUG".to_owned(),
            paths: text(&["target/"]),
            untracked: true,
            policy: "$POLICY".to_owned(),
            when: ArtifactsWhen::OnFailure,
            unprotect: false,
            fallback_keys: text(&["main"]),
        }];
    });
    insta::assert_json_snapshot!(serde_json::json!({
        "steps": payload.steps,
        "hooks": payload.hooks,
        "image": payload.image,
        "services": payload.services,
        "artifacts": payload.artifacts,
        "cache": payload.cache,
    }));
}

#[test]
fn an_archive_is_listed_only_if_something_is_archived() {
    let reports = vec![("junit".to_owned(), text(&["rspec.xml"]))];
    let payload = run(|run| run.artifacts = Some(Artifacts { reports, ..Artifacts::default() }));
    assert_eq!(payload.artifacts.len(), 1);
    assert_eq!(payload.artifacts[0].artifact_type, ArtifactFileType::Junit);
    assert_eq!(payload.artifacts[0].artifact_format, ArtifactFormat::Gzip);
    assert!(run(|run| run.artifacts = Some(Artifacts::default())).artifacts.is_empty());
}

#[test]
fn every_report_has_a_file_and_what_is_no_report_has_none() {
    use ArtifactFileType::{Archive, Metadata, MetricsReferee, NetworkReferee, Trace};
    for &kind in ArtifactFileType::ALL {
        let is_report = ![Archive, Metadata, Trace, MetricsReferee, NetworkReferee].contains(&kind);
        assert_eq!(report_file(kind).is_some(), is_report, "{kind}");
    }
}

#[test]
fn the_depth_decides_what_is_fetched() {
    let merge_request = "refs/merge-requests/1/head";
    for (reference, depth, pipeline, expected) in [
        (Ref::Branch("a/b"), None, None, (20, &["+refs/heads/a/b:refs/remotes/origin/a/b"][..])),
        (Ref::Tag("v1"), Some("5"), None, (5, &["+refs/tags/v1:refs/tags/v1"])),
        (
            Ref::Branch("main"),
            Some("1"),
            Some(9),
            (1, &["+refs/pipelines/9:refs/pipelines/9", "+refs/heads/main:refs/remotes/origin/main"]),
        ),
        (
            Ref::Branch("main"),
            Some("0"),
            None,
            (0, &["+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"]),
        ),
        (
            Ref::Tag("v1"),
            Some("all"),
            None,
            (0, &["+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"]),
        ),
        (
            Ref::Branch("main"),
            Some("-3"),
            None,
            (-3, &["+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"]),
        ),
        (Ref::Branch("main"), Some(" 7 commits"), None, (7, &["+refs/heads/main:refs/remotes/origin/main"])),
        (Ref::MergeRequest(merge_request), None, Some(9), (20, &["+refs/pipelines/9:refs/pipelines/9"])),
        (
            Ref::MergeRequest(merge_request),
            None,
            None,
            (20, &["+refs/merge-requests/1/head:refs/merge-requests/1/head"]),
        ),
    ] {
        let mut variables = Variables::new();
        if let Some(depth) = depth {
            variables.push(Level::YamlJob, Variable::public("GIT_DEPTH", depth));
        }
        let git = Git { reference, pipeline: pipeline.map(PipelineId), ..branch("") };
        let git = of(&Run::default(), git, &variables, Caches::default()).git_info;
        assert_eq!(
            (git.depth, &git.refspecs[..]),
            (expected.0, &text(expected.1)[..]),
            "{reference:?} {depth:?}"
        );
    }
}

#[test]
fn a_missing_commit_before_is_zeros_as_long_as_a_name_of_an_object() {
    for (object_format, length) in [(ObjectFormat::Sha1, 40), (ObjectFormat::Sha256, 64)] {
        let git = Git { object_format, ..branch("main") };
        let git = of(&Run::default(), git, &Variables::new(), Caches::default()).git_info;
        assert_eq!(git.before_sha, "0".repeat(length));
    }
}

#[test]
fn variables_come_expanded_weakest_first_and_leave_raw_ones_to_the_runner() {
    let mut variables = Variables::new();
    variables.push(Level::YamlJob, Variable::public("NAME", "weir"));
    variables.push(Level::YamlJob, Variable::public("GREETING", "hello $NAME and $NOBODY, $RAW"));
    variables.push(Level::Project, Variable { raw: true, ..Variable::secret("RAW", "$NAME") });
    let sent = of(&Run::default(), branch("main"), &variables, Caches::default()).variables;
    let greeting = sent.iter().find(|variable| variable.key == "GREETING").unwrap();
    assert_eq!(greeting.value, "hello weir and $NOBODY, $RAW");
    let raw = sent.iter().find(|variable| variable.key == "RAW").unwrap();
    assert!(raw.raw && raw.masked && !raw.public);
}

#[test]
fn variables_in_a_circle_are_sent_as_they_stand() {
    let mut variables = Variables::new();
    variables.push(Level::YamlJob, Variable::public("A", "$B"));
    variables.push(Level::YamlJob, Variable::public("B", "$A"));
    let sent = of(&Run::default(), branch("main"), &variables, Caches::default()).variables;
    let sent: Vec<_> = sent.iter().map(|variable| (variable.key.as_str(), variable.value.as_str())).collect();
    assert_eq!(sent, [("A", "$B"), ("B", "$A")]);
}

#[test]
fn keys_of_caches_tell_apart_what_must_not_mix() {
    for (index, separated, protected, unprotect, expected) in [
        (None, false, true, false, "key"),
        (Some(3), false, true, false, "key-3"),
        (None, true, true, false, "key-protected"),
        (None, true, false, false, "key-non_protected"),
        (Some(3), true, true, true, "key-3-non_protected"),
    ] {
        let entry = plan::Cache {
            key: "key".to_owned(),
            paths: Vec::new(),
            untracked: false,
            policy: "pull".to_owned(),
            when: ArtifactsWhen::OnSuccess,
            unprotect,
            fallback_keys: text(&["key"]),
        };
        let run = Run { cache: vec![entry], ..Run::default() };
        let caches = Caches { index, separated, protected };
        let sent = of(&run, branch("main"), &Variables::new(), caches).cache;
        assert_eq!((sent[0].key.as_str(), &sent[0].fallback_keys[..]), (expected, &text(&[expected])[..]));
    }
}
