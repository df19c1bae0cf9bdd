//! `workflow`. Source: `entry/{workflow,auto_cancel}.rb`.

use crate::entry::{Entry, Findings};
use crate::keywords::rules::{self, Place, Rule};
use crate::limits::NAME_CHARS;
use crate::plan::OnNewCommit;

/// `workflow`.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Workflow {
    pub(crate) name: Option<String>,
    pub(crate) rules: Option<Vec<Rule>>,
    /// Whether `rules` is there at all; even null keeps jobs from getting a default `only`.
    pub(crate) has_rules: bool,
    pub(crate) auto_cancel: AutoCancel,
}

/// `auto_cancel`, its keys as far as they are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct AutoCancel {
    pub(crate) on_new_commit: Option<OnNewCommit>,
    pub(crate) on_job_failure_all: Option<bool>,
}

/// `workflow`.
pub(crate) fn parse(entry: &Entry<'_>, findings: &mut Findings) -> Workflow {
    let before = findings.count();
    if entry.expect_mapping(findings).is_none() {
        return Workflow::default();
    }
    entry.allowed_keys(findings, &["rules", "name", "auto_cancel"]);
    let name = entry.string(findings, "name");
    if name.as_ref().is_some_and(|name| name.chars().count() > NAME_CHARS) {
        findings.invalid(entry, "name", &format!("is too long (maximum is {NAME_CHARS} characters)"));
    }
    let mut workflow = Workflow { name, has_rules: entry.has("rules"), ..Workflow::default() };
    if findings.count() > before {
        return workflow;
    }
    workflow.rules = entry.child("rules").and_then(|child| rules::parse(&child, findings, Place::Workflow));
    if let Some(child) = entry.child("auto_cancel") {
        workflow.auto_cancel = auto_cancel(&child, findings);
    }
    workflow
}

/// `auto_cancel`, here or in a rule.
pub(crate) fn auto_cancel(entry: &Entry<'_>, findings: &mut Findings) -> AutoCancel {
    if entry.expect_mapping(findings).is_none() {
        return AutoCancel::default();
    }
    entry.allowed_keys(findings, &["on_new_commit", "on_job_failure"]);
    let text = "must be one of: conservative, none, interruptible";
    let on_new_commit = entry
        .one_of(findings, "on_new_commit", &["conservative", "none", "interruptible"], text)
        .map(|word| match word.as_str() {
            "none" => OnNewCommit::None,
            "interruptible" => OnNewCommit::Interruptible,
            _ => OnNewCommit::Conservative,
        });
    let text = "must be one of: none, all";
    let on_job_failure_all =
        entry.one_of(findings, "on_job_failure", &["none", "all"], text).map(|word| word == "all");
    AutoCancel { on_new_commit, on_job_failure_all }
}

#[cfg(test)]
mod tests {
    use crate::compile::Refusal;
    use crate::plan::OnNewCommit;
    use crate::testing::{compile, compiled, errors_of};

    #[test]
    fn workflow_rules_decide_over_the_pipeline() {
        for (rules, runs) in [
            ("[{if: $CI_COMMIT_BRANCH}]", true),
            ("[{if: $NEVER}]", false),
            ("[{when: never}]", false),
            ("[{if: '$CI_COMMIT_BRANCH == \"main\"', when: never}, {when: always}]", false),
            ("[{if: $CI_JOB_NAME}]", false),
            ("[{if: $GLOBAL}]", true),
        ] {
            let text =
                format!("variables: {{GLOBAL: 1}}\nworkflow: {{rules: {rules}}}\nrspec: {{script: x}}");
            let compiled = compiled(&text);
            let refusal = (!runs).then_some(Refusal::FilteredByWorkflowRules);
            assert_eq!((compiled.plan.is_some(), compiled.refusal), (runs, refusal), "{rules}");
        }
    }

    #[test]
    fn name_variables_and_auto_cancel_come_from_the_matching_rule() {
        let plan = compile(
            "variables: {A: global, B: global}\n\
             workflow:\n  name: 'Pipeline $A $CI_COMMIT_BRANCH $UNKNOWN'\n  auto_cancel: {on_new_commit: interruptible}\n  \
             rules: [{variables: {A: rule}, auto_cancel: {on_job_failure: all}}]\n\
             rspec: {script: x, variables: {B: job}}",
        );
        assert_eq!(plan.name.as_deref(), Some("Pipeline rule main"));
        assert_eq!(plan.auto_cancel.on_new_commit, Some(OnNewCommit::Interruptible));
        assert!(plan.auto_cancel.on_job_failure_all);
        let variables: Vec<(&str, &str)> =
            plan.jobs[0].variables.iter().map(|v| (v.key.as_str(), v.value.as_str())).collect();
        assert_eq!(variables, [("A", "rule"), ("B", "job")]);
    }

    #[test]
    fn other_values_are_refused() {
        for (workflow, expected) in [
            ("x", "workflow config should be a hash"),
            ("{x: y}", "workflow config contains unknown keys: x"),
            ("{name: 1}", "workflow name should be a string"),
            ("{rules: [{when: manual}]}", "workflow:rules:rule when unknown value: manual"),
            (
                "{auto_cancel: {on_new_commit: x}}",
                "workflow:auto_cancel on new commit must be one of: conservative, none, interruptible",
            ),
            (
                "{auto_cancel: {on_job_failure: x}}",
                "workflow:auto_cancel on job failure must be one of: none, all",
            ),
        ] {
            let text = format!("workflow: {workflow}\nrspec: {{script: x}}");
            assert_eq!(errors_of(&text), [expected], "{workflow}");
        }
    }
}
