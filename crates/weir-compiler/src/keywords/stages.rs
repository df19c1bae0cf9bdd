//! `stages` and `stage`. Source: `entry/{stage,stages}.rb` and `edge_stages_injector.rb`.

use weir_yaml::{Mapping, Node, Value};

use crate::entry::{Entry, Findings};
use crate::keywords::script::flatten;
use crate::limits::LIST_LEVELS;

/// The stage before all others.
pub(crate) const PRE: &str = ".pre";
/// The stage after all others.
pub(crate) const POST: &str = ".post";
/// The stage of a job that names none.
pub(crate) const DEFAULT_STAGE: &str = "test";

/// The stages of a file that has no `stages`.
pub(crate) fn default() -> Vec<String> {
    with_edges(["build", "test", "deploy"].map(str::to_owned))
}

/// `stages`, flat, each once, `.pre` first and `.post` last.
pub(crate) fn parse(entry: &Entry<'_>, findings: &mut Findings) -> Vec<String> {
    let mut stages = Vec::new();
    if entry.node.as_sequence().is_none() || !flatten(entry.node, 0, &mut stages) {
        let text = format!(
            "should be an array of strings or a nested array of strings up to {LIST_LEVELS} levels deep"
        );
        findings.invalid(entry, "config", &text);
    }
    if stages.is_empty() { stages } else { with_edges(stages) }
}

/// Writes `.pre` and `.post` into a list of stages, as GitLab does before it shows the merged file.
pub(crate) fn write_edges(config: &mut Mapping) {
    let Some(Node { value: Value::Sequence(items), span }) = config.get_mut("stages") else { return };
    if items.is_empty() {
        return;
    }
    let edge = |name: &str| Node::new(*span, Value::String(name.to_owned()));
    items.retain(|item| !matches!(item.as_str(), Some(PRE | POST)));
    items.insert(0, edge(PRE));
    items.push(edge(POST));
}

fn with_edges(stages: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut all = vec![PRE.to_owned()];
    for stage in stages {
        if stage != POST && !all.contains(&stage) {
            all.push(stage);
        }
    }
    all.push(POST.to_owned());
    all
}

#[cfg(test)]
mod tests {
    use crate::testing::{compile, errors_of};

    #[test]
    fn the_edges_stand_at_the_ends_and_repetitions_fall_together() {
        for (stages, expected) in [
            ("[a, b]", "[.pre, a, b, .post]"),
            ("[.post, a, a, .pre]", "[.pre, a, .post]"),
            ("[a, [b, [c]]]", "[.pre, a, b, c, .post]"),
            ("[]", "[]"),
        ] {
            let errors = errors_of(&format!("stages: {stages}\nrspec: {{stage: none, script: x}}"));
            let available = expected.trim_matches(['[', ']']);
            let message =
                format!("rspec job: chosen stage none does not exist; available stages are {available}");
            assert_eq!(errors, [message], "{stages}");
        }
    }

    #[test]
    fn other_values_are_refused() {
        let wrong =
            "stages config should be an array of strings or a nested array of strings up to 10 levels deep";
        for stages in ["build", "[1]", "{a: b}", "[a, [{b: c}]]"] {
            assert_eq!(errors_of(&format!("stages: {stages}\nrspec: {{script: x}}"))[0], wrong, "{stages}");
        }
    }

    #[test]
    fn only_stages_with_jobs_are_in_the_plan() {
        let plan = compile("a: {stage: deploy, script: x}\nb: {stage: .pre, script: x}\nc: {script: x}");
        assert_eq!(plan.stages, [".pre", "test", "deploy"]);
        let stages: Vec<(&str, &str)> =
            plan.jobs.iter().map(|job| (job.name.as_str(), plan.stages[job.stage].as_str())).collect();
        assert_eq!(stages, [("a", "deploy"), ("b", ".pre"), ("c", "test")]);
    }
}
