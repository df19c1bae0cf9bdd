//! What jobs do to environments, and how environments are named.
//!
//! Sources: `app/models/{environment,deployment}.rb`, `app/models/concerns/ci/deployable.rb`,
//! `lib/gitlab/slug/environment.rb`, `app/services/environments/recalculate_auto_stop_service.rb`.

use weir_api::JobStatus;
use weir_api::environments::{DeploymentStatus, EnvironmentAction, EnvironmentTier};
use weir_api::id::DeploymentId;

use crate::limits;

/// Why a text cannot be the name of an environment, in GitLab's words.
///
/// # Errors
/// The message.
pub fn check_name(name: &str) -> Result<(), &'static str> {
    let known = |c: char| c.is_ascii_alphanumeric() || "-_/${}. ".contains(c);
    if name.trim().is_empty() {
        Err("can't be blank")
    } else if name.chars().count() > limits::ENVIRONMENT_CHARS {
        Err("is too long (maximum is 255 characters)")
    } else if !name.chars().all(known) || name.starts_with('/') || name.ends_with('/') {
        Err("can contain only letters, digits, '-', '_', '/', '$', '{', '}', '.', and spaces, but it cannot \
             start or end with '/'")
    } else {
        Ok(())
    }
}

/// Why a text cannot be where an environment is to be seen, in GitLab's words.
///
/// # Errors
/// The message.
pub fn check_url(url: &str) -> Result<(), String> {
    if url.chars().count() > limits::ENVIRONMENT_CHARS {
        return Err("is too long (maximum is 255 characters)".to_owned());
    }
    let scheme = url.trim_start().split(':').next().unwrap_or_default().to_ascii_lowercase();
    if url.contains(':') && ["javascript", "vbscript", "data"].contains(&scheme.as_str()) {
        return Err(format!("{scheme} scheme is not allowed"));
    }
    Ok(())
}

/// The name for host names and the like: at most 24 of `a` to `z`, `0` to `9` and `-`, with a letter in front. A name
/// that had to be changed gets a suffix from `digest`, its SHA-256, so that two names do not meet.
pub fn slug(name: &str, digest: &[u8; 32]) -> String {
    let plain: String = name
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' })
        .collect();
    let led =
        if plain.starts_with(|c: char| c.is_ascii_lowercase()) { plain } else { format!("env-{plain}") };
    let mut slug = String::with_capacity(led.len());
    for c in led.chars() {
        if c != '-' || !slug.ends_with('-') {
            slug.push(c);
        }
    }
    if slug.len() <= limits::SLUG_CHARS && slug == name {
        let length = slug.trim_end_matches('-').len();
        slug.truncate(length);
        return slug;
    }
    slug.truncate(limits::SLUG_CHARS - limits::SLUG_SUFFIX_CHARS - 1);
    if !slug.ends_with('-') {
        slug.push('-');
    }
    slug + &suffix(digest)
}

/// The last digits of a number to the base of 36.
fn suffix(digest: &[u8; 32]) -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    const BASE: u64 = 36;
    let modulus = (0..limits::SLUG_SUFFIX_CHARS).fold(1, |product, _| product * BASE);
    let mut rest = digest.iter().fold(0, |rest, byte| (rest * 256 + u64::from(*byte)) % modulus);
    let mut digits = Vec::with_capacity(limits::SLUG_SUFFIX_CHARS);
    for _ in 0..limits::SLUG_SUFFIX_CHARS {
        let digit = usize::try_from(rest % BASE).unwrap_or_default();
        digits.push(char::from(DIGITS[digit]));
        rest /= BASE;
    }
    digits.iter().rev().collect()
}

/// The folder of an environment: its name up to the first slash.
pub fn folder(name: &str) -> Option<&str> {
    let (folder, rest) = name.split_once('/')?;
    rest.chars().any(|c| c != '/').then_some(folder)
}

