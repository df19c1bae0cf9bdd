//! `environment`. Source: `entry/environment.rb`, `entry/kubernetes.rb`.

use weir_api::environments::{EnvironmentAction, EnvironmentTier};
use weir_yaml::Node;

use crate::entry::{Entry, Findings, is_blank};
use crate::limits::NAME_CHARS;
use crate::plan::{Environment, Kubernetes};

const KEYS: [&str; 7] = ["name", "url", "action", "on_stop", "auto_stop_in", "kubernetes", "deployment_tier"];
const KUBERNETES_KEYS: [&str; 5] =
    ["namespace", "agent", "flux_resource_path", "managed_resources", "dashboard"];
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
        action: EnvironmentAction::Start,
        on_stop: None,
        auto_stop_in: None,
        deployment_tier: None,
        kubernetes: None,
    };
    if entry.mapping().is_some() {
        entry.allowed_keys(findings, &KEYS);
        environment.url = entry.string(findings, "url");
        if environment.url.as_ref().is_some_and(|url| url.chars().count() > NAME_CHARS) {
            findings.invalid(entry, "url", &format!("is too long (maximum is {NAME_CHARS} characters)"));
        }
        if let Some(action) = entry.value("action") {
            match action.as_str().and_then(|word| word.parse().ok()) {
                Some(action) => environment.action = action,
                None => {
                    findings.invalid(entry, "action", "should be start, stop, prepare, verify, or access");
                }
            }
        }
        environment.on_stop = entry.string(findings, "on_stop");
        environment.auto_stop_in = entry.string(findings, "auto_stop_in");
        environment.deployment_tier = entry.string(findings, "deployment_tier");
        let tier = environment.deployment_tier.as_deref();
        if tier.is_some_and(|tier| !tier.contains('$') && tier.parse::<EnvironmentTier>().is_err()) {
            let text = "must be one of production, staging, testing, development, or other";
            findings.invalid(entry, "deployment tier", text);
        }
        environment.kubernetes =
            entry.child("kubernetes").and_then(|child| parse_kubernetes(&child, findings));
    }
    (findings.count() == before).then_some(environment)
}

/// Whether an environment can have this name, or a resource group: a job whose group cannot be has none.
/// Source: `app/models/ci/resource_group.rb`, `lib/gitlab/ci/pipeline/seed/processable/resource_group.rb`.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty() && is_plain(name) && name.chars().count() <= NAME_CHARS
}

