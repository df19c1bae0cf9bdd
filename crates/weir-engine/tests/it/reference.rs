//! The rules once more, as plainly as they can be written: each decision looks at every row. What the engine
//! makes of a pipeline must be what this makes of it.

use weir_api::JobStatus::{self, Canceled, Canceling, Created, Failed, Manual, Pending};
use weir_api::JobStatus::{Running, Scheduled, Skipped, Success, WaitingForResource};
use weir_api::Timestamp;
use weir_compiler::plan::{Strategy, When};
use weir_engine::status::{is_active, is_cancelable, is_completed};
use weir_engine::{Event, JobIndex, JobState, Outcome, PipelineState};

/// A pipeline as a list of rows and two kinds of sums over it.
pub(crate) struct Reference {
    rows: Vec<JobState>,
    stages: Vec<JobStatus>,
    status: JobStatus,
    cancel_on_job_failure: bool,
    now: Timestamp,
}

impl Reference {
    pub(crate) fn of(state: &PipelineState, now: Timestamp) -> Self {
        Self {
            rows: state.jobs.to_vec(),
            stages: state.stages.iter().map(|stage| stage.status).collect(),
            status: state.status,
            cancel_on_job_failure: state.cancel_on_job_failure,
            now,
        }
    }

    /// Compares all that the rules decide.
    pub(crate) fn assert_is(&self, state: &PipelineState) {
        let decided = |row: &JobState| {
            (row.status, row.retried, row.retry_of, row.allow_failure, row.enqueue_immediately)
        };
        let of = |rows: &[JobState]| rows.iter().map(decided).collect::<Vec<_>>();
        assert_eq!(of(&state.jobs), of(&self.rows));
        let stages: Vec<JobStatus> = state.stages.iter().map(|stage| stage.status).collect();
        assert_eq!(stages, self.stages);
        assert_eq!(state.status, self.status);
    }

    /// Applies an event, and decides; `false` if it is refused.
    pub(crate) fn apply(&mut self, event: Event) -> bool {
        let applied = self.change(event).is_some();
        if applied {
            self.decide();
        }
        applied
    }

    fn change(&mut self, event: Event) -> Option<()> {
        let allowed = |allowed: bool| allowed.then_some(());
        match event {
            Event::Created => {}
            Event::Picked { job, cancel_gracefully, .. } => {
                let row = self.row(job);
                allowed(row.status == Pending && !row.is_bridge())?;
                row.cancel_gracefully = cancel_gracefully;
                row.status = Running;
            }
            Event::Finished { job, outcome } => self.finish(job, outcome)?,
            Event::Cancel { job, force: true } => {
                allowed(self.row(job).status == Canceling)?;
                self.row(job).status = Canceled;
            }
            Event::Cancel { job, force: false } => {
                let status = self.row(job).status;
                allowed(status == Created || is_active(status))?;
                stop(self.row(job));
            }
            Event::CancelPipeline { .. } => self.cancelable().for_each(stop),
            Event::CancelInterruptible => self.cancelable().filter(|row| row.interruptible).for_each(stop),
            Event::DropPipeline { .. } => self.cancelable().for_each(|row| row.status = Failed),
            Event::Retry { job } => {
                allowed(is_retryable(self.row(job)))?;
                self.retry(job);
            }
            Event::RetryPipeline => {
                for place in 0..self.rows.len() {
                    let row = &mut self.rows[place];
                    if row.status == Skipped && !row.retried {
                        row.status = Created;
                    } else if is_retryable(row) && row.status != Success && !row.is_bridge() {
                        self.repeat(JobIndex(u32::try_from(place).unwrap()), false);
                    }
                }
            }
            Event::Play { job } => {
                let row = self.row(job);
                let waits = row.status == Manual || row.status == Scheduled && !row.is_bridge();
                let again = is_actionable(row) && !row.is_bridge() && is_retryable(row);
                allowed(if row.is_bridge() {
                    row.when == When::Manual && waits
                } else {
                    is_actionable(row) && waits || again
                })?;
                if waits {
                    enqueue(row);
                    self.reset_dependents(job);
                } else {
                    self.retry(job);
                }
            }
            Event::Unschedule { job } => {
                allowed(self.row(job).status == Scheduled)?;
                self.row(job).status = Manual;
            }
            Event::Due { job } => {
                let now = self.now;
                let row = self.row(job);
                allowed(row.status == Scheduled && row.scheduled_at.is_none_or(|at| at <= now))?;
                enqueue(row);
            }
            Event::Enqueue { job } => {
                let row = self.row(job);
                allowed(matches!(row.status, Created | Skipped | Manual | Scheduled))?;
                enqueue(row);
            }
            Event::ResourceGranted { job } => {
                allowed(self.row(job).status == WaitingForResource)?;
                self.row(job).status = Pending;
            }
            Event::DownstreamCreated { job, strategy } => {
                let row = self.row(job);
                allowed(row.is_bridge() && row.status == Pending)?;
                row.status = if strategy.is_some() { Running } else { Success };
            }
            Event::DownstreamStatus { job, status, strategy } => {
                let row = self.row(job);
                allowed(row.is_bridge())?;
                match (status, strategy) {
                    (Success | Failed | Canceled, _) | (Skipped | Manual, Strategy::Mirror) => {
                        row.status = status;
                    }
                    (Skipped, Strategy::Depend) => row.status = Failed,
                    _ => {}
                }
            }
            Event::DownstreamRestarted { job } => {
                let row = self.row(job);
                allowed(row.is_bridge() && !row.retried)?;
                if !matches!(row.status, Pending | WaitingForResource) {
                    enqueue(row);
                    self.reset_dependents(job);
                }
            }
            Event::Alive { .. } | Event::Erase { .. } => panic!("{event:?} changes no status"),
            Event::Rerun { .. } => panic!("{event:?} is none of GitLab's rules"),
        }
        Some(())
    }