/// What an environment is for, by its name: the first that fits.
pub fn guess_tier(name: &str) -> EnvironmentTier {
    let name = name.to_ascii_lowercase();
    let any = |words: &[&str]| words.iter().any(|word| name.contains(word));
    if any(&["dev", "review", "trunk"]) {
        EnvironmentTier::Development
    } else if any(&["test", "tst", "int", "accept", "acpt", "qa", "qc", "control", "quality"]) {
        EnvironmentTier::Testing
    } else if any(&["stag", "stg", "model", "modl", "pre", "demo", "non"]) {
        EnvironmentTier::Staging
    } else if any(&["prod", "prd", "live"]) {
        EnvironmentTier::Production
    } else {
        EnvironmentTier::Other
    }
}

/// The status of the deployment of a job with this status; none if the job's status says nothing new.
pub const fn deployment_status(job: JobStatus) -> Option<DeploymentStatus> {
    match job {
        JobStatus::Created => Some(DeploymentStatus::Created),
        JobStatus::Running => Some(DeploymentStatus::Running),
        JobStatus::Success => Some(DeploymentStatus::Success),
        JobStatus::Failed => Some(DeploymentStatus::Failed),
        JobStatus::Canceled => Some(DeploymentStatus::Canceled),
        JobStatus::Skipped => Some(DeploymentStatus::Skipped),
        JobStatus::Manual => Some(DeploymentStatus::Blocked),
        _ => None,
    }
}

/// Whether a deployment may go from one status to another.
pub const fn may_become(from: DeploymentStatus, to: DeploymentStatus) -> bool {
    use DeploymentStatus::{Blocked, Canceled, Created, Failed, Running, Skipped, Success};
    match to {
        Created => matches!(from, Skipped),
        Blocked => matches!(from, Created),
        Running => matches!(from, Created | Blocked),
        Success => !matches!(from, Success),
        Failed => !matches!(from, Failed),
        Canceled => !matches!(from, Canceled),
        Skipped => !matches!(from, Skipped),
    }
}

/// Whether a deployment has come to its end.
pub const fn is_finished(status: DeploymentStatus) -> bool {
    matches!(status, DeploymentStatus::Success | DeploymentStatus::Failed | DeploymentStatus::Canceled)
}

/// What the success of a job means for its environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtSuccess {
    /// It runs there now: available, with the job's URL, tier and end.
    Deployed,
    /// Nothing runs there any more.
    Stopped,
    /// Its end is put off: by the job's `auto_stop_in`, else by that of the last deployment.
    PutOff,
    /// Its end is put off if the job says so.
    PutOffIfAsked,
}

/// What the success of a job with this action means.
pub const fn at_success(action: EnvironmentAction) -> AtSuccess {
    match action {
        EnvironmentAction::Start => AtSuccess::Deployed,
        EnvironmentAction::Stop => AtSuccess::Stopped,
        EnvironmentAction::Prepare | EnvironmentAction::Access => AtSuccess::PutOff,
        EnvironmentAction::Verify => AtSuccess::PutOffIfAsked,
    }
}

/// When an environment stops by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AutoStop {
    /// After so many seconds.
    After(u64),
    /// Never.
    Never,
}

/// Reads `auto_stop_in`; none if it is no duration.
pub fn auto_stop(text: &str) -> Option<AutoStop> {
    if text.trim().eq_ignore_ascii_case("never") {
        return Some(AutoStop::Never);
    }
    weir_compiler::duration::parse(text).map(AutoStop::After)
}

/// A deployment, as far as another one may have overtaken it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deployed<'a> {
    /// Its id: a later one is larger.
    pub id: DeploymentId,
    /// Its commit.
    pub sha: &'a str,
}

/// What a project says of jobs that would deploy something older than what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forward {
    /// `ci_forward_deployment_enabled`: they fail.
    pub enabled: bool,
    /// `ci_forward_deployment_rollback_allowed`: those that have deployed it already may do so again.
    pub rollback_allowed: bool,
}

