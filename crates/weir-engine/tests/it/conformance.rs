//! GitLab's own processing cases, if the conformance data is there.
//!
//! The cases come from `spec/services/ci/pipeline_processing/test_cases` of GitLab. The folder is
//! `$WEIR_CONFORMANCE`, or `shared/conformance` beside the repository.
//!
//! No case contradicts what GitLab's source does now, so there is no table of exceptions: all 169 comparisons hold.
//! `dag_test_manual_allow_failure_true` has two newer siblings, `…_fails` and `…_succeeds`, and agrees with them.
//! The rules that the cases pin, and those that they do not reach, have tests of their own in `processing`.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Once;

use weir_api::PipelineSource;
use weir_compiler::vars::{Level, Variable};
use weir_compiler::{Compilation, Context, Plan, Step};
use weir_yaml::{FileId, Node};

use crate::scenario::Scenario;

macro_rules! cases {
    ($($name:ident,)*) => {
        /// The files of the folder, without `.yml`.
        const CASES: &[&str] = &[$(stringify!($name),)*];

        $(#[test]
        fn $name() {
            check(stringify!($name));
        })*
    };
}

cases! {
    dag_build2_build1_rules_out_test_needs_build1_with_optional,
    dag_build_fails,
    dag_build_fails_deploy_is_delayed_and_needs_test,
    dag_build_fails_deploy_is_manual_and_needs_test,
    dag_build_fails_deploy_needs_test,
    dag_build_fails_deploy_needs_test_when_always,
    dag_build_fails_other_build_succeeds_deploy_always,
    dag_build_fails_other_build_succeeds_deploy_needs_one_build_and_test,
    dag_build_fails_test_always,
    dag_build_fails_test_fails_with_allow_failure,
    dag_build_fails_test_on_failure,
    dag_build_fails_test_on_failure_deploy_needs_test,
    dag_build_fails_test_skips_rollback_on_failure,
    dag_build_fails_with_allow_failure_test_on_failure,
    dag_build_rules_out_test_needs_build_with_optional,
    dag_build_succeds_test_manual_allow_failure_true_deploy_needs_both,
    dag_build_succeds_test_manual_allow_failure_true_deploy_needs_test,
    dag_build_succeeds_test_on_failure,
    dag_build_test_manual_review_deploy,
    dag_build_test_two_manual_review_test_staging_production,
    dag_builds_succeed_test_on_failure_deploy_needs_one_build_and_test,
    dag_builds_succeed_test_on_failure_deploy_needs_one_build_and_test_when_always,
    dag_deploy_needs_empty,
    dag_same_stage_with_fail_and_retry_1,
    dag_same_stage_with_fail_and_retry_2,
    dag_same_stage_with_subsequent_manual_jobs,
    dag_same_stages,
    dag_test_allow_failure_true,
    dag_test_manual_allow_failure_false,
    dag_test_manual_allow_failure_false_deploy_always,
    dag_test_manual_allow_failure_false_deploy_on_failure,
    dag_test_manual_allow_failure_false_other_test_succeeds_deploy_needs_both,
    dag_test_manual_allow_failure_true,
    dag_test_manual_allow_failure_true_deploy_always,
    dag_test_manual_allow_failure_true_deploy_on_failure,
    dag_test_manual_allow_failure_true_fails,
    dag_test_manual_allow_failure_true_other_test_succeeds_deploy_needs_both,
    dag_test_manual_allow_failure_true_succeeds,
    dag_test_manual_post_test_needs_deploy_is_stage,
    dag_test_manual_same_and_different_stage_needs,
    dag_test_manual_same_stage_needs,
    dag_test_on_failure_no_needs,
    dag_test_on_failure_with_success,
    stage_build_cancels_test1_and_test2_have_when,
    stage_build_cancels_with_allow_failure_test1_and_test2_have_when,
    stage_build_fails,
    stage_build_fails_test_allow_failure,
    stage_build_fails_with_allow_failure_test_on_failure,
    stage_build_succeeds_test_manual_allow_failure_true,
    stage_build_test_manual_review_deploy,
    stage_one_test_succeeds_one_manual_test_fails_and_retry_manual_build,
    stage_one_test_succeeds_one_manual_test_fails_and_retry_pipeline,
    stage_test_manual_allow_failure_false,
    stage_test_manual_allow_failure_true,
    stage_test_manual_allow_failure_true_deploy_always,
    stage_test_manual_allow_failure_true_deploy_on_failure,
    stage_test_on_failure_no_prev_stage,
    stage_test_on_failure_with_failure,
    stage_test_on_failure_with_success,
    workflow_auto_cancel_on_job_failure_all_allow_failure_test,
    workflow_auto_cancel_on_job_failure_all_test,
}

