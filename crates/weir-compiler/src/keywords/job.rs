//! Jobs and bridges. Source: `entry/{processable,job,bridge}.rb`.

use weir_yaml::{Node, Span, Value};

use crate::entry::{Entry, Findings, is_blank, strings_of};
use crate::keywords::default::{self, Inheritable};
use crate::keywords::inherit::{self, Inherit};
use crate::keywords::needs::{self, Needs};
use crate::keywords::only::{self, Policy};
use crate::keywords::parallel::{self, Parallel};
use crate::keywords::rules::{self, Place, Rule};
use crate::keywords::stages::DEFAULT_STAGE;
use crate::keywords::{allow_failure, coverage, environment, pages, release, script, trigger, variables};
use crate::limits::{NAME_CHARS, START_IN_SECONDS};
use crate::plan::{AllowFailure, Environment, Trigger, Variable};

/// A job of the file, before `parallel` and rules.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Job {
    pub(crate) name: String,
    pub(crate) span: Span,
    pub(crate) stage: String,
    pub(crate) stage_span: Span,
    pub(crate) trigger: Option<Trigger>,
    pub(crate) is_bridge: bool,
    pub(crate) script: Vec<String>,
    pub(crate) inheritable: Inheritable,
    pub(crate) when: Option<String>,
    pub(crate) start_in: Option<u64>,
    pub(crate) manual_confirmation: Option<String>,
    pub(crate) allow_failure: Option<AllowFailure>,
    /// `rules`; empty for null, which means no rules and no default `only` either.
    pub(crate) rules: Option<Vec<Rule>>,
    pub(crate) only: Option<Policy>,
    pub(crate) except: Option<Policy>,
    pub(crate) needs: Option<Needs>,
    pub(crate) dependencies: Option<Vec<(String, Span)>>,
    pub(crate) variables: Vec<Variable>,
    pub(crate) inherit: Inherit,
    pub(crate) parallel: Option<Parallel>,
    pub(crate) environment: Option<Environment>,
    pub(crate) coverage: Option<String>,
    pub(crate) resource_group: Option<String>,
    pub(crate) published: Option<String>,
}

const JOB_WHEN: [&str; 5] = ["on_success", "on_failure", "always", "manual", "delayed"];
const BRIDGE_WHEN: [&str; 4] = ["on_success", "on_failure", "always", "manual"];
const SHARED_KEYS: [&str; 14] = [
    "extends",
    "stage",
    "only",
    "except",
    "rules",
    "variables",
    "inherit",
    "allow_failure",
    "when",
    "needs",
    "resource_group",
    "environment",
    "interruptible",
    "parallel",
];
const JOB_KEYS: [&str; 21] = [
    "tags",
    "script",
    "image",
    "services",
    "start_in",
    "artifacts",
    "cache",
    "dependencies",
    "before_script",
    "after_script",
    "hooks",
    "coverage",
    "retry",
    "timeout",
    "release",
    "id_tokens",
    "publish",
    "pages",
    "manual_confirmation",
    "run",
    "inputs",
];

/// What GitLab takes a visible entry for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Job,
    Bridge,
}

/// What a visible node is; none if it is neither.
pub(crate) fn kind(node: &Node) -> Option<Kind> {
    let mapping = node.as_mapping()?;
    if mapping.contains("script") || mapping.contains("run") {
        Some(Kind::Job)
    } else if mapping.contains("trigger") || mapping.contains("needs") {
        Some(Kind::Bridge)
    } else {
        None
    }
}

/// What surrounds a job.
pub(crate) struct Surroundings<'a> {
    pub(crate) defaults: &'a Inheritable,
    pub(crate) workflow_has_rules: bool,
}

