//! `inherit`: which defaults and global variables a job takes. Source: `entry/inherit/{default,variables}.rb`.

use weir_yaml::Value;

use crate::entry::{Entry, Findings, strings_of};
use crate::keywords::default::KEYS;

/// `inherit`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Inherit {
    pub(crate) default: Selection,
    pub(crate) variables: Selection,
}

/// All, none or some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Selection {
    All(bool),
    Some(Vec<String>),
}

impl Default for Selection {
    fn default() -> Self {
        Self::All(true)
    }
}

impl Selection {
    pub(crate) fn has(&self, name: &str) -> bool {
        match self {
            Self::All(all) => *all,
            Self::Some(names) => names.iter().any(|known| known == name),
        }
    }
}

/// `inherit`: `default` and `variables`.
pub(crate) fn parse(entry: &Entry<'_>, findings: &mut Findings) -> Inherit {
    if entry.expect_mapping(findings).is_none() {
        return Inherit::default();
    }
    entry.allowed_keys(findings, &["default", "variables"]);
    Inherit {
        default: selection(entry, findings, "default", Some(&KEYS)),
        variables: selection(entry, findings, "variables", None),
    }
}

fn selection(entry: &Entry<'_>, findings: &mut Findings, key: &str, known: Option<&[&str]>) -> Selection {
    let Some(child) = entry.child(key) else { return Selection::default() };
    if let Value::Bool(all) = child.node.value {
        return Selection::All(all);
    }
    let Some(names) = strings_of(child.node) else {
        findings.unsupported(&child, "should be a bool or array of strings");
        return Selection::default();
    };
    if let Some(known) = known {
        let unknown: Vec<&str> =
            names.iter().map(String::as_str).filter(|name| !known.contains(name)).collect();
        if !unknown.is_empty() {
            findings.invalid(&child, "config", &format!("contains unknown values: {}", unknown.join(", ")));
        }
    }
    Selection::Some(names)
}

#[cfg(test)]
mod tests {
    use crate::testing::{compile, errors};

    #[test]
    fn a_job_may_refuse_defaults_and_variables() {
        for (inherit, image, variables) in [
            ("{}", true, &["A", "B"][..]),
            ("{default: false}", false, &["A", "B"]),
            ("{default: [tags]}", false, &["A", "B"]),
            ("{default: [image]}", true, &["A", "B"]),
            ("{variables: false}", true, &[]),
            ("{variables: [B, X]}", true, &["B"]),
        ] {
            let text = format!(
                "default: {{image: i}}\nvariables: {{A: 1, B: 2}}\nrspec: {{script: x, inherit: {inherit}}}"
            );
            let plan = compile(&text);
            let crate::plan::Action::Run(run) = &plan.jobs[0].action else { panic!("a job") };
            assert_eq!(run.image.is_some(), image, "{inherit}");
            let names: Vec<&str> = plan.jobs[0].variables.iter().map(|v| v.key.as_str()).collect();
            assert_eq!(names, variables, "{inherit}");
        }
    }

    #[test]
    fn other_values_are_refused() {
        for (inherit, expected) in [
            ("{default: 1}", "jobs:rspec:inherit:default should be a bool or array of strings"),
            ("{default: [x]}", "jobs:rspec:inherit:default config contains unknown values: x"),
            ("{x: 1}", "jobs:rspec:inherit config contains unknown keys: x"),
        ] {
            assert_eq!(errors(&format!("script: x\ninherit: {inherit}")), [expected], "{inherit}");
        }
    }
}
