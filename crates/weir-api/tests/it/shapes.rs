//! Every entity reads GitLab's JSON and writes the same members, in the same order, again.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use weir_api::{
    artifacts, branches, commits, files, groups, jobs, lint, members, metadata, namespaces,
    pipeline_schedules, pipelines, projects, runners, tags, test_reports, tokens, tree, triggers, users, v3,
    variables,
};

/// `text` may be laid out for readers; what is compared is its compact form, order of members included.
#[track_caller]
fn survives<T: Serialize + DeserializeOwned>(text: &str) {
    let expected = serde_json::from_str::<Value>(text).map(|value| value.to_string());
    let written = serde_json::from_str::<T>(text).and_then(|entity| serde_json::to_string(&entity));
    match (written, expected) {
        (Ok(written), Ok(expected)) => assert_eq!(written, expected),
        (written, expected) => panic!("does not read: {written:?}, JSON: {expected:?}"),
    }
}

const USER_BASIC: &str = r#"{"id":1,"username":"dev","public_email":"","name":"Dev","state":"active","locked":false,
    "avatar_url":null,"web_url":"https://ci.example/dev"}"#;

const USER: &str = r#"{"id":1,"username":"dev","public_email":"","name":"Dev","state":"active","locked":false,
    "avatar_url":null,"web_url":"https://ci.example/dev","created_at":"2026-01-01T00:00:00.000Z","bio":"",
    "location":null,"linkedin":"","twitter":"","discord":"","website_url":"","organization":null,"job_title":"",
    "pronouns":null,"bot":false,"work_information":null,"followers":0,"following":0,"local_time":null}"#;

const PIPELINE_BASIC: &str = r#"{"id":9,"iid":4,"project_id":2,"sha":"3fa8","ref":"main","status":"success",
    "source":"push","created_at":"2026-01-05T10:00:00.000Z","updated_at":"2026-01-05T10:00:00.000Z",
    "web_url":"https://ci.example/g/p/-/pipelines/9"}"#;

const COMMIT: &str = r#"{"id":"3fa8","short_id":"3fa8","created_at":"2012-09-20T09:06:12.000+03:00","parent_ids":["1b"],
    "title":"x","message":"x\n","author_name":"A","author_email":"a@example.com",
    "authored_date":"2012-09-20T09:06:12.000+03:00","committer_name":"A","committer_email":"a@example.com",
    "committed_date":"2012-09-20T09:06:12.000+03:00","trailers":{},"extended_trailers":{},
    "web_url":"https://ci.example/g/p/-/commit/3fa8"}"#;

const RUNNER: &str = r#"{"id":6,"description":"r","ip_address":null,"active":true,"paused":false,"is_shared":true,
    "runner_type":"instance_type","name":null,"online":null,"status":"never_contacted","created_by":null,
    "created_at":"2026-01-01T00:00:00.000Z","job_execution_status":"idle"}"#;

const MANAGER: &str = r#"{"id":1,"system_id":"s_1","version":"19.4.0","revision":"a","platform":"linux",
    "architecture":"amd64","created_at":"2026-01-01T00:00:00.000Z","contacted_at":null,"ip_address":null,
    "status":"online","job_execution_status":"active"}"#;

/// `base` with more members at its end.
fn extended(base: &str, more: &str) -> String {
    format!("{},{more}}}", base.trim_end().trim_end_matches('}').trim_end())
}

fn job_basic(status_members: &str) -> String {
    format!(
        r#"{{"id":71,"status":"failed","stage":"test","name":"unit","ref":"main","tag":false,"coverage":87.5,
        "allow_failure":false,"created_at":"2026-01-05T10:00:00.000Z","started_at":"2026-01-05T10:00:03.120Z",
        "finished_at":null,"erased_at":null,"duration":38.58,"queued_duration":3.12,"user":{USER},"commit":{COMMIT},
        "pipeline":{PIPELINE_BASIC},{status_members}"web_url":"https://ci.example/g/p/-/jobs/71"}}"#
    )
}