    fn row(&mut self, job: JobIndex) -> &mut JobState {
        &mut self.rows[job.0 as usize]
    }

    fn cancelable(&mut self) -> impl Iterator<Item = &mut JobState> {
        self.rows.iter_mut().filter(|row| is_cancelable(row.status))
    }

    fn finish(&mut self, job: JobIndex, outcome: Outcome) -> Option<()> {
        let row = self.row(job);
        let bridge = row.is_bridge();
        let unfinished = is_active(row.status) || row.status == Created;
        row.status = match outcome {
            _ if row.status == Canceling => Canceled,
            Outcome::Success if unfinished || bridge => Success,
            Outcome::Failed { .. } if unfinished || bridge || matches!(row.status, Manual | Scheduled) => {
                let again = row.status == Failed;
                row.status = Failed;
                if again {
                    return Some(());
                }
                self.fail(job, outcome);
                return Some(());
            }
            _ => return None,
        };
        Some(())
    }

    fn fail(&mut self, job: JobIndex, outcome: Outcome) {
        let row = self.row(job);
        if let Outcome::Failed { exit_code: Some(code), .. } = outcome {
            row.allow_failure |= row.allow_failure_exit_codes.contains(&code);
        }
        let row = row.clone();
        let attempts = self.rows.iter().filter(|other| other.retried && other.name == row.name).count();
        let repeats = row.retry.as_ref().map_or(0, |retry| usize::from(retry.max));
        if attempts < repeats && !row.is_bridge() && !row.retried {
            self.retry(job);
        } else if self.cancel_on_job_failure && !row.allow_failure && !row.retried {
            self.cancelable().for_each(stop);
        }
    }

    fn retry(&mut self, job: JobIndex) {
        let immediately = is_actionable(self.row(job));
        self.repeat(job, immediately);
        self.reset_dependents(job);
    }

    fn repeat(&mut self, job: JobIndex, enqueue_immediately: bool) {
        let old = self.row(job);
        old.retried = true;
        let new = JobState {
            status: Created,
            retried: false,
            retry_of: Some(job),
            enqueue_immediately,
            cancel_gracefully: false,
            ..old.clone()
        };
        self.rows.push(new);
    }

    /// Skipped jobs of later stages, and those of the same one that need the job, however far.
    fn reset_dependents(&mut self, job: JobIndex) {
        let JobState { stage, name, .. } = self.row(job).clone();
        let mut names = vec![name];
        loop {
            let needs = |row: &JobState| row.needs.iter().flatten().any(|need| names.contains(need));
            let more = self
                .rows
                .iter()
                .find(|row| row.stage == stage && !row.retried && needs(row) && !names.contains(&row.name));
            let Some(more) = more else { break };
            names.push(more.name.clone());
        }
        for row in self.rows.iter_mut().filter(|row| row.status == Skipped && !row.retried) {
            if row.stage > stage || names.contains(&row.name) {
                row.status = Created;
            }
        }
    }

