//! The state of a new pipeline.

use weir_api::{JobStatus, Timestamp};
use weir_compiler::plan::{self, Action, AllowFailure, Plan, Scheduling};

use crate::state::{JobKind, JobState, PipelineState, StageState};

/// The state of a pipeline with these jobs, all of them created. [`crate::Event::Created`] decides the first.
///
/// A job's place in [`PipelineState::jobs`] is its place in [`Plan::jobs`].
pub fn create(plan: &Plan, now: Timestamp) -> PipelineState {
    PipelineState {
        status: JobStatus::Created,
        stages: plan
            .stages
            .iter()
            .map(|name| StageState { name: name.clone(), status: JobStatus::Created })
            .collect(),
        jobs: plan.jobs.iter().map(|job| row(job, now)).collect::<Vec<_>>().into(),
        cancel_on_job_failure: plan.auto_cancel.on_job_failure_all,
        started_at: None,
        finished_at: None,
        duration: None,
    }
}

fn row(job: &plan::Job, now: Timestamp) -> JobState {
    JobState {
        name: job.name.clone(),
        stage: u32::try_from(job.stage).unwrap_or(u32::MAX),
        kind: match job.action {
            Action::Run(_) => JobKind::Build,
            Action::Trigger(_) => JobKind::Bridge,
        },
        status: JobStatus::Created,
        retried: false,
        retry_of: None,
        when: job.when,
        start_in: job.start_in,
        allow_failure: job.allow_failure == AllowFailure::Yes,
        allow_failure_exit_codes: match &job.allow_failure {
            AllowFailure::ExitCodes(codes) => codes.clone(),
            AllowFailure::Yes | AllowFailure::No => Vec::new(),
        },
        needs: match &job.scheduling {
            Scheduling::Stage => None,
            Scheduling::Needs(needs) => Some(needs.iter().map(|need| need.job.clone()).collect()),
        },
        retry: job.retry.clone(),
        interruptible: job.interruptible,
        resource_group: job.resource_group.clone(),
        environment: job.environment.as_ref().map(|environment| environment.action),
        enqueue_immediately: false,
        cancel_gracefully: false,
        failure_reason: None,
        exit_code: None,
        timeout: None,
        scheduled_at: None,
        created_at: now,
        queued_at: None,
        started_at: None,
        finished_at: None,
        updated_at: now,
        erased_at: None,
    }
}