/// One job or bridge. None if its own shape is wrong, so that its parts are not looked at.
pub(crate) fn parse(
    entry: &Entry<'_>,
    findings: &mut Findings,
    name: &Node,
    kind: Kind,
    around: &Surroundings<'_>,
) -> Option<Job> {
    let before = findings.count();
    let text = check_name(entry, findings, name);
    let published = check_shape(entry, findings, kind, &text);
    if findings.count() > before {
        return None;
    }
    let stage = entry.child("stage");
    let mut job = Job {
        name: text,
        span: entry.key,
        stage_span: stage.as_ref().map_or(entry.key, |stage| stage.node.span),
        stage: stage.map_or(Some(DEFAULT_STAGE.to_owned()), |stage| stage.as_string(findings))?,
        is_bridge: kind == Kind::Bridge,
        published,
        ..Job::default()
    };
    policies(&mut job, entry, findings, around);
    job.variables = entry
        .child("variables")
        .map(|child| variables::parse(&child, findings, variables::Allowed::Job))
        .unwrap_or_default();
    job.inherit = entry.child("inherit").map(|child| inherit::parse(&child, findings)).unwrap_or_default();
    match kind {
        Kind::Job => {
            job.script = entry
                .child("script")
                .and_then(|child| script::commands(&child, findings))
                .unwrap_or_default();
            job.inheritable = Inheritable::parse(entry, findings, &default::KEYS);
            job.inheritable.inherit(around.defaults, &job.inherit.default);
            if let Some(child) = entry.child("release") {
                release::check(&child, findings);
            }
            for key in ["release", "id_tokens", "inputs"] {
                if let Some(child) = entry.child(key) {
                    let message = format!("`{key}` is checked but has no effect in this version");
                    findings.add(crate::Severity::Remark, "no-effect", Some(child.key), message);
                }
            }
        }
        Kind::Bridge => {
            job.trigger = entry.child("trigger").and_then(|child| trigger::parse(&child, findings));
            job.inheritable = Inheritable::parse(entry, findings, &["interruptible"]);
            let interruptible =
                Inheritable { interruptible: around.defaults.interruptible, ..Inheritable::default() };
            job.inheritable.inherit(&interruptible, &job.inherit.default);
        }
    }
    let allowed = if kind == Kind::Job { needs::IN_JOB } else { needs::IN_BRIDGE };
    job.needs = entry.child("needs").and_then(|child| needs::parse(&child, findings, allowed));
    job.parallel =
        entry.child("parallel").and_then(|child| parallel::parse(&child, findings, kind == Kind::Job));
    job.environment = entry.child("environment").and_then(|child| environment::parse(&child, findings));
    job.coverage = entry.child("coverage").and_then(|child| coverage::parse(&child, findings));
    job.allow_failure = entry.child("allow_failure").and_then(|child| allow_failure::parse(&child, findings));
    job.resource_group = entry.string(findings, "resource_group");
    job.when = entry.string(findings, "when");
    job.start_in = entry.string(findings, "start_in").as_deref().and_then(crate::duration::parse);
    job.manual_confirmation = entry.string(findings, "manual_confirmation");
    job.dependencies = entry
        .value("dependencies")
        .and_then(Node::as_sequence)
        .map(|items| items.iter().filter_map(|item| Some((item.as_str()?.to_owned(), item.span))).collect());
    composed(&job, entry, findings, kind);
    (findings.count() == before).then_some(job)
}

fn check_name(entry: &Entry<'_>, findings: &mut Findings, name: &Node) -> String {
    let text = name.to_text().unwrap_or_default();
    if entry.mapping().is_some_and(weir_yaml::Mapping::is_empty) {
        findings.invalid(entry, "config", "can't be blank");
    }
    if text.trim().is_empty() {
        let nameless = Entry { location: "jobs:job".to_owned(), ..entry.clone() };
        findings.invalid(&nameless, "name", "can't be blank");
    }
    if !matches!(name.value, Value::String(_) | Value::Symbol(_)) {
        findings.invalid(entry, "name", "should be a symbol");
    }
    if text.chars().count() > NAME_CHARS {
        findings.invalid(entry, "name", &format!("is too long (maximum is {NAME_CHARS} characters)"));
    }
    text
}

