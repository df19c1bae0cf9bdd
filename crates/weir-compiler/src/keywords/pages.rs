//! `pages` and `publish`: which folder a job publishes. Source: `entry/pages.rb` and
//! `Ci::Build#pages` of GitLab.

use weir_yaml::Value;

use crate::entry::{Entry, Findings};

/// The folder that a job publishes, if it is a pages job.
pub(crate) fn published(job: &Entry<'_>, findings: &mut Findings, name: &str) -> Option<String> {
    let publish = job.string(findings, "publish");
    let pages = job.value("pages").map(|node| &node.value);
    let is_pages = match pages {
        Some(Value::Bool(pages)) => *pages,
        Some(_) => true,
        None => name == "pages",
    };
    let mut inner = None;
    if let Some(child) = job.child("pages")
        && !matches!(child.node.value, Value::Bool(_))
    {
        if child.mapping().is_none() {
            findings.invalid(&child, "config", "should be a hash or a boolean value");
        }
        child.allowed_keys(findings, &["path_prefix", "expire_in", "publish"]);
        inner = child.string(findings, "publish");
    }
    if publish.is_some() && !is_pages {
        findings.invalid(job, "publish", "can only be used within a `pages` job");
        return None;
    }
    if let (Some(_), Some(_)) = (&publish, &inner) {
        let message = format!("{name} job: use either {name}:publish or {name}:pages:publish");
        findings.error("pages", Some(job.key), message);
    }
    is_pages.then(|| inner.or(publish).unwrap_or_else(|| "public".to_owned()))
}

#[cfg(test)]
mod tests {
    use crate::testing::{compile, errors};

    #[test]
    fn the_published_folder_is_an_artifact() {
        for (text, expected) in [
            ("pages: {script: x}", Some("public")),
            ("pages: {script: x, publish: dist}", Some("dist")),
            ("pages: {script: x, pages: false}", None),
            ("site: {script: x, pages: true}", Some("public")),
            ("site: {script: x, pages: {publish: out}}", Some("out")),
            ("site: {script: x}", None),
        ] {
            let plan = compile(text);
            let crate::plan::Action::Run(run) = &plan.jobs[0].action else { panic!("a job") };
            let paths = run.artifacts.as_ref().map(|artifacts| artifacts.paths.join(","));
            assert_eq!(paths.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn publish_stands_in_pages_jobs_only() {
        assert_eq!(
            errors("script: x\npublish: a"),
            ["jobs:rspec publish can only be used within a `pages` job"]
        );
    }
}
