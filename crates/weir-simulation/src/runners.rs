//! Runners: the good, those that hang or die, and those that say things twice, too late or of others' jobs.

use anyhow::{Context, Result, bail, ensure};
use weir_api::JobStatus::{Canceling, Pending, Running};
use weir_api::id::{JobId, NamespaceId, PipelineId, ProjectId, RunnerId};
use weir_api::runner::RunnerFeatures;
use weir_api::{FailureReason, RunnerType, Timestamp};
use weir_engine::{Event, JobIndex, Outcome};
use weir_store::{TokenDigest, runners};

use crate::plans::EXIT_CODE;
use crate::server::{Asking, Crash, Stop};
use crate::world::World;

/// A runner.
#[derive(Debug, Clone)]
pub(crate) struct Runner {
    pub(crate) row: runners::Runner,
    pub(crate) token: TokenDigest,
    pub(crate) features: RunnerFeatures,
    /// The project of a project runner.
    pub(crate) project: Option<ProjectId>,
    /// The group of a group runner.
    pub(crate) group: Option<NamespaceId>,
    /// How many jobs it runs at once.
    pub(crate) capacity: usize,
    /// When it last asked, by the server's clock.
    pub(crate) asked_at: Option<Timestamp>,
    /// It does not ask any more.
    pub(crate) dead: bool,
}

/// How a runner treats a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// It runs it, tells how it ended, and stops when it is told to.
    Sound,
    /// It tells how it ended twice.
    Twice,
    /// It says nothing until long after.
    Late,
    /// It is never heard of again.
    Silent,
}

/// A job on a runner, as the runner sees it.
#[derive(Debug, Clone)]
pub(crate) struct Execution {
    runner: usize,
    job: JobId,
    pipeline: PipelineId,
    index: JobIndex,
    token: TokenDigest,
    manner: Manner,
    /// When it ends, in true time.
    ends_at: i64,
    outcome: Outcome,
}

impl World {
    /// Whether some runner that asked in the last hour could take a job, by the server's clock: its asking is noted for
    /// two hours, to 40 minutes.
    pub(crate) fn is_served(&self, job: JobId) -> bool {
        let (from, to) = (self.now().plus_secs(-3_600), self.now());
        self.runners.iter().any(|runner| {
            runner.asked_at.is_some_and(|at| from <= at && at <= to)
                && self.may_serve(&Runner { dead: false, ..runner.clone() }, job)
        })
    }

    /// Whether a runner may take a job: the rule, without lanes and sets of tags.
    pub(crate) fn may_serve(&self, runner: &Runner, job: JobId) -> bool {
        let Some((pipeline, index)) = self.waiting.get(&job) else { return false };
        let Some(pipeline) = self.pipelines.get(pipeline) else { return false };
        let project = &self.projects[pipeline.project];
        let Some(definition) = crate::rules::definition(&pipeline.plan, pipeline.state.job(*index)) else {
            return false;
        };
        let (row, tags) = (&runner.row, &definition.tags);
        let in_scope = match row.runner_type {
            RunnerType::Instance => project.instance_runners,
            RunnerType::Group => {
                project.group_runners && runner.group.is_some_and(|group| project.namespaces.contains(&group))
            }
            RunnerType::Project => runner.project == Some(project.id),
        };
        let protected_only = row.access_level == weir_api::RunnerAccessLevel::RefProtected;
        in_scope
            && !runner.dead
            && !row.paused
            && (pipeline.protected || !protected_only)
            && (row.run_untagged || !tags.is_empty())
            && tags.iter().all(|tag| row.tags.contains(tag))
    }

    /// The job that a runner must get: of the project with the fewest running ones if it serves the instance, and
    /// then the oldest.
    fn next_for(&self, runner: &Runner) -> Option<JobId> {
        let able = self.waiting.iter().filter(|(job, _)| self.may_serve(runner, **job));
        let place = |job: &JobId, pipeline: &PipelineId| {
            let project = self.pipelines.get(pipeline).map_or(0, |it| it.project);
            let busy = if runner.row.runner_type == RunnerType::Instance { self.running[project] } else { 0 };
            (busy, *job)
        };
        able.map(|(job, (pipeline, _))| place(job, pipeline)).min().map(|(_, job)| job)
    }

