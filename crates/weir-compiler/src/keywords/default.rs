//! `default`, and the keywords that a job takes from it. Source: `entry/{default,inheritable}.rb`.

use crate::entry::{Entry, Findings, check_duration};
use crate::keywords::inherit::Selection;
use crate::keywords::{artifacts, cache, id_tokens, image, retry, script, services, tags};
use crate::limits::TIMEOUT_SECONDS;
use crate::plan::{Artifacts, Image, Retry};

/// The keys of `default`.
pub(crate) const KEYS: [&str; 12] = [
    "before_script",
    "after_script",
    "hooks",
    "cache",
    "image",
    "services",
    "interruptible",
    "timeout",
    "retry",
    "tags",
    "artifacts",
    "id_tokens",
];
/// The keys that may still stand at the top level instead.
pub(crate) const TOP_LEVEL: [&str; 5] = ["image", "services", "before_script", "after_script", "cache"];

/// The keywords that a job may take from `default`. None means not given.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Inheritable {
    pub(crate) before_script: Option<Vec<String>>,
    pub(crate) after_script: Option<Vec<String>>,
    pub(crate) hooks: Option<Vec<String>>,
    pub(crate) cache: Option<Vec<cache::Unkeyed>>,
    pub(crate) image: Option<Image>,
    pub(crate) services: Option<Vec<Image>>,
    pub(crate) interruptible: Option<bool>,
    pub(crate) timeout: Option<u64>,
    pub(crate) retry: Option<Retry>,
    pub(crate) tags: Option<Vec<String>>,
    pub(crate) artifacts: Option<Artifacts>,
}

impl Inheritable {
    /// Reads these keywords of an entry, as far as they are in `keys`.
    pub(crate) fn parse(entry: &Entry<'_>, findings: &mut Findings, keys: &[&str]) -> Self {
        let child = |key: &str| keys.contains(&key).then(|| entry.child(key)).flatten();
        if let Some(tokens) = child("id_tokens") {
            id_tokens::check(&tokens, findings);
        }
        Self {
            before_script: child("before_script").and_then(|child| script::commands(&child, findings)),
            after_script: child("after_script").and_then(|child| script::commands(&child, findings)),
            hooks: child("hooks").and_then(|child| script::hooks(&child, findings)),
            cache: child("cache").and_then(|child| cache::parse(&child, findings)),
            image: child("image").and_then(|child| image::parse(&child, findings)),
            services: child("services").and_then(|child| services::parse(&child, findings)),
            interruptible: child("interruptible").and_then(|child| child.as_boolean(findings)),
            timeout: child("timeout").and_then(|child| {
                check_duration(&child, findings, "config", child.node, Some(TIMEOUT_SECONDS))
            }),
            retry: child("retry").and_then(|child| retry::parse(&child, findings)),
            tags: child("tags").and_then(|child| tags::parse(&child, findings)),
            artifacts: child("artifacts").and_then(|child| artifacts::parse(&child, findings)),
        }
    }

    /// Takes what is not given from `defaults`, as far as `inherit` lets it.
    pub(crate) fn inherit(&mut self, defaults: &Self, inherit: &Selection) {
        fn take<T: Clone>(own: &mut Option<T>, default: Option<&T>, allowed: bool) {
            if allowed && own.is_none() {
                *own = default.cloned();
            }
        }
        take(&mut self.before_script, defaults.before_script.as_ref(), inherit.has("before_script"));
        take(&mut self.after_script, defaults.after_script.as_ref(), inherit.has("after_script"));
        take(&mut self.hooks, defaults.hooks.as_ref(), inherit.has("hooks"));
        take(&mut self.cache, defaults.cache.as_ref(), inherit.has("cache"));
        take(&mut self.image, defaults.image.as_ref(), inherit.has("image"));
        take(&mut self.services, defaults.services.as_ref(), inherit.has("services"));
        take(&mut self.interruptible, defaults.interruptible.as_ref(), inherit.has("interruptible"));
        take(&mut self.timeout, defaults.timeout.as_ref(), inherit.has("timeout"));
        take(&mut self.retry, defaults.retry.as_ref(), inherit.has("retry"));
        take(&mut self.tags, defaults.tags.as_ref(), inherit.has("tags"));
        take(&mut self.artifacts, defaults.artifacts.as_ref(), inherit.has("artifacts"));
    }
}

/// `default`.
pub(crate) fn parse(entry: &Entry<'_>, findings: &mut Findings) -> Inheritable {
    let before = findings.count();
    if entry.expect_mapping(findings).is_none() {
        return Inheritable::default();
    }
    entry.allowed_keys(findings, &KEYS);
    if findings.count() > before {
        return Inheritable::default();
    }
    Inheritable::parse(entry, findings, &KEYS)
}

#[cfg(test)]
mod tests {
    use crate::testing::{compile, errors_of};

    #[test]
    fn a_job_takes_what_it_does_not_have_itself() {
        let plan = compile(
            "default: {before_script: [d], timeout: 1h, interruptible: true, image: i}\n\
             a: {script: x}\nb: {script: x, before_script: [], timeout: 2h, image: null}",
        );
        let scripts: Vec<(usize, Option<u64>, bool)> = plan
            .jobs
            .iter()
            .map(|job| {
                let crate::plan::Action::Run(run) = &job.action else { panic!("a job") };
                (run.before_script.len(), job.timeout, run.image.is_some())
            })
            .collect();
        assert_eq!(scripts, [(1, Some(3600), true), (0, Some(7200), true)]);
        assert!(plan.jobs[0].interruptible);
    }

    #[test]
    fn other_values_are_refused() {
        for (text, expected) in [
            ("default: x", "default config should be a hash"),
            ("default: {variables: {}}", "default config contains unknown keys: variables"),
            ("default: {timeout: soon}", "default:timeout config should be a duration"),
            ("default: {image: a}\nimage: b", "image is defined in top-level and `default:` entry"),
        ] {
            assert_eq!(errors_of(&format!("{text}\nrspec: {{script: x}}"))[0], expected, "{text}");
        }
    }

    #[test]
    fn timeouts_have_a_limit() {
        for (timeout, expected) in [
            ("soon", &["should be a duration", "should not exceed the limit"][..]),
            ("2 months", &["should not exceed the limit"]),
        ] {
            let expected: Vec<String> =
                expected.iter().map(|text| format!("jobs:rspec:timeout config {text}")).collect();
            assert_eq!(crate::testing::errors(&format!("script: x\ntimeout: {timeout}")), expected);
        }
    }
}
