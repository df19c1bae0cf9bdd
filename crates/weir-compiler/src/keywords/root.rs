//! The top level: global keywords and jobs. Source: `entry/{root,jobs,hidden}.rb`.

use weir_yaml::{Entry as Pair, Node};

use crate::entry::{Entry, Findings, is_blank};
use crate::keywords::default::{self, Inheritable, TOP_LEVEL};
use crate::keywords::job::{self, Job, Surroundings};
use crate::keywords::workflow::{self, Workflow};
use crate::keywords::{stages, variables};
use crate::plan::Variable;

/// The whole configuration, checked key by key.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Config {
    pub(crate) stages: Vec<String>,
    pub(crate) variables: Vec<Variable>,
    pub(crate) workflow: Workflow,
    pub(crate) jobs: Vec<Job>,
}

/// Reads the merged tree.
pub(crate) fn parse(root: &Node, findings: &mut Findings) -> Config {
    let entry = Entry::root(root);
    let before = findings.count();
    let default_entry = entry.child("default").filter(|default| !reads_as_job(default.node));
    if let Some(default) = &default_entry {
        for key in TOP_LEVEL {
            if default.value(key).is_some()
                && let Some(twice) = entry.child(key)
            {
                let message = format!("{key} is defined in top-level and `default:` entry");
                findings.error("defined-twice", Some(twice.key), message);
            }
        }
    }
    if findings.count() > before {
        return Config::default();
    }
    let mut defaults = default_entry.map(|child| default::parse(&child, findings)).unwrap_or_default();
    let top_level = Inheritable::parse(&entry, findings, &TOP_LEVEL);
    defaults.inherit(&top_level, &crate::keywords::inherit::Selection::All(true));
    let workflow = entry
        .child("workflow")
        .filter(|workflow| !reads_as_job(workflow.node))
        .map(|child| workflow::parse(&child, findings))
        .unwrap_or_default();
    let variables = entry
        .child("variables")
        .map(|child| variables::parse(&child, findings, variables::Allowed::Global))
        .unwrap_or_default();
    let stages = match entry.child("stages") {
        Some(child) => stages::parse(&child, findings),
        None => stages::default(),
    };
    let around = Surroundings { defaults: &defaults, workflow_has_rules: workflow.has_rules };
    let jobs = jobs(&entry, findings, &around);
    Config { stages, variables, workflow, jobs }
}

/// `default` and `workflow` may be names of jobs, too.
fn reads_as_job(node: &Node) -> bool {
    job::kind(node).is_some()
}

/// Whether a top-level key is a keyword and no job.
fn is_keyword(pair: &Pair) -> bool {
    match pair.name() {
        Some("default" | "workflow") => !reads_as_job(&pair.value),
        Some(name) => TOP_LEVEL.contains(&name) || matches!(name, "include" | "stages" | "variables"),
        None => false,
    }
}

fn jobs(root: &Entry<'_>, findings: &mut Findings, around: &Surroundings<'_>) -> Vec<Job> {
    let before = findings.count();
    let candidates: Vec<&Pair> =
        root.mapping().into_iter().flatten().filter(|pair| !is_keyword(pair)).collect();
    let is_hidden = |pair: &Pair| pair.key.to_text().is_some_and(|name| name.starts_with('.'));
    let (hidden, visible): (Vec<&Pair>, Vec<&Pair>) =
        candidates.into_iter().partition(|pair| is_hidden(pair));
    for pair in &visible {
        if job::kind(&pair.value).is_none() {
            let name = pair.key.to_text().unwrap_or_default();
            let plain = name.chars().all(|c| c.is_ascii_alphabetic() || c == '_');
            let shown = if plain { name.clone() } else { name.replace('_', " ") };
            let message =
                format!("jobs {shown} config should implement the script:, run:, or trigger: keyword");
            findings.error("no-job", Some(pair.key.span), message.to_lowercase());
        }
    }
    if !visible.iter().any(|pair| job::kind(&pair.value).is_some()) {
        let message = "jobs config should contain at least one visible job";
        findings.error("no-visible-job", Some(root.node.span), message);
    }
    // The list of jobs is wrong as a whole, so GitLab does not look into them.
    if findings.count() > before {
        return Vec::new();
    }
    let within = |pair: &Pair| {
        let name = pair.key.to_text().unwrap_or_default();
        format!("jobs:{name}")
    };
    for pair in hidden {
        if is_blank(&pair.value) {
            let entry = Entry { node: &pair.value, location: within(pair), key: pair.key.span };
            findings.invalid(&entry, "config", "can't be blank");
        }
    }
    visible
        .into_iter()
        .filter_map(|pair| {
            let entry = Entry { node: &pair.value, location: within(pair), key: pair.key.span };
            job::parse(&entry, findings, &pair.key, job::kind(&pair.value)?, around)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::testing::{compile, errors_of};

    #[test]
    fn what_is_no_keyword_is_a_job() {
        for (text, names) in [
            ("rspec: {script: x}", &["rspec"][..]),
            (".hidden: {script: x}\nrspec: {script: x}", &["rspec"]),
            ("default: {script: x}", &["default"]),
            ("workflow: {script: x}", &["workflow"]),
            ("types: {script: x}", &["types"]),
            ("spec: {script: x}", &["spec"]),
        ] {
            let plan = compile(text);
            let found: Vec<&str> = plan.jobs.iter().map(|job| job.name.as_str()).collect();
            assert_eq!(found, names, "{text}");
        }
    }

    #[test]
    fn files_without_a_job_are_refused() {
        let none = "jobs config should contain at least one visible job";
        for (text, expected) in [
            ("stages: [a]", vec![none]),
            (".hidden: {script: x}", vec![none]),
            (
                "some_job: {tags: [a]}",
                vec!["jobs some_job config should implement the script:, run:, or trigger: keyword", none],
            ),
            (
                "some_job 1: text\nrspec: {script: x}",
                vec!["jobs some job 1 config should implement the script:, run:, or trigger: keyword"],
            ),
            (".hidden: {}\nrspec: {script: x}", vec!["jobs:.hidden config can't be blank"]),
        ] {
            assert_eq!(errors_of(text), expected, "{text}");
        }
    }
}