    /// A runner asks for a job. Whether it should ask again at once.
    pub(crate) fn poll(&mut self, number: usize) -> Result<bool> {
        let runner = &self.runners[number];
        let busy = self.executions.iter().filter(|it| it.runner == number).count();
        if runner.dead || busy >= runner.capacity {
            return Ok(false);
        }
        let (row, features, expected) = (runner.row.clone(), runner.features, self.next_for(runner));
        self.tokens += 1;
        let (runner, token) = (runner.token, TokenDigest::of(&format!("job {}", self.tokens)));
        let complete = !self.random.percent(2);
        let (now, crash) = (self.now(), self.crash());
        self.tell(|_| format!("runner {number} asks"));
        self.runners[number].asked_at = Some(now);
        let taken = self.server.request(Asking { runner, features, token, complete }, now, crash);
        let (job, done) = match taken {
            Ok(None) => {
                ensure!(expected.is_none(), "the queue is empty for a runner that could take a job");
                return Ok(false);
            }
            Ok(Some(taken)) => taken,
            Err(Stop::Crashed) => {
                self.tell(|_| "  the transaction is cut off".to_owned());
                self.forget_sometimes();
                return Ok(true);
            }
            Err(stop) => bail!("a request for a job: {stop}"),
        };
        ensure!(expected == Some(job.id), "another job was the next one of this runner");
        if let Event::Picked { .. } = done.event {
            ensure!(self.picks.insert(job.id, row.id).is_none(), "a job was handed out twice");
            self.on_instance_runner.insert(job.id, row.runner_type == RunnerType::Instance);
        }
        let Event::Picked { timeout, .. } = done.event else {
            self.commit(done)?;
            return Ok(true);
        };
        self.commit(done)?;
        match self.random.below(100) {
            0..2 => self.tell(|_| "  the answer is lost".to_owned()),
            2..4 => {
                self.tell(|_| "  the payload cannot be made".to_owned());
                let outcome = Outcome::Failed { reason: FailureReason::SchedulerFailure, exit_code: None };
                let event = Event::Finished { job: job.index, outcome };
                let result = self.server.change(job.pipeline_id, event, now, Crash(None));
                self.settled(result, |_| false)?;
            }
            _ => self.begin(number, job.id, job.pipeline_id, job.index, token, timeout),
        }
        Ok(true)
    }

    /// A runner begins with a job.
    fn begin(
        &mut self,
        runner: usize,
        job: JobId,
        pipeline: PipelineId,
        index: JobIndex,
        token: TokenDigest,
        timeout: u64,
    ) {
        let random = &mut self.random;
        let manner = match random.below(100) {
            0..6 => Manner::Silent,
            6..12 => Manner::Late,
            12..20 => Manner::Twice,
            _ => Manner::Sound,
        };
        let limit = i64::try_from(timeout).unwrap_or(i64::MAX);
        let length = match random.below(10) {
            0 => random.between(600, 9_000),
            _ => random.between(1, 300),
        };
        let failed = |reason, exit_code| Outcome::Failed { reason, exit_code };
        let outcome = match random.below(20) {
            0..12 => Outcome::Success,
            12..15 => failed(FailureReason::ScriptFailure, Some(1)),
            15..17 => failed(FailureReason::ScriptFailure, Some(EXIT_CODE)),
            17 => failed(FailureReason::RunnerSystemFailure, None),
            18 => failed(FailureReason::ScriptFailure, Some(-1)),
            _ => failed(FailureReason::UnknownFailure, None),
        };
        // A runner keeps the timeout unless something is wrong with it.
        let (length, outcome) = match manner {
            Manner::Late => (random.between(1_800, 20_000), outcome),
            _ if length > limit => (limit, failed(FailureReason::JobExecutionTimeout, None)),
            _ => (length, outcome),
        };
        let ends_at = self.time + length;
        self.executions.push(Execution { runner, job, pipeline, index, token, manner, ends_at, outcome });
    }

    /// A job on a runner goes on: the runner says that it runs, or how it ended.
    pub(crate) fn go_on(&mut self, number: usize) -> Result<()> {
        let execution = self.executions[number].clone();
        if execution.manner == Manner::Silent {
            // It is gone, and so is its place on the runner, after a while.
            if self.random.percent(10) {
                self.executions.swap_remove(number);
            }
            return Ok(());
        }
        if self.random.percent(3) {
            return self.meddle(number);
        }
        let ended = self.time >= execution.ends_at;
        if !ended && execution.manner == Manner::Late {
            return Ok(());
        }
        let outcome = ended.then_some(execution.outcome);
        let accepted = self.report(&execution, outcome)?;
        let Some(accepted) = accepted else { return Ok(()) };
        let stops = !accepted
            || self
                .pipelines
                .get(&execution.pipeline)
                .is_none_or(|it| it.state.job(execution.index).status == Canceling);
        if ended {
            if execution.manner == Manner::Twice {
                let again = self.report(&execution, outcome)?;
                ensure!(again != Some(true), "a job ended twice");
            }
            // An answer may be lost on its way: then the runner says it again.
            if !self.random.percent(3) {
                self.executions.swap_remove(number);
            }
        } else if !accepted {
            self.executions.swap_remove(number);
        } else if stops {
            self.executions[number].ends_at = self.time + self.random.between(0, 30);
        }
        Ok(())
    }