    /// Section by section: decides the created jobs of each stage until none can be, and sums up.
    fn decide(&mut self) {
        for stage in 0..u32::try_from(self.stages.len()).unwrap() {
            while let Some(place) = self.rows.iter().position(|row| {
                row.stage == stage
                    && row.status == Created
                    && !row.retried
                    && is_completed(previous(&self.rows, row))
            }) {
                self.rows[place].status = verdict(&self.rows[place], previous(&self.rows, &self.rows[place]));
            }
            let jobs: Vec<&JobState> = latest(&self.rows).filter(|row| row.stage == stage).collect();
            let current = &mut self.stages[stage as usize];
            match composite(&jobs, false) {
                Created => {}
                Canceling if *current == Canceled => {}
                computed => *current = computed,
            }
        }
        self.status = match (composite(&latest(&self.rows).collect::<Vec<_>>(), false), self.status) {
            (Created, current) | (Canceling, current @ Canceled) | (Pending, current @ Running) => current,
            (Pending, Success | Failed | Canceling | Canceled) => Running,
            (computed, _) => computed,
        };
    }
}

fn stop(row: &mut JobState) {
    row.status = if row.status == Running && row.cancel_gracefully { Canceling } else { Canceled };
}

fn enqueue(row: &mut JobState) {
    row.status = if row.resource_group.is_some() { WaitingForResource } else { Pending };
}

fn is_actionable(row: &JobState) -> bool {
    matches!(row.when, When::Manual | When::Delayed)
}

fn is_retryable(row: &JobState) -> bool {
    !row.retried && matches!(row.status, Success | Failed | Canceled | Canceling)
}

pub(crate) fn latest(rows: &[JobState]) -> impl Iterator<Item = &JobState> {
    rows.iter().filter(|row| !row.retried)
}

/// The composite rule, word for word.
pub(crate) fn composite(jobs: &[&JobState], of_needs: bool) -> JobStatus {
    let words: Vec<&str> = jobs
        .iter()
        .map(|job| match (job.status.as_str(), job.allow_failure) {
            ("failed" | "canceled", true) => "warn",
            ("manual", true) => "ignored",
            (word, _) => word,
        })
        .collect();
    let any = |some: &[&str]| words.iter().any(|word| some.contains(word));
    let only = |some: &[&str]| words.iter().all(|word| some.contains(word));
    let word = match () {
        () if words.is_empty() => "success",
        () if of_needs && any(&["skipped", "ignored"]) => "skipped",
        () if only(&["skipped", "ignored"]) => "skipped",
        () if only(&["success", "skipped", "warn", "ignored"]) => "success",
        () if only(&["created", "warn", "ignored"]) => "created",
        () if only(&["preparing", "warn", "ignored"]) => "preparing",
        () if only(&["canceled", "success", "skipped", "warn", "ignored"]) => "canceled",
        () if only(&["pending", "created", "skipped", "warn", "ignored"]) => "pending",
        () if any(&["running", "pending"]) => "running",
        () if any(&["waiting_for_resource"]) => "waiting_for_resource",
        () if any(&["waiting_for_callback"]) => "waiting_for_callback",
        () if any(&["manual"]) => "manual",
        () if any(&["scheduled"]) => "scheduled",
        () if any(&["preparing"]) => "preparing",
        () if any(&["created"]) => "running",
        () if any(&["canceling"]) => "canceling",
        () => "failed",
    };
    word.parse().unwrap()
}

/// What the jobs before `job` have come to.
pub(crate) fn previous(rows: &[JobState], job: &JobState) -> JobStatus {
    match &job.needs {
        None => composite(&latest(rows).filter(|other| other.stage < job.stage).collect::<Vec<_>>(), false),
        Some(needs) => {
            composite(&latest(rows).filter(|other| needs.contains(&other.name)).collect::<Vec<_>>(), true)
        }
    }
}

/// What a created job becomes.
pub(crate) fn verdict(job: &JobState, previous: JobStatus) -> JobStatus {
    let accepted: &[&str] = match (job.when, &job.needs) {
        (When::OnFailure, _) => &["failed"],
        (When::Always, _) => &["success", "skipped", "failed"],
        (_, Some(_)) => &["success"],
        (_, None) => &["success", "skipped"],
    };
    let waits = !job.enqueue_immediately;
    match job.when {
        _ if !accepted.contains(&previous.as_str()) => Skipped,
        When::Delayed if waits && !job.is_bridge() && job.start_in.is_some() => Scheduled,
        When::Delayed if waits && !job.is_bridge() => Manual,
        When::Manual if waits => Manual,
        _ if job.resource_group.is_some() => WaitingForResource,
        _ => Pending,
    }
}