#[test]
fn users() {
    survives::<users::UserBasic>(USER_BASIC);
    survives::<users::User>(USER);
    survives::<users::CurrentUser>(&extended(
        USER,
        r#""last_sign_in_at":null,"confirmed_at":"2026-01-01T00:00:00.000Z","last_activity_on":"2026-01-05",
        "email":"dev@example.com","theme_id":1,"color_scheme_id":1,"projects_limit":100,"current_sign_in_at":null,
        "identities":[],"can_create_group":true,"can_create_project":true,"two_factor_enabled":false,
        "external":false,"private_profile":false,"commit_email":"dev@example.com","is_admin":true,"namespace_id":1"#,
    ));
    survives::<members::Member>(
        r#"{"id":1,"username":"dev","name":"Dev","state":"active","locked":false,"avatar_url":null,"web_url":"w",
        "access_level":30,"created_at":"2026-01-01T00:00:00.000Z","created_by":null,"expires_at":"2027-01-01",
        "membership_state":"active"}"#,
    );
    survives::<tokens::PersonalAccessToken>(
        r#"{"id":1,"name":"ci","revoked":false,"created_at":"2026-01-01T00:00:00.000Z","description":null,
        "scopes":["api","read_api"],"user_id":1,"last_used_at":null,"active":true,"expires_at":"2027-01-01",
        "token":"glpat-1"}"#,
    );
}

