//! `needs`. Source: `entry/{need,needs}.rb`.

use weir_yaml::{Node, Span, Value};

use crate::entry::{Entry, Findings, is_blank};
use crate::keywords::parallel::{self, Parallel, Row};
use crate::limits::CROSS_PIPELINE_NEEDS;
use crate::plan::{CrossNeed, CrossSource};

/// `needs`, by kinds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Needs {
    /// Jobs of the same pipeline.
    pub(crate) jobs: Vec<Need>,
    /// Jobs of other pipelines whose artifacts are needed.
    pub(crate) cross: Vec<CrossNeed>,
    /// The upstream pipelines whose status a bridge mirrors.
    pub(crate) bridges: usize,
}

/// A job of the same pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Need {
    pub(crate) name: String,
    pub(crate) artifacts: bool,
    pub(crate) optional: bool,
    /// The instances of a parallel job that are meant; none means all.
    pub(crate) matrix: Option<Vec<Row>>,
    pub(crate) span: Span,
}

/// The kinds of needs that a place allows, by GitLab's names.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowed(pub(crate) &'static [&'static str]);

/// In a job.
pub(crate) const IN_JOB: Allowed = Allowed(&["job", "cross_dependency"]);
/// In a bridge.
pub(crate) const IN_BRIDGE: Allowed = Allowed(&["job", "bridge"]);
/// In a rule.
pub(crate) const IN_RULE: Allowed = Allowed(&["job"]);

/// `needs`: a list, or one hash.
pub(crate) fn parse(entry: &Entry<'_>, findings: &mut Findings, allowed: Allowed) -> Option<Needs> {
    let before = findings.count();
    let items: Vec<&Node> = match &entry.node.value {
        Value::Mapping(mapping) if mapping.is_empty() => {
            findings.invalid(entry, "config", "can not be an empty hash");
            return None;
        }
        Value::Mapping(_) => vec![entry.node],
        Value::Sequence(items) => items.iter().collect(),
        _ => {
            findings.invalid(entry, "config", "can only be a hash or an array");
            return None;
        }
    };
    let mut needs = Needs::default();
    // Lists within the list are flattened, as Ruby does.
    let mut stack: Vec<&Node> = items.into_iter().rev().collect();
    while let Some(node) = stack.pop() {
        if let Some(inner) = node.as_sequence() {
            stack.extend(inner.iter().rev());
        } else if !node.is_null() {
            let item = entry.item("need", node);
            match need(&item, findings) {
                Some(Kind::Job(need)) => needs.jobs.push(need),
                Some(Kind::Cross(need)) => needs.cross.push(need),
                Some(Kind::Bridge) => needs.bridges += 1,
                None => {}
            }
        }
    }
    let kinds = [
        ("job", !needs.jobs.is_empty()),
        ("bridge", needs.bridges > 0),
        ("cross_dependency", !needs.cross.is_empty()),
    ];
    let extra: Vec<&str> = kinds
        .iter()
        .filter(|(kind, present)| *present && !allowed.0.contains(kind))
        .map(|(kind, _)| *kind)
        .collect();
    if !extra.is_empty() {
        findings.invalid(entry, "config", &format!("uses invalid types: {}", extra.join(", ")));
    }
    if needs.cross.len() > CROSS_PIPELINE_NEEDS {
        let text = format!("must be less than or equal to {CROSS_PIPELINE_NEEDS}");
        findings.invalid(entry, "config", &text);
    }
    (findings.count() == before).then_some(needs)
}

enum Kind {
    Job(Need),
    Cross(CrossNeed),
    Bridge,
}

fn text_of(entry: &Entry<'_>, key: &str) -> String {
    entry.get(key).and_then(Node::as_str).unwrap_or_default().to_owned()
}

/// A need of another pipeline, with the defaults.
fn cross(entry: &Entry<'_>, source: CrossSource) -> CrossNeed {
    CrossNeed { job: text_of(entry, "job"), source, artifacts: true, optional: false }
}

