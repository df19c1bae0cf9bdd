//! `artifacts`. Source: `entry/{artifacts,reports}.rb`.

use crate::duration;
use crate::entry::{Entry, Findings, is_blank, strings_of};
use crate::limits::EXPOSE_AS_CHARS;
use crate::plan::{ArtifactAccess, Artifacts, ArtifactsWhen};

const KEYS: [&str; 10] = [
    "name",
    "untracked",
    "paths",
    "reports",
    "when",
    "expire_in",
    "expose_as",
    "exclude",
    "public",
    "access",
];
const REPORTS: [&str; 26] = [
    "junit",
    "codequality",
    "sast",
    "secret_detection",
    "dependency_scanning",
    "container_scanning",
    "cluster_image_scanning",
    "dast",
    "performance",
    "browser_performance",
    "load_performance",
    "license_scanning",
    "metrics",
    "lsif",
    "dotenv",
    "terraform",
    "accessibility",
    "coverage_fuzzing",
    "api_fuzzing",
    "cluster_applications",
    "requirements",
    "requirements_v2",
    "coverage_report",
    "cyclonedx",
    "annotations",
    "repository_xray",
];

/// `artifacts`.
pub(crate) fn parse(entry: &Entry<'_>, findings: &mut Findings) -> Option<Artifacts> {
    let before = findings.count();
    entry.expect_mapping(findings)?;
    entry.allowed_keys(findings, &KEYS);
    entry.exclusive_keys(findings, &["access", "public"]);
    let artifacts = Artifacts {
        name: entry.string(findings, "name"),
        untracked: entry.boolean(findings, "untracked").unwrap_or(false),
        paths: entry.strings(findings, "paths").unwrap_or_default(),
        exclude: entry.strings(findings, "exclude").unwrap_or_default(),
        when: when(entry, findings),
        expire_in: expire_in(entry, findings),
        reports: Vec::new(),
        access: access(entry, findings),
        expose_as: expose_as(entry, findings),
    };
    if findings.count() > before {
        return None;
    }
    let reports = entry.child("reports").map(|child| reports(&child, findings)).unwrap_or_default();
    (findings.count() == before).then_some(Artifacts { reports, ..artifacts })
}

/// `when` of artifacts and caches.
pub(crate) fn when(entry: &Entry<'_>, findings: &mut Findings) -> ArtifactsWhen {
    let text = "should be one of: on_success, on_failure, always";
    match entry.one_of(findings, "when", &["on_success", "on_failure", "always"], text).as_deref() {
        Some("on_failure") => ArtifactsWhen::OnFailure,
        Some("always") => ArtifactsWhen::Always,
        _ => ArtifactsWhen::OnSuccess,
    }
}

fn expire_in(entry: &Entry<'_>, findings: &mut Findings) -> Option<String> {
    let text = entry.value("expire_in")?.as_str();
    if !text.is_some_and(|text| text == "never" || duration::parse(text).is_some()) {
        findings.invalid(entry, "expire in", "should be a duration");
        return None;
    }
    text.map(str::to_owned)
}

fn access(entry: &Entry<'_>, findings: &mut Findings) -> ArtifactAccess {
    if entry.boolean(findings, "public") == Some(false) {
        return ArtifactAccess::Developer;
    }
    let words = ["none", "developer", "maintainer", "all"];
    let text = "should be one of: none, developer, maintainer, all";
    match entry.one_of(findings, "access", &words, text).as_deref() {
        Some("none") => ArtifactAccess::None,
        Some("developer") => ArtifactAccess::Developer,
        Some("maintainer") => ArtifactAccess::Maintainer,
        _ => ArtifactAccess::All,
    }
}

fn expose_as(entry: &Entry<'_>, findings: &mut Findings) -> Option<String> {
    entry.value("expose_as")?;
    let paths = entry.get("paths");
    if paths.is_none_or(is_blank) {
        findings.invalid(entry, "paths", "can't be blank");
    } else if paths.and_then(strings_of).is_some_and(|all| all.iter().any(|path| path.contains('*'))) {
        findings.invalid(entry, "paths", "can't contain '*' when used with 'expose_as'");
    }
    let name = entry.string(findings, "expose_as")?;
    if name.chars().count() > EXPOSE_AS_CHARS {
        findings.invalid(
            entry,
            "expose as",
            &format!("is too long (maximum is {EXPOSE_AS_CHARS} characters)"),
        );
    }
    let known = |c: char| c.is_ascii_alphanumeric() || "_- ".contains(c);
    if !name.chars().all(known) || name.is_empty() || name.starts_with(['-', ' ']) {
        findings.invalid(entry, "expose as", "can contain only letters, digits, '-', '_' and spaces");
    }
    Some(name)
}