#[test]
fn pipelines() {
    survives::<pipelines::PipelineBasic>(PIPELINE_BASIC);
    survives::<pipelines::PipelineBasicWithMetadata>(&extended(PIPELINE_BASIC, r#""name":null"#));
    survives::<pipelines::Pipeline>(&extended(
        PIPELINE_BASIC,
        &format!(
            r#""before_sha":"0000","tag":false,"yaml_errors":null,"user":{USER_BASIC},"started_at":null,
            "finished_at":null,"committed_at":null,"duration":12,"queued_duration":3,"coverage":"86.50",
            "detailed_status":{{"icon":"status_created","text":"Created","label":"created","group":"created",
            "tooltip":"created","has_details":true,"details_path":"/g/p/-/pipelines/9","illustration":null,
            "favicon":"/assets/ci_favicons/favicon_status_created.png"}},"archived":false,"name":"Build""#
        ),
    ));
    survives::<pipelines::PipelineVariable>(r#"{"variable_type":"file","key":"K","value":"v","raw":false}"#);
}

#[test]
fn jobs() {
    survives::<jobs::JobBasic>(&job_basic(""));
    let job = job_basic(r#""failure_reason":"script_failure","#);
    survives::<jobs::Job>(&extended(
        &job,
        &format!(
            r#""project":{{"ci_job_token_scope_enabled":false}},
            "artifacts_file":{{"filename":"artifacts.zip","size":1204}},
            "artifacts":[{{"file_type":"archive","size":1204,"filename":"artifacts.zip","file_format":"zip"}},
                {{"file_type":"trace","size":2900,"filename":"job.log","file_format":null}}],
            "runner":{RUNNER},"runner_manager":{MANAGER},"artifacts_expire_at":null,"archived":false,
            "tag_list":["docker"],"source":"push""#
        ),
    ));
    survives::<jobs::Bridge>(&extended(
        &job,
        &format!(
            r#""project":{{"ci_job_token_scope_enabled":false}},"downstream_pipeline":{PIPELINE_BASIC}"#
        ),
    ));
    survives::<artifacts::ArtifactTreeEntry>(
        r#"{"name":"a","path":"b/a","type":"file","size":3,"mode":"100644"}"#,
    );
}

#[test]
fn a_job_without_an_archive_or_a_failure_lacks_those_members() {
    let job: jobs::Job = serde_json::from_str(&job_basic("")).expect("reads");
    let written = serde_json::to_value(&job).expect("writes");
    for absent in ["artifacts_file", "failure_reason", "source"] {
        assert!(written.get(absent).is_none(), "{absent}");
    }
    for null in ["runner", "runner_manager", "artifacts_expire_at", "finished_at"] {
        assert_eq!(written[null], Value::Null, "{null}");
    }
    assert_eq!(written["artifacts"], Value::Array(vec![]));
}

#[test]
fn unknown_members_are_kept() {
    survives::<pipelines::PipelineBasicWithMetadata>(&extended(
        PIPELINE_BASIC,
        r#""name":null,"mood":{"a":1}"#,
    ));
}

#[test]
fn runners() {
    survives::<runners::Runner>(RUNNER);
    survives::<runners::RunnerManager>(MANAGER);
    survives::<runners::RunnerDetails>(&extended(
        RUNNER,
        r#""tag_list":["a"],"run_untagged":true,"locked":false,"maximum_timeout":null,"access_level":"not_protected",
        "version":null,"revision":null,"platform":null,"architecture":null,"contacted_at":null,
        "maintenance_note":null,"groups":[{"id":1,"web_url":"w","name":"g"}]"#,
    ));
    survives::<runners::RunnerRegistrationDetails>(r#"{"id":6,"token":"glrt-1","token_expires_at":null}"#);
    survives::<runners::ResetTokenResult>(r#"{"token":"glrt-1","token_expires_at":null}"#);
}

#[test]
fn projects_and_groups() {
    let namespace = r#"{"id":1,"name":"g","path":"g","kind":"group","full_path":"g","parent_id":null,
        "avatar_url":null,"web_url":"w"}"#;
    let identity = r#"{"id":2,"description":null,"name":"p","name_with_namespace":"g / p","path":"p",
        "path_with_namespace":"g/p","created_at":"2026-01-01T00:00:00.000Z"}"#;
    let basic = extended(
        identity,
        &format!(
            r#""default_branch":"main","tag_list":[],"topics":[],"ssh_url_to_repo":"s","http_url_to_repo":"h",
            "web_url":"w","readme_url":null,"forks_count":0,"avatar_url":null,"star_count":0,
            "last_activity_at":"2026-01-01T00:00:00.000Z","visibility":"private","namespace":{namespace}"#
        ),
    );
    survives::<projects::ProjectIdentity>(identity);
    survives::<projects::BasicProjectDetails>(&basic);
    survives::<namespaces::Namespace>(namespace);

    let project: projects::Project = serde_json::from_str(&basic).expect("reads");
    assert_eq!(project.path_with_namespace, "g/p");
    let written = serde_json::to_string_pretty(&project).expect("writes");
    insta::assert_snapshot!(written);
    survives::<projects::Project>(&written);

    survives::<groups::Group>(
        r#"{"id":1,"web_url":"w","name":"g","path":"g","description":"","visibility":"public",
        "share_with_group_lock":false,"subgroup_creation_level":"maintainer","project_creation_level":"developer",
        "shared_runners_setting":"enabled","default_branch":null,"avatar_url":null,"full_name":"g","full_path":"g",
        "created_at":"2026-01-01T00:00:00.000Z","parent_id":null,"runners_token":"GR13"}"#,
    );
}

#[test]
fn repositories() {
    survives::<commits::Commit>(COMMIT);
    survives::<commits::CommitDetail>(&extended(
        COMMIT,
        r#""stats":{"additions":1,"deletions":2,"total":3},"status":"running","project_id":2,"last_pipeline":null"#,
    ));
    survives::<branches::Branch>(&format!(
        r#"{{"name":"main","commit":{COMMIT},"merged":false,"protected":true,"developers_can_push":false,
        "developers_can_merge":false,"can_push":true,"default":true,"web_url":"w"}}"#
    ));
    survives::<tags::Tag>(&format!(
        r#"{{"name":"v1","message":"","target":"3fa8","commit":{COMMIT},"release":null,"protected":false,
        "created_at":null}}"#
    ));
    survives::<branches::ProtectedBranch>(
        r#"{"id":1,"name":"main","push_access_levels":[{"id":1,"access_level":40,
        "access_level_description":"Maintainers","deploy_key_id":null,"user_id":null,"group_id":null}],
        "merge_access_levels":[],"allow_force_push":false}"#,
    );
    survives::<files::File>(
        r#"{"file_name":"a","file_path":"b/a","size":1,"encoding":"base64","content_sha256":"c","ref":"main",
        "blob_id":"d","commit_id":"e","last_commit_id":"f","execute_filemode":false,"content":"YQ=="}"#,
    );
    survives::<tree::TreeEntry>(r#"{"id":"d","name":"a","type":"blob","path":"b/a","mode":"100644"}"#);
}

#[test]
fn variables_differ_by_owner() {
    survives::<variables::Variable>(
        r#"{"variable_type":"env_var","key":"K","value":null,"hidden":true,"protected":false,"masked":true,
        "raw":false,"environment_scope":"*","description":null}"#,
    );
    survives::<variables::Variable>(r#"{"variable_type":"env_var","key":"K","value":"v","raw":false}"#);
}

