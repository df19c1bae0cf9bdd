//! `environment`. Source: `entry/environment.rb`.

use weir_yaml::Node;

use crate::entry::{Entry, Findings, is_blank};
use crate::limits::NAME_CHARS;
use crate::plan::Environment;

const KEYS: [&str; 7] = ["name", "url", "action", "on_stop", "auto_stop_in", "kubernetes", "deployment_tier"];
const ACTIONS: [&str; 5] = ["start", "stop", "prepare", "verify", "access"];
const TIERS: [&str; 5] = ["production", "staging", "testing", "development", "other"];
const NAME_RULE: &str = "can contain only letters, digits, '-', '_', '/', '$', '{', '}', '.', and spaces, but it \
                         cannot start or end with '/'";

/// `environment`: a name or a hash.
pub(crate) fn parse(entry: &Entry<'_>, findings: &mut Findings) -> Option<Environment> {
    let before = findings.count();
    if entry.node.as_str().is_none() && entry.mapping().is_none() {
        findings.invalid(entry, "config", "should be a hash or a string");
        return None;
    }
    let name = if entry.mapping().is_some() { entry.get("name") } else { Some(entry.node) };
    let name = name.filter(|name| !is_blank(name));
    let text = name.and_then(Node::as_str);
    match (name, text) {
        (None, _) => findings.invalid(entry, "name", "can't be blank"),
        (Some(_), None) => findings.invalid(entry, "name", NAME_RULE),
        (Some(_), Some(text)) => check_name(entry, findings, text),
    }
    let mut environment = Environment {
        name: text.unwrap_or_default().to_owned(),
        url: None,
        action: "start".to_owned(),
        on_stop: None,
        auto_stop_in: None,
        deployment_tier: None,
    };
    if entry.mapping().is_some() {
        entry.allowed_keys(findings, &KEYS);
        environment.url = entry.string(findings, "url");
        if environment.url.as_ref().is_some_and(|url| url.chars().count() > NAME_CHARS) {
            findings.invalid(entry, "url", &format!("is too long (maximum is {NAME_CHARS} characters)"));
        }
        let text = "should be start, stop, prepare, verify, or access";
        if let Some(action) = entry.one_of(findings, "action", &ACTIONS, text) {
            environment.action = action;
        }
        environment.on_stop = entry.string(findings, "on_stop");
        environment.auto_stop_in = entry.string(findings, "auto_stop_in");
        environment.deployment_tier = entry.string(findings, "deployment_tier");
        let tier = environment.deployment_tier.as_deref();
        if tier.is_some_and(|tier| !tier.contains('$') && !TIERS.contains(&tier)) {
            let text = "must be one of production, staging, testing, development, or other";
            findings.invalid(entry, "deployment tier", text);
        }
    }
    (findings.count() == before).then_some(environment)
}

/// Whether an environment can have this name, or a resource group: a job whose group cannot be has none.
/// Source: `app/models/ci/resource_group.rb`, `lib/gitlab/ci/pipeline/seed/processable/resource_group.rb`.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty() && is_plain(name) && name.chars().count() <= NAME_CHARS
}

fn is_plain(name: &str) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || "-_/${}. ".contains(c);
    name.chars().all(known) && !name.starts_with('/') && !name.ends_with('/')
}

fn check_name(entry: &Entry<'_>, findings: &mut Findings, name: &str) {
    if !is_plain(name) {
        findings.invalid(entry, "name", NAME_RULE);
    }
    if name.chars().count() > NAME_CHARS {
        findings.invalid(entry, "name", &format!("is too long (maximum is {NAME_CHARS} characters)"));
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{compile, errors, errors_of};

    #[test]
    fn the_name_is_expanded_and_the_url_is_not() {
        let plan = compile(
            "variables: {WHERE: there}\n\
             rspec: {script: x, environment: {name: review/$WHERE-$CI_JOB_NAME, url: 'https://$WHERE', action: start}}",
        );
        let environment = plan.jobs[0].environment.as_ref().expect("environment");
        assert_eq!(environment.name, "review/there-rspec");
        assert_eq!(environment.url.as_deref(), Some("https://$WHERE"));
    }

    #[test]
    fn other_values_are_refused() {
        let rule = super::NAME_RULE;
        for (environment, expected) in [
            ("1", "config should be a hash or a string".to_owned()),
            ("{url: x}", "name can't be blank".to_owned()),
            ("'/a'", format!("name {rule}")),
            ("a+b", format!("name {rule}")),
            ("{name: a, x: y}", "config contains unknown keys: x".to_owned()),
            ("{name: a, action: x}", "action should be start, stop, prepare, verify, or access".to_owned()),
        ] {
            let text = format!("script: x\nenvironment: {environment}");
            assert_eq!(errors(&text), [format!("jobs:rspec:environment {expected}")], "{environment}");
        }
    }

    #[test]
    fn on_stop_names_a_job_that_stops_the_same_environment() {
        for (stop, expected) in [
            ("other: {script: x}", "review job: on_stop job stop is not defined"),
            ("stop: {script: x}", "review job: on_stop job stop does not have environment defined"),
            (
                "stop: {script: x, environment: b}",
                "review job: on_stop job stop have different environment name",
            ),
            (
                "stop: {script: x, environment: a}",
                "review job: on_stop job stop needs to have action stop defined",
            ),
        ] {
            let text = format!("review: {{script: x, environment: {{name: a, on_stop: stop}}}}\n{stop}");
            assert_eq!(errors_of(&text), [expected], "{stop}");
        }
    }
}
