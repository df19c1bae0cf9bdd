//! Jobs that other systems run: they join a pipeline by reporting a status, and move it by reporting others.
//!
//! The pipeline counts their statuses like any other's. It neither starts nor retries them; when it is canceled, they
//! are. Sources: `app/services/ci/create_commit_status_service.rb`, `app/services/ci/pipelines/add_job_service.rb`,
//! `app/models/generic_commit_status.rb`, the state machine of `app/models/commit_status.rb`.

use weir_api::JobStatus::{self, Canceled, Created, Failed, Pending, Running, Skipped, Success};
use weir_api::{FailureReason, Timestamp};
use weir_compiler::plan::When;

use crate::effect::Changes;
use crate::event::Refused;
use crate::state::{JobIndex, JobKind, JobState, PipelineState};
use crate::step::Step;

/// The stage of external jobs; it comes last.
pub const STAGE: &str = "external";

/// What another system says of one of its jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    /// It waits.
    Pending,
    /// It runs.
    Running,
    /// It ended well.
    Success,
    /// It ended badly.
    Failed,
    /// It was canceled.
    Canceled,
    /// It was left out.
    Skipped,
}

impl Report {
    /// GitLab's name of the change, for refusals, and the statuses from which it is possible.
    const fn transition(self) -> (&'static str, &'static [JobStatus]) {
        match self {
            Self::Pending => ("enqueue", &[Created]),
            Self::Running => ("run", &[Created, Pending]),
            Self::Success => ("success", &[Created, Pending, Running]),
            Self::Failed => ("drop", &[Created, Pending, Running]),
            Self::Canceled => ("cancel", &[Created, Pending, Running]),
            Self::Skipped => ("skip", &[Created, Pending]),
        }
    }
}

/// Moves the external job `update` or, if it is none, adds a row of this name and moves that; rows of the same name
/// are earlier attempts of it then. Gives the row.
///
/// # Errors
/// The status does not follow on the one that the job has; the state is as before.
pub fn report(
    state: &mut PipelineState,
    name: &str,
    update: Option<JobIndex>,
    report: Report,
    now: Timestamp,
) -> Result<(JobIndex, Changes), Refused> {
    let mut step = Step::new(state, now);
    let (event, possible) = report.transition();
    let job = match update {
        Some(job) => {
            let from = step.find(job)?.status;
            if !possible.contains(&from) {
                return Err(Refused::Reported { event, from });
            }
            job
        }
        None => append(&mut step, name),
    };
    match report {
        Report::Pending => step.transition(job, Pending),
        Report::Running => {
            step.transition(job, Pending);
            step.transition(job, Running);
        }
        Report::Success => step.transition(job, Success),
        Report::Failed => {
            step.edit(job, |row| row.failure_reason = Some(FailureReason::ApiFailure));
            step.transition(job, Failed);
        }
        Report::Canceled => step.transition(job, Canceled),
        Report::Skipped => step.transition(job, Skipped),
    }
    Ok((job, step.finish()))
}

fn append(step: &mut Step<'_>, name: &str) -> JobIndex {
    let earlier: Vec<JobIndex> =
        step.state().latest().filter(|(_, job)| job.name == name).map(|(index, _)| index).collect();
    for job in &earlier {
        step.edit(*job, |row| row.retried = true);
    }
    let (stage, now) = (step.stage(STAGE), step.now());
    step.append(JobState {
        name: name.to_owned(),
        stage,
        kind: JobKind::External,
        status: Created,
        retried: false,
        retry_of: earlier.last().copied(),
        when: When::OnSuccess,
        start_in: None,
        allow_failure: false,
        allow_failure_exit_codes: Vec::new(),
        needs: None,
        retry: None,
        interruptible: false,
        resource_group: None,
        environment: None,
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
    })
}