fn need(entry: &Entry<'_>, findings: &mut Findings) -> Option<Kind> {
    let before = findings.count();
    if let Some(name) = entry.node.as_str() {
        if is_blank(entry.node) {
            findings.invalid(entry, "config", "can't be blank");
            return None;
        }
        let span = entry.node.span;
        let need = Need { name: name.to_owned(), artifacts: true, optional: false, matrix: None, span };
        return Some(Kind::Job(need));
    }
    let text = |key| text_of(entry, key);
    let kind = match entry.mapping() {
        Some(_) if entry.has("project") && entry.has("job") && !entry.has("pipeline") => Some(Kind::Cross(
            cross(entry, CrossSource::Project { project: text("project"), git_ref: text("ref") }),
        )),
        Some(_) if entry.has("project") => None,
        Some(_) if entry.has("job") && entry.has("pipeline") => {
            Some(Kind::Cross(cross(entry, CrossSource::Pipeline(text("pipeline")))))
        }
        Some(_) if entry.has("pipeline") => Some(Kind::Bridge),
        Some(_) if entry.has("job") && !entry.has("ref") => {
            let need = Need {
                name: String::new(),
                artifacts: true,
                optional: false,
                matrix: None,
                span: entry.get("job").map_or(entry.node.span, |node| node.span),
            };
            Some(Kind::Job(need))
        }
        _ => None,
    };
    let Some(mut kind) = kind else {
        findings.unsupported(entry, "has an unsupported type");
        return None;
    };
    let (keys, required): (&[&str], &[&str]) = match &kind {
        Kind::Job(_) => (&["job", "artifacts", "optional", "parallel"], &["job"]),
        Kind::Cross(CrossNeed { source: CrossSource::Pipeline(_), .. }) => {
            (&["pipeline", "job", "artifacts", "optional"], &["pipeline", "job"])
        }
        Kind::Cross(CrossNeed { source: CrossSource::Project { .. }, .. }) => {
            (&["project", "ref", "job", "artifacts", "optional"], &["project", "ref", "job"])
        }
        Kind::Bridge => (&["pipeline"], &["pipeline"]),
    };
    entry.allowed_keys(findings, keys);
    for key in required {
        if entry.get(key).is_none_or(is_blank) {
            findings.invalid(entry, key, "can't be blank");
        } else {
            entry.string(findings, key);
        }
    }
    let artifacts = entry.boolean(findings, "artifacts");
    let optional = entry.boolean(findings, "optional");
    if let Kind::Cross(need) = &mut kind {
        need.artifacts = artifacts.unwrap_or(true);
        need.optional = optional.unwrap_or(false);
    }
    if let Kind::Job(need) = &mut kind {
        entry.get("job").and_then(Node::as_str).unwrap_or_default().clone_into(&mut need.name);
        need.artifacts = artifacts.unwrap_or(true);
        need.optional = optional.unwrap_or(false);
        if findings.count() == before
            && let Some(child) = entry.child("parallel")
            && let Some(Parallel::Matrix(rows)) = parallel::parse(&child, findings, false)
        {
            need.matrix = Some(rows);
        }
    }
    (findings.count() == before).then_some(kind)
}

#[cfg(test)]
mod tests {
    use crate::plan::{CrossSource, Scheduling};
    use crate::testing::{compile, errors, errors_of};

    fn needs_of(text: &str, job: &str) -> Vec<String> {
        let plan = compile(text);
        let job = plan.jobs.iter().find(|candidate| candidate.name == job).expect("the job");
        match &job.scheduling {
            Scheduling::Stage => vec!["stage".to_owned()],
            Scheduling::Needs(needs) => needs.iter().map(|need| need.job.clone()).collect(),
        }
    }

    #[test]
    fn needs_name_jobs_all_instances_or_some() {
        let jobs = "a: {stage: build, script: x}\n\
                    b: {stage: build, script: x, parallel: 2}\n\
                    c: {stage: build, script: x, parallel: {matrix: [{P: [1, 2], Q: [x, y]}]}}\n";
        for (needs, expected) in [
            ("[a]", &["a"][..]),
            ("[]", &[]),
            ("[null, a]", &["a"]),
            ("{job: a}", &["a"]),
            ("[b]", &["b 1/2", "b 2/2"]),
            ("['b 2/2']", &["b 2/2"]),
            ("[{job: c, parallel: {matrix: [{P: [2], Q: [x, y]}]}}]", &["c: [2, x]", "c: [2, y]"]),
            ("[{job: gone, optional: true}, a]", &["a"]),
        ] {
            let text = format!("{jobs}rspec: {{script: x, needs: {needs}}}");
            assert_eq!(needs_of(&text, "rspec"), expected, "{needs}");
        }
        assert_eq!(needs_of(jobs, "a"), ["stage"]);
    }