/// The checks on the job as a whole, in GitLab's order. Returns the folder that it publishes.
fn check_shape(entry: &Entry<'_>, findings: &mut Findings, kind: Kind, name: &str) -> Option<String> {
    if entry.value("rules").is_some() {
        let present: Vec<&str> =
            ["only", "except", "start_in"].into_iter().filter(|key| entry.value(key).is_some()).collect();
        if !present.is_empty() {
            let text = format!("key may not be used with `rules`: {}", present.join(", "));
            findings.invalid(entry, "config", &text);
        }
    }
    entry.string_or_strings(findings, "extends");
    if entry.value("rules").is_some_and(|node| !rules::has_form(node)) {
        findings.invalid(entry, "rules", "should be an array containing hashes and arrays of hashes");
    }
    entry.string(findings, "resource_group");
    let keys: Vec<&str> = match kind {
        Kind::Job => SHARED_KEYS.into_iter().chain(JOB_KEYS).chain(["trigger"]).collect(),
        Kind::Bridge => SHARED_KEYS.into_iter().chain(["trigger"]).collect(),
    };
    entry.allowed_keys(findings, &keys);
    let whens: &[&str] = match kind {
        Kind::Job => {
            for pair in [
                ["script", "run"],
                ["before_script", "run"],
                ["after_script", "run"],
                ["script", "trigger"],
                ["run", "trigger"],
            ] {
                entry.exclusive_keys(findings, &pair);
            }
            if entry.has("run") {
                let message = format!("{} config key `run` is not supported: use `script`", entry.location);
                findings.error("unsupported", Some(entry.key), message);
            } else if entry.get("script").is_none_or(is_blank) {
                findings.invalid(entry, "script", "can't be blank");
            }
            &JOB_WHEN
        }
        Kind::Bridge => &BRIDGE_WHEN,
    };
    let text = format!("should be one of: {}", whens.join(", "));
    entry.one_of(findings, "when", whens, &text);
    if kind == Kind::Bridge {
        entry.boolean(findings, "allow_failure");
        return None;
    }
    entry.strings(findings, "dependencies");
    if let Some(node) = entry.value("allow_failure")
        && !matches!(node.value, Value::Bool(_) | Value::Mapping(_))
    {
        findings.invalid(entry, "allow failure", "should be a hash or a boolean value");
    }
    let delayed = entry.get("when").and_then(Node::as_str) == Some("delayed");
    if delayed {
        let absent = Node::default();
        let start_in = entry.get("start_in").unwrap_or(&absent);
        crate::entry::check_duration(entry, findings, "start in", start_in, Some(START_IN_SECONDS));
    } else if entry.value("start_in").is_some_and(|node| !is_blank(node)) {
        findings.invalid(entry, "start in", "must be blank");
    }
    entry.string(findings, "manual_confirmation");
    pages::published(entry, findings, name)
}

/// `rules`, `only` and `except`.
fn policies(job: &mut Job, entry: &Entry<'_>, findings: &mut Findings, around: &Surroundings<'_>) {
    job.only = entry.child("only").and_then(|child| {
        let mut policy = only::parse(&child, findings)?;
        if policy.refs.is_none() {
            policy.refs = Policy::default_only().refs;
        }
        Some(policy)
    });
    job.except = entry.child("except").and_then(|child| only::parse(&child, findings));
    let has_rules = entry.has("rules");
    job.rules = has_rules
        .then(|| entry.child("rules").and_then(|child| rules::parse(&child, findings, Place::Job)))
        .map(Option::unwrap_or_default);
    if job.only.is_none() && !has_rules && !around.workflow_has_rules {
        job.only = Some(Policy::default_only());
    }
    if let Some(rules) = &job.rules
        && !around.workflow_has_rules
        && let Some(last) = rules.last()
        && last.only_when
        && last.when.as_deref() != Some("never")
    {
        let message = format!(
            "{} may allow multiple pipelines to run for a single action due to `rules:when` clause with no \
             `workflow:rules` - read more: https://docs.gitlab.com/ci/debugging/#pipeline-warnings",
            entry.location
        );
        findings.add(crate::Severity::Warning, "duplicate-pipelines", Some(last.span), message);
    }
}

