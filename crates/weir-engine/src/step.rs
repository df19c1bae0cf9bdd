//! One application of an event: the state, and what has changed in it so far.

use weir_api::JobStatus::{Canceled, Created, Failed, Manual, Pending, Preparing, Running, Success};
use weir_api::{JobStatus, Timestamp};

use crate::effect::{Changes, Effect};
use crate::event::Refused;
use crate::process;
use crate::state::{JobIndex, JobKind, JobState, PipelineState, StageState};
use crate::status;

/// Every change of a state goes through here, so that none escapes [`Changes`]. Whoever uses it asks first
/// whether the event is allowed: there is no way back.
pub(crate) struct Step<'a> {
    state: &'a mut PipelineState,
    now: Timestamp,
    changes: Changes,
    /// Whether a status changed, so that other jobs may have to be decided.
    dirty: bool,
}

impl<'a> Step<'a> {
    pub(crate) fn new(state: &'a mut PipelineState, now: Timestamp) -> Self {
        Self { state, now, changes: Changes::default(), dirty: false }
    }

    pub(crate) const fn state(&self) -> &PipelineState {
        self.state
    }

    pub(crate) const fn now(&self) -> Timestamp {
        self.now
    }

    /// The row, if there is one.
    pub(crate) fn find(&self, job: JobIndex) -> Result<&JobState, Refused> {
        self.state.jobs.get(job.0 as usize).ok_or(Refused::NoSuchJob)
    }

    /// Changes what is no status.
    pub(crate) fn edit(&mut self, job: JobIndex, change: impl FnOnce(&mut JobState)) {
        self.changes.jobs.push(job);
        self.state.jobs.change(job, change);
    }

    /// Adds a row.
    pub(crate) fn append(&mut self, row: JobState) -> JobIndex {
        let environment = row.environment;
        let job = self.state.jobs.push(row);
        self.changes.jobs.push(job);
        if let Some(action) = environment {
            self.effect(Effect::Environment { job, action, status: Created });
        }
        self.dirty = true;
        job
    }

    /// The stage of this name, added behind all others if there is none.
    pub(crate) fn stage(&mut self, name: &str) -> u32 {
        let found = self.state.stages.iter().position(|stage| stage.name == name);
        let stage = u32::try_from(found.unwrap_or(self.state.stages.len())).unwrap_or(u32::MAX);
        if found.is_none() {
            self.state.stages.push(StageState { name: name.to_owned(), status: Created });
            self.changes.stages.push(stage);
        }
        stage
    }

    /// Asks for an effect.
    pub(crate) fn effect(&mut self, effect: Effect) {
        self.changes.effects.push(effect);
    }

    /// Asks for the other jobs to be decided even if no status changed.
    pub(crate) const fn decide(&mut self) {
        self.dirty = true;
    }

    /// Writes a job's status, with all that follows from it. The only place that does.
    ///
    /// Source: the state machines of `app/models/commit_status.rb` and `app/models/ci/build.rb`.
    pub(crate) fn transition(&mut self, job: JobIndex, to: JobStatus) {
        let now = self.now;
        let from = self.state.job(job).status;
        if from == to {
            return;
        }
        self.state.jobs.change(job, |row| {
            row.status = to;
            row.updated_at = now;
            if from == JobStatus::Scheduled {
                row.scheduled_at = None;
            }
            match to {
                Pending => row.queued_at = Some(now),
                Running if matches!(from, Created | Preparing | Pending) => row.started_at = Some(now),
                Success | Failed | Canceled => row.finished_at = Some(now),
                _ => {}
            }
        });
        let row = self.state.job(job);
        let kind = row.kind;
        let has_group = row.resource_group.is_some();
        let environment = row.environment;
        self.changes.jobs.push(job);
        self.dirty = true;
        self.effect(Effect::JobStatus { job, from, to });
        if let Some(action) = environment {
            self.effect(Effect::Environment { job, action, status: to });
        }
        // A manual job gives up its turn, for nobody knows when it will want it.
        if has_group && (status::is_completed(to) || to == Manual) {
            self.effect(Effect::ReleaseResource(job));
        }
        match (kind, from, to) {
            (JobKind::Build, Pending, _) => self.effect(Effect::Dequeue(job)),
            (JobKind::Build, _, Pending) => self.effect(Effect::Enqueue(job)),
            // A bridge whose downstream goes on comes here from its end, and has its downstream.
            (JobKind::Bridge, Created | Manual | JobStatus::WaitingForResource, Pending) => {
                self.effect(Effect::TriggerDownstream(job));
            }
            _ => {}
        }
    }

    /// Decides what the changes have made decidable, and hands out everything that changed.
    pub(crate) fn finish(mut self) -> Changes {
        if self.dirty {
            process::run(&mut self);
        }
        self.changes.jobs.sort_unstable();
        self.changes.jobs.dedup();
        self.changes
    }

    /// Stores the status that a stage's jobs make up.
    pub(crate) fn write_stage(&mut self, stage: u32, computed: JobStatus) {
        let row = &mut self.state.stages[stage as usize];
        let to = status::of_stage(row.status, computed);
        if row.status != to {
            row.status = to;
            self.changes.stages.push(stage);
        }
    }

    /// Stores the status that all jobs make up, and the pipeline's times.
    pub(crate) fn write_pipeline(&mut self, computed: JobStatus) {
        let from = self.state.status;
        let to = status::of_pipeline(from, computed);
        if from == to {
            return;
        }
        self.state.status = to;
        self.changes.pipeline = true;
        if to == Running
            && matches!(from, Created | JobStatus::WaitingForResource | Preparing | Pending)
            && self.state.started_at.is_none()
        {
            self.state.started_at = Some(self.now);
        }
        if status::is_finished(to) {
            self.state.finished_at = Some(self.now);
        }
        if status::is_finished(to) || to == Manual {
            self.state.duration = self.state.started_at.map(|_| busy_seconds(self.state, self.now));
        }
        self.effect(Effect::PipelineStatus { from, to });
    }
}

/// How long at least one job ran: the union of the intervals, so that neither parallel jobs count twice nor
/// pauses at all. Only the newest attempts count. Source: `lib/gitlab/ci/pipeline/duration.rb`.
fn busy_seconds(state: &PipelineState, now: Timestamp) -> f64 {
    let mut intervals: Vec<(Timestamp, Timestamp)> = state
        .latest()
        .filter(|(_, job)| job.is_build() && matches!(job.status, Success | Failed | Running | Canceled))
        .filter_map(|(_, job)| Some((job.started_at?, job.finished_at.unwrap_or(now))))
        .collect();
    intervals.sort_unstable();
    let mut micros = 0;
    let mut busy_until = Timestamp::from_micros(i64::MIN);
    for (start, end) in intervals {
        let start = start.max(busy_until);
        if end > start {
            micros += end.as_micros() - start.as_micros();
            busy_until = end;
        }
    }
    Timestamp::from_micros(micros).secs_since(Timestamp::from_micros(0))
}