fn folder() -> Option<PathBuf> {
    static ANNOUNCED: Once = Once::new();
    let folder = std::env::var_os("WEIR_CONFORMANCE").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance"),
        PathBuf::from,
    );
    let folder = folder.join("processing");
    if folder.is_dir() {
        return Some(folder);
    }
    // Not `println!`: what a passing test prints is not shown.
    ANNOUNCED.call_once(|| {
        let (count, folder) = (CASES.len(), folder.display());
        let text =
            format!("skipped {count} cases of processing: there is no {folder}; set WEIR_CONFORMANCE\n");
        std::io::stdout().write_all(text.as_bytes()).unwrap();
    });
    None
}

#[test]
fn every_file_of_the_folder_is_a_case() {
    let Some(folder) = folder() else { return };
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| Some(entry.unwrap().file_name().to_str()?.strip_suffix(".yml")?.to_owned()))
        .collect();
    names.sort_unstable();
    assert_eq!(names, CASES);
}

fn check(name: &str) {
    let Some(folder) = folder() else { return };
    let text = std::fs::read_to_string(folder.join(name).with_extension("yml")).unwrap();
    let case = weir_yaml::parse(FileId(0), &text).unwrap().root;
    let mut scenario = Scenario::from(&compile(get(&case, "config")));
    assert_eq!(Shown::of(&scenario), Shown::expected(get(get(&case, "init"), "expect")), "{name}: at first");
    for (step, transition) in sequence(get(&case, "transitions")).iter().enumerate() {
        let event = text_of(get(transition, "event"));
        match find(transition, "jobs") {
            None => scenario = scenario.after(&event),
            Some(jobs) => {
                for job in sequence(jobs) {
                    scenario = scenario.after(&format!("{event} {}", text_of(job)));
                }
            }
        }
        let expected = Shown::expected(get(transition, "expect"));
        assert_eq!(Shown::of(&scenario), expected, "{name}: after transition {} (`{event}`)", step + 1);
    }
}

/// The plan of a configuration, on the default branch.
fn compile(config: &Node) -> Plan {
    let mut context = Context::new(PipelineSource::Push, "master", "group/project");
    context.variables.push(Level::Predefined, Variable::public("CI_COMMIT_REF_NAME", "master"));
    let text = weir_yaml::write(config);
    match Compilation::new(".gitlab-ci.yml", Some(&text), context).step() {
        Step::Done(compiled) => compiled.plan.unwrap_or_else(|| panic!("{text}\n{:?}", compiled.diagnostics)),
        Step::Need(requests) => panic!("a case is one file, yet {requests:?} is asked for"),
    }
}

/// What a case compares.
#[derive(Debug, PartialEq, Eq)]
struct Shown {
    pipeline: String,
    stages: BTreeMap<String, String>,
    jobs: BTreeMap<String, String>,
}

impl Shown {
    fn of(scenario: &Scenario) -> Self {
        let state = &scenario.state;
        Self {
            pipeline: state.status.to_string(),
            stages: state.stages.iter().map(|stage| (stage.name.clone(), stage.status.to_string())).collect(),
            jobs: state.latest().map(|(_, job)| (job.name.clone(), job.status.to_string())).collect(),
        }
    }

    fn expected(node: &Node) -> Self {
        let map = |name: &str| {
            let entries = get(node, name).as_mapping().unwrap().iter();
            entries.map(|entry| (text_of(&entry.key), text_of(&entry.value))).collect()
        };
        Self { pipeline: text_of(get(node, "pipeline")), stages: map("stages"), jobs: map("jobs") }
    }
}

fn find<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    node.as_mapping().and_then(|mapping| mapping.get(key))
}

fn get<'n>(node: &'n Node, key: &str) -> &'n Node {
    find(node, key).unwrap_or_else(|| panic!("there is no `{key}`"))
}

fn sequence(node: &Node) -> &[Node] {
    node.as_sequence().unwrap()
}

fn text_of(node: &Node) -> String {
    node.as_str().unwrap().to_owned()
}
