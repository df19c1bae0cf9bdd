//! Which runner may take which job, and in which order.
//!
//! Sources: `app/services/ci/register_job_service.rb`, `lib/gitlab/ci/matching/runner_matcher.rb`,
//! `app/models/ci/build.rb`.

use weir_api::id::JobId;
use weir_api::runner::{RunnerFeature, RunnerFeatures};
use weir_api::{FailureReason, RunnerType};
use weir_compiler::plan::{Action, AllowFailure, Job, Run};

/// What a runner accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepts<'a> {
    /// It takes no jobs for now.
    pub paused: bool,
    /// Its tags, each once.
    pub tags: &'a [String],
    /// Whether it takes jobs without tags.
    pub run_untagged: bool,
    /// Whether it takes only jobs of protected refs.
    pub protected_only: bool,
}

/// What a job asks of its runner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asks<'a> {
    /// Its tags, each once.
    pub tags: &'a [String],
    /// Whether its ref is protected.
    pub protected: bool,
}

/// Whether the runner may take the job; that the job's project is one of the runner's is for the caller to know.
pub fn may_run(runner: Accepts<'_>, job: Asks<'_>) -> bool {
    !runner.paused
        && (job.protected || !runner.protected_only)
        && (runner.run_untagged || !job.tags.is_empty())
        && job.tags.iter().all(|tag| runner.tags.contains(tag))
}

/// A job's place in the queue of a runner: smaller is earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    running: u64,
    job: JobId,
}

impl Place {
    /// The place of `job`, whose project has `running` jobs on instance runners. Those runners serve the project
    /// with the fewest first; the others go by age alone.
    pub const fn new(runner: RunnerType, running: u64, job: JobId) -> Self {
        match runner {
            RunnerType::Instance => Self { running, job },
            RunnerType::Group | RunnerType::Project => Self { running: 0, job },
        }
    }
}

/// The features without which a runner cannot do the job.
pub fn required_features(job: &Job, merge_request: bool) -> RunnerFeatures {
    let Action::Run(run) = &job.action else { return RunnerFeatures::default() };
    let Run { artifacts, cache, .. } = &**run;
    let by_exit_code = matches!(job.allow_failure, AllowFailure::ExitCodes(_))
        || job.retry.as_ref().is_some_and(|retry| !retry.exit_codes.is_empty());
    [
        (RunnerFeature::Refspecs, merge_request),
        (
            RunnerFeature::UploadMultipleArtifacts,
            artifacts.as_ref().is_some_and(|artifacts| !artifacts.reports.is_empty()),
        ),
        (
            RunnerFeature::ArtifactsExclude,
            artifacts.as_ref().is_some_and(|artifacts| !artifacts.exclude.is_empty()),
        ),
        (RunnerFeature::ReturnExitCode, by_exit_code),
        (RunnerFeature::FallbackCacheKeys, cache.iter().any(|cache| !cache.fallback_keys.is_empty())),
    ]
    .into_iter()
    .filter_map(|(feature, needed)| needed.then_some(feature))
    .collect()
}

/// What is looked at once more before a runner gets a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a check of its own")]
pub struct Assignment {
    /// Every artifact that the job depends on is there.
    pub dependencies_valid: bool,
    /// What the job needs of its runner.
    pub required: RunnerFeatures,
    /// What the runner can.
    pub offered: RunnerFeatures,
    /// The job is too old to run.
    pub archived: bool,
    /// The job's project is about to be deleted.
    pub project_deleted: bool,
    /// CI/CD is on for the project.
    pub builds_enabled: bool,
    /// The job's user is blocked.
    pub user_blocked: bool,
}

impl Assignment {
    /// Why the job fails instead of being handed out, if it does: the first check that fails.
    pub const fn refusal(&self) -> Option<FailureReason> {
        if !self.dependencies_valid {
            Some(FailureReason::MissingDependencyFailure)
        } else if !self.offered.covers(self.required) {
            Some(FailureReason::RunnerUnsupported)
        } else if self.archived {
            Some(FailureReason::ArchivedFailure)
        } else if self.project_deleted {
            Some(FailureReason::ProjectDeleted)
        } else if !self.builds_enabled {
            Some(FailureReason::BuildsDisabled)
        } else if self.user_blocked {
            Some(FailureReason::UserBlocked)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn a_runner_takes_jobs_by_tags_protection_and_whether_it_is_paused() {
        let any = Accepts { paused: false, tags: &[], run_untagged: true, protected_only: false };
        for (tags, run_untagged, wanted, may) in [
            ("", true, "", true),
            ("", true, "docker", false),
            ("docker", true, "", true),
            ("docker", false, "", false),
            ("docker", false, "docker", true),
            ("docker linux", false, "docker", true),
            ("docker", true, "docker linux", false),
            ("Docker", true, "docker", false),
        ] {
            let (tags, wanted) = (words(tags), words(wanted));
            let runner = Accepts { tags: &tags, run_untagged, ..any };
            let job = Asks { tags: &wanted, protected: false };
            assert_eq!(may_run(runner, job), may, "{tags:?} {run_untagged} {wanted:?}");
            assert!(!may_run(Accepts { paused: true, ..runner }, job));
        }
        for (protected_only, protected, may) in
            [(false, false, true), (false, true, true), (true, false, false), (true, true, true)]
        {
            let job = Asks { tags: &[], protected };
            assert_eq!(may_run(Accepts { protected_only, ..any }, job), may);
        }
    }

    #[test]
    fn instance_runners_serve_the_least_busy_project_first_and_the_others_go_by_age() {
        let order = |runner| {
            let mut places = [(2, 1), (0, 9), (0, 5)].map(|(busy, job)| Place::new(runner, busy, JobId(job)));
            places.sort_unstable();
            places.map(|place| place.job.0)
        };
        assert_eq!(order(RunnerType::Instance), [5, 9, 1]);
        assert_eq!(order(RunnerType::Group), [1, 5, 9]);
        assert_eq!(order(RunnerType::Project), [1, 5, 9]);
    }

    #[test]
    fn the_first_check_that_fails_names_the_reason() {
        let fine = Assignment {
            dependencies_valid: true,
            required: RunnerFeatures::default().with(RunnerFeature::Refspecs),
            offered: RunnerFeatures::all(),
            archived: false,
            project_deleted: false,
            builds_enabled: true,
            user_blocked: false,
        };
        assert_eq!(fine.refusal(), None);
        let mut wrong = Assignment { user_blocked: true, ..fine };
        assert_eq!(wrong.refusal(), Some(FailureReason::UserBlocked));
        wrong.builds_enabled = false;
        assert_eq!(wrong.refusal(), Some(FailureReason::BuildsDisabled));
        wrong.project_deleted = true;
        assert_eq!(wrong.refusal(), Some(FailureReason::ProjectDeleted));
        wrong.archived = true;
        assert_eq!(wrong.refusal(), Some(FailureReason::ArchivedFailure));
        wrong.offered = RunnerFeatures::all().without(RunnerFeature::Refspecs);
        assert_eq!(wrong.refusal(), Some(FailureReason::RunnerUnsupported));
        wrong.dependencies_valid = false;
        assert_eq!(wrong.refusal(), Some(FailureReason::MissingDependencyFailure));
    }
}
