//! `trigger`. Source: `entry/{trigger,trigger/forward,includes,include}.rb`.

use weir_yaml::{Node, Value};

use crate::entry::{Entry, Findings, is_blank, to_json};
use crate::limits::TRIGGER_INCLUDES;
use crate::plan::{Strategy, Trigger};

/// `trigger`: a project or a hash.
pub(crate) fn parse(entry: &Entry<'_>, findings: &mut Findings) -> Option<Trigger> {
    let before = findings.count();
    let mut trigger = Trigger { forward_yaml_variables: true, ..Trigger::default() };
    match &entry.node.value {
        Value::String(project) => {
            if is_blank(entry.node) {
                findings.invalid(entry, "config", "can't be blank");
            }
            trigger.project = Some(project.clone());
        }
        Value::Mapping(mapping) => {
            if mapping.is_empty() {
                findings.invalid(entry, "config", "can't be blank");
            }
            let child_pipeline = entry.has("include");
            let keys: &[&str] = if child_pipeline {
                &["strategy", "include", "forward"]
            } else {
                &["project", "branch", "strategy", "forward", "inputs"]
            };
            entry.allowed_keys(findings, keys);
            if !child_pipeline {
                if entry.get("project").is_none_or(is_blank) {
                    findings.invalid(entry, "project", "can't be blank");
                }
                trigger.project = entry.string(findings, "project");
                trigger.branch = entry.string(findings, "branch");
            }
            let text = "should be depend or mirror";
            trigger.strategy = entry.one_of(findings, "strategy", &["depend", "mirror"], text).map(|word| {
                match word.as_str() {
                    "mirror" => Strategy::Mirror,
                    _ => Strategy::Depend,
                }
            });
            if findings.count() > before {
                return None;
            }
            if let Some(child) = entry.child("include") {
                trigger.include = includes(&child, findings);
            }
            if let Some(child) = entry.child("forward")
                && child.expect_mapping(findings).is_some()
            {
                child.allowed_keys(findings, &["yaml_variables", "pipeline_variables"]);
                trigger.forward_yaml_variables = child.boolean(findings, "yaml_variables").unwrap_or(true);
                trigger.forward_pipeline_variables =
                    child.boolean(findings, "pipeline_variables").unwrap_or(false);
            }
            if let Some(child) = entry.child("inputs") {
                for item in child.expect_mapping(findings).into_iter().flatten() {
                    trigger.inputs.push((item.key.to_text().unwrap_or_default(), to_json(&item.value)));
                }
            }
        }
        _ => findings.unsupported(entry, "has to be either a string or a hash"),
    }
    (findings.count() == before).then_some(trigger)
}

fn includes(entry: &Entry<'_>, findings: &mut Findings) -> Vec<serde_json::Value> {
    let items: Vec<&Node> = match &entry.node.value {
        Value::Sequence(items) => items.iter().collect(),
        _ => vec![entry.node],
    };
    if items.len() > TRIGGER_INCLUDES {
        let text = format!("is too long (maximum is {TRIGGER_INCLUDES})");
        findings.invalid(entry, "config", &text);
        return Vec::new();
    }
    for node in &items {
        check_include(&entry.item("include", node), findings);
    }
    items.into_iter().map(to_json).collect()
}

fn check_include(entry: &Entry<'_>, findings: &mut Findings) {
    const KEYS: [&str; 12] = [
        "local",
        "file",
        "remote",
        "project",
        "ref",
        "artifact",
        "job",
        "template",
        "component",
        "inputs",
        "rules",
        "integrity",
    ];
    if entry.node.as_str().is_some() {
        return;
    }
    if entry.mapping().is_none() {
        findings.invalid(entry, "config", "should be a hash or a string");
        return;
    }
    entry.allowed_keys(findings, &KEYS);
    // GitLab writes these two without the entry's location.
    let missing = if entry.has("project") && !entry.has("file") {
        "include config must specify the file where to fetch the config from"
    } else if entry.has("artifact") && !entry.has("job") {
        "include config must specify the job where to fetch the artifact from"
    } else {
        return;
    };
    findings.error("invalid-value", Some(entry.node.span), missing);
}

#[cfg(test)]
mod tests {
    use crate::plan::{Action, Strategy};
    use crate::testing::{compile, errors_of};

    #[test]
    fn a_trigger_is_carried_along() {
        let plan = compile(
            "a: {trigger: g/p}\n\
             b: {trigger: {project: g/p, branch: main, strategy: depend, forward: {pipeline_variables: true}}}\n\
             c: {trigger: {include: child.yml, strategy: mirror}}\n\
             d: {trigger: {include: [{local: child.yml, inputs: {x: 1}}]}}",
        );
        let triggers: Vec<_> = plan
            .jobs
            .iter()
            .map(|job| match &job.action {
                Action::Trigger(trigger) => trigger,
                Action::Run(_) => panic!("a bridge"),
            })
            .collect();
        assert_eq!(triggers[0].project.as_deref(), Some("g/p"));
        assert_eq!(
            (triggers[1].strategy, triggers[1].forward_pipeline_variables),
            (Some(Strategy::Depend), true)
        );
        assert_eq!(triggers[2].include, ["child.yml"]);
        assert_eq!(triggers[3].include[0]["inputs"]["x"], 1);
    }

    #[test]
    fn other_values_are_refused() {
        let at = "jobs:rspec:trigger";
        for (trigger, expected) in [
            ("[a]", format!("{at} has to be either a string or a hash")),
            ("''", format!("{at} config can't be blank")),
            ("{branch: a}", format!("{at} project can't be blank")),
            ("{project: a, x: y}", format!("{at} config contains unknown keys: x")),
            ("{project: a, strategy: x}", format!("{at} strategy should be depend or mirror")),
            ("{include: a, inputs: {}}", format!("{at} config contains unknown keys: inputs")),
            ("{include: [a, b, c, d]}", format!("{at}:include config is too long (maximum is 3)")),
            (
                "{include: [{project: a}]}",
                "include config must specify the file where to fetch the config from".to_owned(),
            ),
        ] {
            assert_eq!(errors_of(&format!("rspec: {{trigger: {trigger}}}")), [expected], "{trigger}");
        }
        assert_eq!(
            errors_of("rspec: {trigger: g/p, image: a}"),
            ["jobs:rspec config contains unknown keys: image"]
        );
        assert_eq!(
            errors_of("rspec: {trigger: g/p, when: delayed}"),
            ["jobs:rspec when should be one of: on_success, on_failure, always, manual"]
        );
        assert_eq!(
            errors_of("rspec: {needs: [a]}\na: {script: x}"),
            ["jobs:rspec config should contain either a trigger or a needs:pipeline"]
        );
    }
}
