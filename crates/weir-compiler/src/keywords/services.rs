//! `services`. Source: `entry/{services,service}.rb`.

use crate::entry::{Entry, Findings};
use crate::keywords::{image, script::flatten, variables};
use crate::plan::Image;

const KEYS: [&str; 9] =
    ["name", "entrypoint", "command", "alias", "variables", "ports", "pull_policy", "docker", "kubernetes"];

/// `services`: a list of names and hashes.
pub(crate) fn parse(entry: &Entry<'_>, findings: &mut Findings) -> Option<Vec<Image>> {
    let Some(items) = entry.node.as_sequence() else {
        findings.invalid(entry, "config", "should be a array");
        return None;
    };
    let before = findings.count();
    let services = items
        .iter()
        .filter(|item| !item.is_null())
        .filter_map(|item| service(&entry.item("service", item), findings))
        .collect();
    (findings.count() == before).then_some(services)
}

fn service(entry: &Entry<'_>, findings: &mut Findings) -> Option<Image> {
    let mut service = image::imageable(entry, findings, &KEYS)?;
    if let Some(command) = entry.value("command") {
        let mut words = Vec::new();
        if flatten(command, 0, &mut words) {
            service.command = Some(words);
        } else {
            findings.invalid(entry, "command", "should be an array of strings or a string");
        }
    }
    service.alias = entry.string(findings, "alias");
    if let Some(child) = entry.child("variables") {
        service.variables = variables::parse(&child, findings, variables::Allowed::Plain);
    }
    Some(service)
}

#[cfg(test)]
mod tests {
    use crate::testing::{errors, job};

    #[test]
    fn services_are_a_list() {
        let services =
            job("script: x\nservices: [a, {name: b, alias: c, command: [d], variables: {E: 1}}]").services;
        assert_eq!(services[0].name, "a");
        assert_eq!(services[1].alias.as_deref(), Some("c"));
        assert_eq!(services[1].command, Some(vec!["d".to_owned()]));
        assert_eq!(
            (services[1].variables[0].key.as_str(), services[1].variables[0].value.as_str()),
            ("E", "1")
        );
    }

    #[test]
    fn other_values_are_refused() {
        for (services, expected) in [
            ("a", "jobs:rspec:services config should be a array"),
            ("[[a]]", "jobs:rspec:services:service config should be a hash or a string"),
            ("[{alias: a}]", "jobs:rspec:services:service name can't be blank"),
            (
                "[{name: a, variables: {B: {value: c}}}]",
                "jobs:rspec:services:service:variables:b config must be a string",
            ),
        ] {
            assert_eq!(errors(&format!("script: x\nservices: {services}")), [expected], "{services}");
        }
    }
}