    #[test]
    fn artifacts_of_other_pipelines_are_carried_along() {
        let plan = compile(
            "a: {script: x, needs: [{pipeline: $UP, job: build}, {project: g/p, ref: main, job: b, artifacts: false}]}",
        );
        assert_eq!(plan.jobs[0].scheduling, Scheduling::Needs(Vec::new()));
        let crate::plan::Action::Run(run) = &plan.jobs[0].action else { panic!("a job") };
        let found: Vec<_> =
            run.cross_needs.iter().map(|need| (need.job.as_str(), &need.source, need.artifacts)).collect();
        let of_project = CrossSource::Project { project: "g/p".to_owned(), git_ref: "main".to_owned() };
        assert_eq!(
            found,
            [("build", &CrossSource::Pipeline("$UP".to_owned()), true), ("b", &of_project, false)]
        );
    }

    #[test]
    fn other_values_are_refused() {
        let at = "jobs:rspec:needs";
        for (needs, expected) in [
            ("a", " config can only be a hash or an array"),
            ("{}", " config can not be an empty hash"),
            ("[1]", ":need has an unsupported type"),
            ("[{project: g/p, pipeline: 1, job: a}]", ":need has an unsupported type"),
            ("[{project: g/p, job: a}]", ":need ref can't be blank"),
            ("[{pipeline: $P, job: a, ref: main}]", ":need config contains unknown keys: ref"),
            ("[{job: a, x: y}]", ":need config contains unknown keys: x"),
            ("[{job: a, optional: x}]", ":need optional should be a boolean value"),
            ("[{job: a, parallel: 3}]", ":need:parallel config cannot use \"parallel: <number>\"."),
            ("[{pipeline: g/p}]", " config uses invalid types: bridge"),
            (
                "[{pipeline: p, job: a}, {pipeline: p, job: b}, {pipeline: p, job: c}, {pipeline: p, job: d}, \
                 {pipeline: p, job: e}, {pipeline: p, job: f}]",
                " config must be less than or equal to 5",
            ),
        ] {
            assert_eq!(errors(&format!("script: x\nneeds: {needs}")), [format!("{at}{expected}")], "{needs}");
        }
    }

    #[test]
    fn needs_must_be_in_the_file_and_not_later() {
        for (needs, expected) in [
            ("[gone]", "rspec job: undefined need: gone"),
            ("[late]", "rspec job: need late is not defined in current or prior stages"),
            ("[early, early]", "rspec has the following needs duplicated: early."),
            ("[rspec]", "The pipeline has circular dependencies: self-dependency: rspec"),
            (
                "[loop]",
                "The pipeline has circular dependencies: topological sort failed: [\"rspec\", \"loop\"]",
            ),
        ] {
            let text = format!(
                "early: {{stage: build, script: x}}\nlate: {{stage: deploy, script: x}}\n\
                 rspec: {{script: x, needs: {needs}}}\nloop: {{script: x, needs: [rspec]}}"
            );
            assert_eq!(errors_of(&text), [expected], "{needs}");
        }
    }

    #[test]
    fn a_need_that_the_rules_leave_out_is_an_error_unless_optional() {
        let text = |optional: bool| {
            format!(
                "build: {{stage: build, script: x, rules: [{{if: $NEVER}}]}}\n\
                 other: {{script: x}}\n\
                 rspec: {{script: x, needs: [{{job: build, optional: {optional}}}]}}"
            )
        };
        assert_eq!(
            errors_of(&text(false)),
            [
                "'rspec' job needs 'build' job, but 'build' does not exist in the pipeline. This might be because of \
              the only, except, or rules keywords. To need a job that sometimes does not exist in the pipeline, \
              use needs:optional."
            ]
        );
        assert!(needs_of(&text(true), "rspec").is_empty());
    }
}