fn reports(entry: &Entry<'_>, findings: &mut Findings) -> Vec<(String, Vec<String>)> {
    if entry.expect_mapping(findings).is_none() {
        return Vec::new();
    }
    entry.allowed_keys(findings, &REPORTS);
    let mut reports = Vec::new();
    for item in entry.mapping().into_iter().flatten() {
        let Some(kind) = item.name().filter(|kind| REPORTS.contains(kind)) else { continue };
        if item.value.is_null() {
            continue;
        }
        if kind == "coverage_report" {
            let Some(child) = entry.child(kind) else { continue };
            if let Some(report) = coverage_report(&child, findings) {
                reports.push(report);
            }
        } else if let Some(paths) = entry.string_or_strings(findings, kind) {
            reports.push((kind.to_owned(), paths));
        }
    }
    reports
}

/// `coverage_report`: its format is the report's type for the runner.
fn coverage_report(entry: &Entry<'_>, findings: &mut Findings) -> Option<(String, Vec<String>)> {
    entry.expect_mapping(findings)?;
    entry.allowed_keys(findings, &["coverage_format", "path"]);
    for key in ["coverage_format", "path"] {
        if entry.get(key).is_none_or(is_blank) {
            findings.invalid(entry, &key.replace('_', " "), "can't be blank");
            return None;
        }
    }
    let words = ["cobertura", "jacoco"];
    let text = "must be one of supported formats: cobertura, jacoco.";
    let format = entry.one_of(findings, "coverage_format", &words, text);
    let path = entry.string(findings, "path")?;
    Some((format?, vec![path]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{errors, job};

    #[test]
    fn artifacts_are_carried_as_written() {
        let artifacts = job(
            "script: x\nartifacts: {paths: [a, b/*], exclude: [c], name: n, when: always, expire_in: 1 week, \
             public: false, reports: {junit: j.xml, dotenv: [d], coverage_report: {coverage_format: cobertura, path: c.xml}}}",
        )
        .artifacts
        .expect("artifacts");
        assert_eq!(artifacts.paths, ["a", "b/*"]);
        assert_eq!(artifacts.when, ArtifactsWhen::Always);
        assert_eq!(artifacts.access, ArtifactAccess::Developer);
        assert_eq!(artifacts.expire_in.as_deref(), Some("1 week"));
        let reports: Vec<&str> = artifacts.reports.iter().map(|(kind, _)| kind.as_str()).collect();
        assert_eq!(reports, ["junit", "dotenv", "cobertura"]);
    }

    #[test]
    fn other_values_are_refused() {
        let at = "jobs:rspec:artifacts";
        for (artifacts, expected) in [
            ("x", "config should be a hash"),
            ("{x: y}", "config contains unknown keys: x"),
            ("{name: 1}", "name should be a string"),
            ("{paths: x}", "paths should be an array of strings"),
            ("{untracked: x}", "untracked should be a boolean value"),
            ("{when: x}", "when should be one of: on_success, on_failure, always"),
            ("{expire_in: 7 elephants}", "expire in should be a duration"),
            ("{expire_in: 60}", "expire in should be a duration"),
            ("{access: random}", "access should be one of: none, developer, maintainer, all"),
            ("{access: all, public: true}", "config these keys cannot be used together: access, public"),
            ("{expose_as: a}", "paths can't be blank"),
            ("{expose_as: a, paths: ['*']}", "paths can't contain '*' when used with 'expose_as'"),
            (
                "{expose_as: 'a.b', paths: [c]}",
                "expose as can contain only letters, digits, '-', '_' and spaces",
            ),
        ] {
            let text = format!("script: x\nartifacts: {artifacts}");
            assert_eq!(errors(&text), [format!("{at} {expected}")], "{artifacts}");
        }
        for (reports, expected) in [
            ("{x: y}", ":reports config contains unknown keys: x"),
            ("{junit: 1}", ":reports junit should be an array of strings or a string"),
            ("{coverage_report: a}", ":reports:coverage_report config should be a hash"),
            (
                "{coverage_report: {coverage_format: x, path: y}}",
                ":reports:coverage_report coverage format must be one of supported formats: cobertura, jacoco.",
            ),
        ] {
            let text = format!("script: x\nartifacts: {{reports: {reports}}}");
            assert_eq!(errors(&text), [format!("{at}{expected}")], "{reports}");
        }
    }
}
