//! `image`. Source: `entry/{image,imageable,docker_options,kubernetes_options,pull_policy}.rb`.

use weir_yaml::Value;

use crate::entry::{Entry, Findings, is_blank, strings_of, to_json};
use crate::plan::Image;

const POLICIES: [&str; 3] = ["always", "if-not-present", "never"];

/// `image`: a name or a hash.
pub(crate) fn parse(entry: &Entry<'_>, findings: &mut Findings) -> Option<Image> {
    imageable(entry, findings, &["name", "entrypoint", "ports", "pull_policy", "docker", "kubernetes"])
}

/// What `image` and a service have in common.
pub(crate) fn imageable(entry: &Entry<'_>, findings: &mut Findings, allowed: &[&str]) -> Option<Image> {
    let before = findings.count();
    if let Some(name) = entry.node.as_str() {
        if is_blank(entry.node) {
            findings.invalid(entry, "name", "can't be blank");
            return None;
        }
        return Some(Image { name: name.to_owned(), ..Image::default() });
    }
    if entry.mapping().is_none() {
        findings.invalid(entry, "config", "should be a hash or a string");
        return None;
    }
    entry.allowed_keys(findings, allowed);
    if entry.has("ports") {
        findings.invalid(entry, "config", "contains disallowed keys: ports");
    }
    let name = entry.string(findings, "name").unwrap_or_default();
    if entry.get("name").is_none_or(is_blank) {
        findings.invalid(entry, "name", "can't be blank");
    }
    let entrypoint = entry.strings(findings, "entrypoint");
    if findings.count() > before {
        return None;
    }
    let pull_policy =
        entry.child("pull_policy").map(|child| pull_policy(&child, findings)).unwrap_or_default();
    let mut image = Image { name, entrypoint, pull_policy, ..Image::default() };
    for executor in ["docker", "kubernetes"] {
        if let Some(child) = entry.child(executor) {
            executor_options(&child, findings, executor);
            image.executor_opts.insert(executor.to_owned(), to_json(child.node));
        }
    }
    (findings.count() == before).then_some(image)
}

fn pull_policy(entry: &Entry<'_>, findings: &mut Findings) -> Vec<String> {
    let list = entry.node.as_str().map(|text| vec![text.to_owned()]).or_else(|| strings_of(entry.node));
    match list {
        None => {
            findings.invalid(entry, "config", "should be an array of strings or a string");
            Vec::new()
        }
        Some(list) if list.is_empty() => {
            findings.invalid(entry, "config", "can't be blank");
            list
        }
        Some(list) => {
            let unknown: Vec<&str> =
                list.iter().map(String::as_str).filter(|policy| !POLICIES.contains(policy)).collect();
            if !unknown.is_empty() {
                findings.invalid(
                    entry,
                    "config",
                    &format!("contains unknown values: {}", unknown.join(", ")),
                );
            }
            list
        }
    }
}

fn executor_options(entry: &Entry<'_>, findings: &mut Findings, executor: &str) {
    if entry.expect_mapping(findings).is_none() {
        return;
    }
    let allowed: &[&str] = if executor == "docker" { &["platform", "user"] } else { &["user"] };
    entry.allowed_keys(findings, allowed);
    for key in allowed {
        let Some(node) = entry.value(key) else { continue };
        let text = match &node.value {
            Value::String(text) => Some(text.clone()),
            Value::Int(number) if executor == "kubernetes" => Some(number.to_string()),
            _ => None,
        };
        let limit = if *key == "platform" { 64 } else { 255 };
        match text {
            None => findings.invalid(entry, key, "should be a string"),
            Some(text) if text.is_empty() => {
                findings.invalid(entry, key, "is too short (minimum is 1 character)");
            }
            Some(text) if text.chars().count() > limit => {
                findings.invalid(entry, key, &format!("is too long (maximum is {limit} characters)"));
            }
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{errors, job};

    #[test]
    fn a_text_is_the_name() {
        let image = job("script: x\nimage: alpine:3").image.expect("image");
        assert_eq!(image.name, "alpine:3");
        let image =
            job("script: x\nimage: {name: a, entrypoint: [''], pull_policy: always, docker: {user: me}}")
                .image
                .expect("image");
        assert_eq!(image.entrypoint, Some(vec![String::new()]));
        assert_eq!(image.pull_policy, ["always"]);
        assert_eq!(serde_json::to_string(&image.executor_opts).expect("JSON"), r#"{"docker":{"user":"me"}}"#);
    }

    #[test]
    fn other_values_are_refused() {
        for (image, expected) in [
            ("[a]", "jobs:rspec:image config should be a hash or a string"),
            ("{entrypoint: [a]}", "jobs:rspec:image name can't be blank"),
            ("{name: a, entrypoint: b}", "jobs:rspec:image entrypoint should be an array of strings"),
            ("{name: a, x: b}", "jobs:rspec:image config contains unknown keys: x"),
            ("{name: a, pull_policy: x}", "jobs:rspec:image:pull_policy config contains unknown values: x"),
            ("{name: a, pull_policy: []}", "jobs:rspec:image:pull_policy config can't be blank"),
            ("{name: a, docker: {x: y}}", "jobs:rspec:image:docker config contains unknown keys: x"),
        ] {
            assert_eq!(errors(&format!("script: x\nimage: {image}")), [expected], "{image}");
        }
    }
}