/// The checks that need the parts.
fn composed(job: &Job, entry: &Entry<'_>, findings: &mut Findings, kind: Kind) {
    match kind {
        Kind::Job => {
            let Some(dependencies) = entry.value("dependencies").and_then(strings_of) else { return };
            let Some(needs) = &job.needs else { return };
            if dependencies.is_empty() || (needs.jobs.is_empty() && needs.cross.is_empty()) {
                return;
            }
            if needs.jobs.is_empty() {
                let text = "corresponding to dependencies must be from the same pipeline";
                findings.invalid(entry, "needs", text);
                return;
            }
            let missing: Vec<&str> = dependencies
                .iter()
                .map(String::as_str)
                .filter(|name| !needs.jobs.iter().any(|need| need.name == *name))
                .collect();
            if !missing.is_empty() {
                let text = format!("the {} should be part of needs", missing.join(", "));
                findings.invalid(entry, "dependencies", &text);
            }
        }
        Kind::Bridge => {
            let bridges = job.needs.as_ref().map_or(0, |needs| needs.bridges);
            if !entry.has("trigger") && bridges == 0 {
                findings.invalid(entry, "config", "should contain either a trigger or a needs:pipeline");
            }
            if bridges > 1 {
                findings.invalid(entry, "config", "should contain at most one bridge need");
            } else if bridges == 1 && !entry.has("trigger") {
                let message = format!("{} config mirrors a pipeline, which is not supported", entry.location);
                findings.error("unsupported", Some(entry.key), message);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{compiled, errors, errors_of};

    #[test]
    fn wrong_jobs_are_refused() {
        let long = "x".repeat(256);
        let too_long = format!("jobs:{long} name is too long (maximum is 255 characters)");
        for (text, expected) in [
            ("rspec: {scirpt: x, script: y}".to_owned(), "jobs:rspec config contains unknown keys: scirpt"),
            ("10: {script: x}".to_owned(), "jobs:10 name should be a symbol"),
            ("'': {script: x}".to_owned(), "jobs:job name can't be blank"),
            (format!("? {long}\n: {{script: x}}"), too_long.as_str()),
            (
                "rspec: {script: x, trigger: y}".to_owned(),
                "jobs:rspec config these keys cannot be used together: script, trigger",
            ),
            ("rspec: {script: x, stage: [a]}".to_owned(), "jobs:rspec:stage config should be a string"),
            (
                "rspec: {script: x, when: never}".to_owned(),
                "jobs:rspec when should be one of: on_success, on_failure, always, manual, delayed",
            ),
            ("rspec: {script: x, start_in: 1 day}".to_owned(), "jobs:rspec start in must be blank"),
            (
                "rspec: {script: x, dependencies: a}".to_owned(),
                "jobs:rspec dependencies should be an array of strings",
            ),
            (
                "rspec: {script: x, interruptible: a}".to_owned(),
                "jobs:rspec:interruptible config should be a boolean value",
            ),
            (
                "a: {stage: build, script: x}\nrspec: {script: x, needs: [a], dependencies: [b]}".to_owned(),
                "jobs:rspec dependencies the b should be part of needs",
            ),
        ] {
            assert_eq!(errors_of(&text), [expected], "{text}");
        }
    }

    #[test]
    fn all_entry_errors_are_reported_at_once() {
        assert_eq!(
            errors("script: x\nimage: [a]\nretry: 5\ncoverage: x"),
            [
                "jobs:rspec:image config should be a hash or a string",
                "retry config must be less than or equal to 2",
                "jobs:rspec:coverage config must be a regular expression with re2 syntax",
            ]
        );
    }

    #[test]
    fn a_bare_when_at_the_end_draws_a_warning() {
        let text =
            |workflow: &str| format!("{workflow}rspec: {{script: x, rules: [{{if: $A}}, {{when: always}}]}}");
        assert_eq!(compiled(&text("")).warnings().count(), 1);
        assert_eq!(compiled(&text("workflow: {rules: [{when: always}]}\n")).warnings().count(), 0);
    }
}