#[test]
fn triggers_schedules_and_the_rest() {
    survives::<triggers::Trigger>(
        r#"{"id":1,"token":"glptt-1","description":"d","created_at":"2026-01-01T00:00:00.000Z",
        "updated_at":"2026-01-01T00:00:00.000Z","last_used":null,"expires_at":null,"owner":null}"#,
    );
    survives::<pipeline_schedules::PipelineScheduleDetails>(
        r#"{"id":1,"description":"d","ref":"refs/heads/main","cron":"0 2 * * *","cron_timezone":"UTC",
        "next_run_at":null,"active":true,"created_at":"2026-01-01T00:00:00.000Z",
        "updated_at":"2026-01-01T00:00:00.000Z","owner":null,"inputs":[{"name":"n","value":3}],
        "last_pipeline":null,"variables":[]}"#,
    );
    survives::<lint::LintResult>(
        r#"{"valid":true,"errors":[],"warnings":[],"merged_yaml":"---\n","includes":[{"type":"local",
        "location":"a.yml","blob":null,"raw":null,"extra":{},"context_project":"g/p","context_sha":"3f"}]}"#,
    );
    survives::<metadata::Metadata>(
        r#"{"version":"19.4.0","revision":"a","kas":{"enabled":false,"externalUrl":null,
        "externalK8sProxyUrl":null,"version":null},"enterprise":false}"#,
    );
}

#[test]
fn test_reports() {
    survives::<test_reports::TestReport>(
        r#"{"total_time":1.5,"total_count":1,"success_count":0,"failed_count":1,"skipped_count":0,"error_count":0,
        "test_suites":[{"name":"unit","total_time":1.5,"total_count":1,"success_count":0,"failed_count":1,
        "skipped_count":0,"error_count":0,"suite_error":null,"test_cases":[{"status":"failed","name":"adds",
        "classname":null,"file":null,"execution_time":1.5,"system_output":"1 != 2","stack_trace":null,
        "recent_failures":{"count":2,"base_branch":"main"},"attachment_url":"u"}]}]}"#,
    );
    survives::<test_reports::TestReportSummary>(
        r#"{"total":{"time":1.5,"count":1,"success":1,"failed":0,"skipped":0,"error":0,"suite_error":null},
        "test_suites":[{"name":"unit","total_time":1.5,"total_count":1,"success_count":1,"failed_count":0,
        "skipped_count":0,"error_count":0,"build_ids":[71],"suite_error":null}]}"#,
    );
}

#[test]
fn v3() {
    survives::<v3::Build>(
        r#"{"id":7,"status":"failed","stage":"test","name":"teaspoon","ref":"master","tag":false,"coverage":null,
        "created_at":"2015-12-24T15:51:21.802Z","started_at":null,"finished_at":null,
        "user":{"id":1,"name":"Administrator","username":"root","state":"active","avatar_url":null,"web_url":"w",
        "created_at":"2015-12-21T13:14:24.077Z","is_admin":true,"bio":null,"location":null,"skype":"",
        "linkedin":"","twitter":"","website_url":"","organization":""},"artifacts_file":null,
        "commit":{"id":"0ff3","short_id":"0ff3","title":"t","author_name":"A","author_email":"a@example.com",
        "created_at":"2015-12-24T16:51:14.000+01:00","message":"t"},
        "runner":{"id":1,"description":null,"active":true,"is_shared":true,"name":null},
        "pipeline":{"id":6,"sha":"0ff3","ref":"master","status":"pending"}}"#,
    );
    survives::<v3::Pipeline>(
        r#"{"id":6,"sha":"0ff3","ref":"master","status":"pending","before_sha":"0000","tag":false,
        "yaml_errors":null,"user":null,"created_at":"2015-12-24T15:51:21.802Z",
        "updated_at":"2015-12-24T15:51:21.802Z","started_at":null,"finished_at":null,"committed_at":null,
        "duration":null,"coverage":"30.0"}"#,
    );
    survives::<v3::Trigger>(
        r#"{"token":"t","created_at":"2015-12-24T15:51:21.802Z","updated_at":"2015-12-24T15:51:21.802Z",
        "deleted_at":null,"last_used":null,"owner":null}"#,
    );
    survives::<v3::TriggerRequest>(r#"{"id":1,"variables":{"A":"1"}}"#);
}