    /// The job comes to its end now, unless its runner is lost.
    pub(crate) fn hurry(&mut self, number: usize) -> Result<()> {
        match self.executions[number].manner {
            Manner::Silent => {
                self.executions.swap_remove(number);
                Ok(())
            }
            Manner::Sound | Manner::Twice | Manner::Late => {
                self.executions[number].ends_at = self.time;
                self.go_on(number)
            }
        }
    }

    /// A runner says something of its job; whether it was accepted, if an answer came at all. Whether it is must
    /// depend on nothing but the job.
    fn report(&mut self, execution: &Execution, outcome: Option<Outcome>) -> Result<Option<bool>> {
        let job = self.pipelines.get(&execution.pipeline).map(|it| it.state.job(execution.index));
        let right = match job {
            None => Err(Stop::Forbidden),
            Some(job) if job.erased_at.is_some() => Err(Stop::Forbidden),
            Some(job) if matches!(job.status, Running | Canceling) => Ok(()),
            Some(job) => Err(Stop::Ended(job.status)),
        };
        self.tell(|_| format!("runner {} says {outcome:?}", execution.runner));
        let (now, crash) = (self.now(), self.crash());
        let result = self.server.update(execution.job, execution.token, outcome, now, crash);
        match (&result, &right) {
            (Err(Stop::Crashed), _) => {
                self.settled(result, |_| false)?;
                return Ok(None);
            }
            (Ok(_), Ok(())) => {}
            (Err(stop), Err(expected)) if stop == expected => {}
            _ => bail!("a runner's word was answered {:?}, not {right:?}", result.map(|_| ())),
        }
        let accepted = result.is_ok();
        self.settled(result, |_| true)?;
        Ok(Some(accepted))
    }

    /// A runner speaks of a job that is not its own.
    fn meddle(&mut self, number: usize) -> Result<()> {
        let execution = self.executions[number].clone();
        let other = self.random.index(self.executions.len()).map(|other| self.executions[other].job);
        let Some(other) = other.filter(|other| *other != execution.job) else { return Ok(()) };
        self.tell(|_| "a runner meddles with the job of another".to_owned());
        let outcome = Some(Outcome::Success);
        let now = self.now();
        let stop = self.server.update(other, execution.token, outcome, now, Crash(None)).err();
        ensure!(stop == Some(Stop::Forbidden), "a runner ended the job of another: {stop:?}");
        Ok(())
    }

    /// Somebody changes a runner: it rests, it dies, it begins anew, it has other tags.
    pub(crate) fn administer(&mut self) -> Result<()> {
        let number = self.random.index(self.runners.len()).context("there are no runners")?;
        match self.random.below(6) {
            0 => {
                self.tell(|_| format!("runner {number} dies"));
                self.runners[number].dead = true;
                for execution in self.executions.iter_mut().filter(|it| it.runner == number) {
                    execution.manner = Manner::Silent;
                }
                return Ok(());
            }
            1 => return self.begin_anew(number),
            2 | 3 => self.runners[number].row.paused ^= true,
            4 => self.runners[number].row.run_untagged ^= true,
            _ => {
                let tags = self.tags();
                self.runners[number].row.tags = tags;
            }
        }
        let row = self.runners[number].row.clone();
        self.tell(|_| format!("runner {number} is changed: paused {}, tags {:?}", row.paused, row.tags));
        self.server.write(move |tx| Ok(runners::update(tx, &row)?))?;
        Ok(())
    }

    /// A runner that the server itself runs starts anew and knows nothing of the jobs that it had.
    fn begin_anew(&mut self, number: usize) -> Result<()> {
        self.tell(|_| format!("runner {number} begins anew"));
        self.runners[number].dead = false;
        self.executions.retain(|it| it.runner != number);
        let (id, now) = (self.runners[number].row.id, self.now());
        for job in self.server.jobs_of(id)? {
            ensure!(self.picks.get(&job.id) == Some(&id), "a runner has a job that it was not given");
            let outcome = Outcome::Failed { reason: FailureReason::RunnerSystemFailure, exit_code: None };
            let event = Event::Finished { job: job.index, outcome };
            let crash = self.crash();
            let result = self.server.change(job.pipeline_id, event, now, crash);
            self.settled(result, |_| false)?;
        }
        Ok(())
    }

    /// Whether a row waits for a runner.
    pub(crate) fn is_queued(job: &weir_engine::JobState) -> bool {
        job.status == Pending && !job.is_bridge()
    }

    /// The runner that was given a job.
    pub(crate) fn picked_by(&self, job: JobId) -> Option<RunnerId> {
        self.picks.get(&job).copied()
    }
}