/// `environment:kubernetes`: an agent and what its dashboard shows.
fn parse_kubernetes(entry: &Entry<'_>, findings: &mut Findings) -> Option<Kubernetes> {
    let mapping = entry.expect_mapping(findings)?;
    if mapping.is_empty() {
        findings.invalid(entry, "config", "can't be blank");
        return None;
    }
    entry.allowed_keys(findings, &KUBERNETES_KEYS);
    let agent = entry.string(findings, "agent");
    let mut namespace = entry.string(findings, "namespace");
    let mut flux_resource_path = entry.string(findings, "flux_resource_path");
    let is_there = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.trim().is_empty());
    if is_there(&flux_resource_path) && !is_there(&namespace) {
        findings.invalid(entry, "namespace", "can't be blank");
    }
    let mut agent_required = is_there(&flux_resource_path);
    if let Some(dashboard) = entry.child("dashboard") {
        agent_required = true;
        dashboard.expect_mapping(findings)?;
        dashboard.allowed_keys(findings, &["namespace", "flux_resource_path"]);
        dashboard.required_keys(findings, &["namespace"]);
        let (shown, path) =
            (dashboard.string(findings, "namespace"), dashboard.string(findings, "flux_resource_path"));
        if shown.as_ref().is_some_and(String::is_empty) {
            findings.invalid(&dashboard, "namespace", "can't be blank");
        }
        for (old, new, key) in
            [(&mut namespace, shown, "namespace"), (&mut flux_resource_path, path, "flux_resource_path")]
        {
            if is_there(old) && is_there(&new) {
                let text = format!("cannot be specified when dashboard.{key} is set");
                findings.invalid(entry, &key.replace('_', " "), &text);
            }
            *old = new.or(old.take());
        }
    }
    let mut managed_resources = None;
    if let Some(managed) = entry.child("managed_resources") {
        managed.expect_mapping(findings)?;
        managed.allowed_keys(findings, &["enabled", "delete_resources"]);
        managed_resources = managed.boolean(findings, "enabled");
        agent_required |= managed_resources == Some(true);
    }
    if agent_required && !is_there(&agent) {
        findings.invalid(entry, "agent", "can't be blank");
    }
    Some(Kubernetes { agent, namespace, flux_resource_path, managed_resources })
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
    use weir_api::PipelineSource;

    use crate::testing::{compile, errors, errors_of, job_names};
    use crate::vars::{Level, StoredVariable, Variable};
    use crate::{Compilation, Context, Step};

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
    fn kubernetes_names_an_agent_and_what_its_dashboard_shows() {
        let kubernetes = |text: &str| {
            let text = format!("rspec: {{script: x, environment: {{name: a, kubernetes: {text}}}}}");
            let plan = compile(&text);
            plan.jobs[0].environment.as_ref().and_then(|it| it.kubernetes.clone()).expect("kubernetes")
        };
        let full = kubernetes(
            "{agent: 'a/b:c', dashboard: {namespace: n, flux_resource_path: f}, managed_resources: {enabled: true}}",
        );
        assert_eq!(full.agent.as_deref(), Some("a/b:c"));
        assert_eq!((full.namespace.as_deref(), full.flux_resource_path.as_deref()), (Some("n"), Some("f")));
        assert_eq!(full.managed_resources, Some(true));
        assert_eq!(kubernetes("{namespace: n}").namespace.as_deref(), Some("n"));
        for (kubernetes, expected) in [
            ("x", "config should be a hash"),
            ("{unknown: x}", "config contains unknown keys: unknown"),
            ("{namespace: {a: b}}", "namespace should be a string"),
            ("{namespace: n, flux_resource_path: f}", "agent can't be blank"),
            ("{agent: a, flux_resource_path: f}", "namespace can't be blank"),
            ("{dashboard: {namespace: n}}", "agent can't be blank"),
            (
                "{agent: a, namespace: n, dashboard: {namespace: d}}",
                "namespace cannot be specified when dashboard.namespace is set",
            ),
        ] {
            let text = format!("script: x\nenvironment: {{name: a, kubernetes: {kubernetes}}}");
            let expected = format!("jobs:rspec:environment:kubernetes {expected}");
            assert_eq!(errors(&text), [expected], "{kubernetes}");
        }
    }

    #[test]
    fn a_job_with_an_environment_sees_the_variables_of_its_scope() {
        let stored = |value: &str, scope: &str| StoredVariable {
            variable: Variable::private("TARGET", value),
            environment_scope: scope.to_owned(),
            protected: false,
        };
        let mut context = Context::new(PipelineSource::Push, "main", "group/project");
        context.variables.push(Level::Project, Variable::private("TARGET", "any"));
        context.settings = vec![
            (Level::Group, vec![stored("group", "production")]),
            (
                Level::Project,
                vec![stored("review", "review/*"), stored("live", "production"), stored("any", "*")],
            ),
        ];
        let rule = |target: &str| format!("rules: [{{if: '$TARGET == \"{target}\"'}}]");
        let text = format!(
            "plain: {{script: x, {}}}\nnone: {{script: x, {}}}\n\
             review: {{script: x, environment: review/$CI_JOB_NAME, {}}}\n\
             live: {{script: x, environment: production, {}}}\n\
             name: {{script: x, environment: 'in-$TARGET'}}",
            rule("any"),
            rule("live"),
            rule("review"),
            rule("live"),
        );
        let mut compilation = Compilation::new(".gitlab-ci.yml", Some(&text), context);
        let Step::Done(compiled) = compilation.step() else { panic!("no facts are needed") };
        assert_eq!(job_names(&compiled), ["plain", "review", "live", "name"]);
        let plan = compiled.plan.expect("a plan");
        let name = plan.jobs[3].environment.as_ref().map(|environment| environment.name.as_str());
        assert_eq!(name, Some("in-any"), "the name is expanded before its scope is known");
    }

    #[test]
    fn the_name_may_hold_variables_of_the_matched_rule() {
        let plan = compile(
            "a: {script: x, environment: 'at-$WHERE', rules: [{when: always, variables: {WHERE: home}}]}",
        );
        assert_eq!(plan.jobs[0].environment.as_ref().map(|it| it.name.as_str()), Some("at-home"));
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