/// Whether a deployment job with this status is outdated: `last`, the newest success in its environment, is of a
/// later deployment of another commit.
pub fn is_outdated(forward: Forward, job: JobStatus, own: Deployed<'_>, last: Option<Deployed<'_>>) -> bool {
    let incomplete = !crate::status::is_completed(job);
    forward.enabled
        && (!forward.rollback_allowed || incomplete)
        && last.is_some_and(|last| own.id < last.id && own.sha != last.sha)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Source of the cases: `spec/lib/gitlab/slug/environment_spec.rb`.
    #[test]
    fn a_slug_is_short_and_fit_for_host_names() {
        let same = |name: &str| (name.to_owned(), name.to_owned());
        let pair = |name: &str, slug: &str| (name.to_owned(), slug.to_owned());
        for (name, expected) in [
            pair("staging-12345678901234567", "staging-123456789-q517sa"),
            pair("9-staging-123456789012345", "env-9-staging-123-q517sa"),
            same("staging-1234567890123456"),
            pair("staging-1234567890123456-", "staging-123456789-q517sa"),
            same("production"),
            pair("PRODUCTION", "production-q517sa"),
            pair("review/1-foo", "review-1-foo-q517sa"),
            pair("1-foo", "env-1-foo-q517sa"),
            pair("1/foo", "env-1-foo-q517sa"),
            pair("foo-", "foo"),
            pair("foo--bar", "foo-bar-q517sa"),
            pair("foo**bar", "foo-bar-q517sa"),
            pair("*-foo", "env-foo-q517sa"),
            same("staging-12345678"),
            pair("staging-12345678-", "staging-12345678"),
            pair("staging-12345678-01234567", "staging-12345678-q517sa"),
            pair("", "env-q517sa"),
        ] {
            assert_eq!(slug(&name, &[0xaa; 32]), expected, "{name}");
        }
    }

    #[test]
    fn a_name_has_few_signs_and_no_slash_at_its_ends() {
        for (name, fits) in [
            ("review/$CI_COMMIT_REF_SLUG", true),
            ("a b_c.{d}", true),
            ("", false),
            ("/a", false),
            ("a/", false),
            ("a+b", false),
            ("ä", false),
        ] {
            assert_eq!(check_name(name).is_ok(), fits, "{name}");
        }
        assert!(check_name(&"a".repeat(255)).is_ok() && check_name(&"a".repeat(256)).is_err());
    }

    #[test]
    fn a_url_is_short_and_runs_no_script() {
        for url in ["https://a.example", "a.example/b", "", "ssh://git@a", "$URL", "datacenter.example:80"] {
            assert_eq!(check_url(url), Ok(()), "{url}");
        }
        assert_eq!(check_url("JavaScript:alert(1)").unwrap_err(), "javascript scheme is not allowed");
        assert!(check_url(&"a".repeat(256)).is_err());
    }

    #[test]
    fn the_folder_is_what_stands_before_the_first_slash() {
        for (name, expected) in [
            ("production", None),
            ("review/app", Some("review")),
            ("review/app/1", Some("review")),
            ("review/", None),
        ] {
            assert_eq!(folder(name), expected, "{name}");
        }
    }

    /// Source of the cases: `spec/models/environment_spec.rb`.
    #[test]
    fn the_name_gives_the_tier() {
        use EnvironmentTier::{Development, Other, Production, Staging, Testing};
        for (name, tier) in [
            ("review/feature", Development),
            ("dev", Development),
            ("TRUNK", Development),
            ("test", Testing),
            ("tst", Testing),
            ("integration", Testing),
            ("acceptance", Testing),
            ("acpt", Testing),
            ("qa", Testing),
            ("quality-control", Testing),
            ("gstg", Staging),
            ("staging", Staging),
            ("model", Staging),
            ("modl", Staging),
            ("pre-release", Staging),
            ("demo", Staging),
            ("non-production", Staging),
            ("gprd", Production),
            ("production", Production),
            ("LIVE", Production),
            ("customer-portal", Other),
        ] {
            assert_eq!(guess_tier(name), tier, "{name}");
        }
    }

    #[test]
    fn a_deployment_follows_its_job() {
        use DeploymentStatus as D;
        use JobStatus as J;
        for (job, expected) in [
            (J::Created, Some(D::Created)),
            (J::WaitingForResource, None),
            (J::Preparing, None),
            (J::Pending, None),
            (J::Scheduled, None),
            (J::Manual, Some(D::Blocked)),
            (J::Running, Some(D::Running)),
            (J::Canceling, None),
            (J::Success, Some(D::Success)),
            (J::Failed, Some(D::Failed)),
            (J::Canceled, Some(D::Canceled)),
            (J::Skipped, Some(D::Skipped)),
        ] {
            assert_eq!(deployment_status(job), expected, "{job}");
        }
        for (from, to, allowed) in [
            (D::Created, D::Running, true),
            (D::Blocked, D::Running, true),
            (D::Success, D::Running, false),
            (D::Created, D::Blocked, true),
            (D::Running, D::Blocked, false),
            (D::Skipped, D::Created, true),
            (D::Blocked, D::Created, false),
            (D::Created, D::Success, true),
            (D::Failed, D::Success, true),
            (D::Success, D::Success, false),
            (D::Success, D::Failed, true),
            (D::Running, D::Canceled, true),
            (D::Blocked, D::Skipped, true),
        ] {
            assert_eq!(may_become(from, to), allowed, "{from} {to}");
        }
    }

    #[test]
    fn only_start_deploys_and_only_stop_stops() {
        for (action, expected) in [
            (EnvironmentAction::Start, AtSuccess::Deployed),
            (EnvironmentAction::Stop, AtSuccess::Stopped),
            (EnvironmentAction::Prepare, AtSuccess::PutOff),
            (EnvironmentAction::Access, AtSuccess::PutOff),
            (EnvironmentAction::Verify, AtSuccess::PutOffIfAsked),
        ] {
            assert_eq!(at_success(action), expected, "{action}");
        }
    }

    #[test]
    fn auto_stop_in_is_a_duration_or_never() {
        for (text, expected) in [
            ("1 day", Some(AutoStop::After(86_400))),
            ("2h 30m", Some(AutoStop::After(9_000))),
            ("Never", Some(AutoStop::Never)),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(auto_stop(text), expected, "{text}");
        }
    }

    /// Source: `Ci::Deployable#has_outdated_deployment?`, `Deployment#older_than_last_successful_deployment?`.
    #[test]
    fn a_deployment_is_outdated_when_a_later_one_of_another_commit_succeeded() {
        let (on, off) = ((true, true), (false, true));
        let no_rollback = (true, false);
        let pending = JobStatus::Pending;
        for ((enabled, rollback_allowed), job, own, last, expected) in [
            (on, pending, (1, "a"), Some((2, "b")), true),
            (on, pending, (1, "a"), Some((2, "a")), false),
            (on, pending, (2, "a"), Some((2, "a")), false),
            (on, pending, (3, "a"), Some((2, "b")), false),
            (on, pending, (1, "a"), None, false),
            (off, pending, (1, "a"), Some((2, "b")), false),
            (on, JobStatus::Success, (1, "a"), Some((2, "b")), false),
            (no_rollback, JobStatus::Success, (1, "a"), Some((2, "b")), true),
            (no_rollback, pending, (1, "a"), Some((2, "b")), true),
        ] {
            let of = |(id, sha)| Deployed { id: DeploymentId(id), sha };
            let outdated = is_outdated(Forward { enabled, rollback_allowed }, job, of(own), last.map(of));
            assert_eq!(outdated, expected, "{enabled} {rollback_allowed} {job} {own:?} {last:?}");
        }
    }
}
