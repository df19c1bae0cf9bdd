//! The world of one seed: what is there, what happens next, and what must hold.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::rc::Rc;

use anyhow::{Context, Result, bail, ensure};
use weir_api::JobStatus::{self, Canceling, Pending, Running};
use weir_api::id::{JobId, NamespaceId, PipelineId, ProjectId, RunnerId};
use weir_api::{FailureReason, Timestamp};
use weir_compiler::Plan;
use weir_engine::{Effect, Event, JobIndex, JobState, Outcome, PipelineState};

use crate::place::Place;
use crate::random::Random;
use crate::rules;
use crate::runners::{Execution, Runner};
use crate::server::{Crash, Done, Server, Stop};

/// How large a world is and how long it lives.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// Projects.
    pub projects: u64,
    /// Runners.
    pub runners: u64,
    /// Jobs of the largest pipeline.
    pub jobs: u64,
    /// Things that happen before the world is left to come to rest.
    pub steps: u64,
    /// Everything that is stored is compared after so many steps.
    pub audit_every: u64,
}

impl Scale {
    /// A world that lives for some milliseconds.
    pub const SHORT: Self = Self { projects: 2, runners: 4, jobs: 8, steps: 60, audit_every: 20 };
    /// A world with thousands of everything.
    pub const LONG: Self = Self { projects: 1000, runners: 400, jobs: 20, steps: 60_000, audit_every: 5_000 };
}

/// The last events that are told when something is wrong.
const TOLD: usize = 20;

/// A project, as far as the queue is concerned.
#[derive(Debug, Clone)]
pub(crate) struct Project {
    pub(crate) id: ProjectId,
    /// The namespaces that it is in.
    pub(crate) namespaces: Vec<NamespaceId>,
    pub(crate) instance_runners: bool,
    pub(crate) group_runners: bool,
}

/// A pipeline as it must be, by all that has committed.
#[derive(Debug)]
pub(crate) struct Pipeline {
    pub(crate) project: usize,
    pub(crate) protected: bool,
    pub(crate) plan: Plan,
    pub(crate) state: PipelineState,
    pub(crate) ids: Vec<JobId>,
    pub(crate) events: Vec<(Event, Timestamp)>,
    /// The bridge that started it.
    pub(crate) upstream: Option<(PipelineId, JobIndex)>,
    /// How many ancestors it has.
    pub(crate) depth: u64,
}

/// Everything of one seed.
pub(crate) struct World {
    pub(crate) random: Random,
    pub(crate) scale: Scale,
    pub(crate) server: Server,
    pub(crate) place: Rc<Place>,
    /// True time, in seconds.
    pub(crate) time: i64,
    /// By how much the server's clock is wrong, in seconds.
    pub(crate) skew: i64,
    pub(crate) projects: Vec<Project>,
    pub(crate) runners: Vec<Runner>,
    pub(crate) pipelines: BTreeMap<PipelineId, Pipeline>,
    /// The pipelines in order of creation, deleted ones included.
    pub(crate) order: Vec<PipelineId>,
    pub(crate) executions: Vec<Execution>,
    /// Who was given each job. Nobody else ever is.
    pub(crate) picks: HashMap<JobId, RunnerId>,
    /// Builds that wait for a runner, in the order of their ids, with their pipelines.
    pub(crate) waiting: BTreeMap<JobId, (PipelineId, JobIndex)>,
    /// How many jobs of each project run on instance runners.
    pub(crate) running: Vec<u64>,
    pub(crate) on_instance_runner: HashMap<JobId, bool>,
    /// The jobs that last got the resource of a project's group.
    pub(crate) holders: BTreeMap<(usize, String), (PipelineId, JobIndex)>,
    /// Whether the outbox may hold something.
    pub(crate) tasks: bool,
    pub(crate) tokens: u64,
    pub(crate) commits: u64,
    pub(crate) step: u64,
    pub(crate) journal: Journal,
}

/// What has happened.
pub(crate) struct Journal {
    pub(crate) verbose: bool,
    last: VecDeque<String>,
    /// A digest of all of it, to see that a seed leads to one world only.
    pub(crate) digest: u64,
    pub(crate) events: u64,
}

impl Journal {
    pub(crate) const fn new(verbose: bool) -> Self {
        Self { verbose, last: VecDeque::new(), digest: 0xCBF2_9CE4_8422_2325, events: 0 }
    }

    fn tell(&mut self, line: String) {
        for byte in line.bytes() {
            self.digest = (self.digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        }
        if self.verbose {
            println!("{line}");
        }
        if self.last.len() == TOLD {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }

    pub(crate) fn last(&self) -> impl Iterator<Item = &String> {
        self.last.iter()
    }
}

impl World {
    /// The server's time.
    pub(crate) const fn now(&self) -> Timestamp {
        Timestamp::from_micros(1_767_600_000_000_000).plus_secs(self.time + self.skew)
    }

    /// Notes what happens.
    pub(crate) fn tell(&mut self, what: impl FnOnce(&Self) -> String) {
        let line = format!("step {:>5}  {}  {}", self.step, self.now(), what(self));
        self.journal.tell(line);
    }

    /// The name of a pipeline that does not depend on ids.
    pub(crate) fn name(&self, id: PipelineId) -> String {
        match self.order.iter().rposition(|it| *it == id) {
            Some(place) => format!("pipeline {place}"),
            None => "an unknown pipeline".to_owned(),
        }
    }

    /// Where the next transaction is cut off: mostly nowhere.
    pub(crate) fn crash(&mut self) -> Crash {
        if self.random.percent(5) { Crash(Some(self.random.below(4))) } else { Crash(None) }
    }

    /// What became of a transaction that changes one pipeline. A crash is part of life, and everything else that
    /// the caller does not expect is an error.
    pub(crate) fn settled(
        &mut self,
        result: Result<Done, Stop>,
        expected: impl FnOnce(&Stop) -> bool,
    ) -> Result<Option<JobStatus>> {
        match result {
            Ok(done) => self.commit(done).map(Some),
            Err(Stop::Crashed) => {
                self.tell(|_| "  the transaction is cut off".to_owned());
                self.forget_sometimes();
                Ok(None)
            }
            Err(stop) if expected(&stop) => {
                self.tell(|_| format!("  {stop}"));
                Ok(None)
            }
            Err(stop) => bail!("unexpected: {stop}"),
        }
    }

    /// After a crash the server's memory may be gone, or not.
    pub(crate) fn forget_sometimes(&mut self) {
        if self.random.percent(50) {
            self.server.forget();
        }
    }

    /// A change has committed: it must be right, and be of the state that is known. Gives the pipeline's status.
    pub(crate) fn commit(&mut self, done: Done) -> Result<JobStatus> {
        self.journal.events += 1;
        let name = self.name(done.pipeline);
        let known = self.pipelines.get_mut(&done.pipeline).context("a pipeline changed that is not there")?;
        ensure!(known.state == done.before, "{name} was not as it had been left before {:?}", done.event);
        rules::check(&known.plan, &done.before, done.event, &done.changes, &done.after)
            .with_context(|| format!("{name} after {:?}", done.event))?;
        // What the engine keeps beside the rows follows from them.
        let mut anew = done.before.clone();
        anew.jobs = done.before.jobs.to_vec().into();
        let again = weir_engine::apply(&mut anew, done.event, done.at);
        ensure!(
            again.as_ref() == Ok(&done.changes) && anew == done.after,
            "{name} takes {:?} otherwise when it is read anew",
            done.event
        );
        known.events.push((done.event, done.at));
        known.state = done.after;
        known.ids.clone_from(&done.ids);
        let status = known.state.status;
        self.tell(|world| {
            let jobs: &[JobState] = world.pipelines.get(&done.pipeline).map_or(&[], |it| &it.state.jobs);
            let changed = done.changes.effects.iter().filter_map(|effect| match effect {
                Effect::JobStatus { job, from, to } => {
                    Some(format!("; {}({}) {from} -> {to}", jobs.get(job.0 as usize)?.name, job.0))
                }
                _ => None,
            });
            format!("  {name} {:?}{} => {status}", done.event, changed.collect::<String>())
        });
        self.account(done.pipeline, &done.changes.effects, &done.ids)?;
        if let Event::ResourceGranted { job } = done.event {
            self.note_holder(done.pipeline, job)?;
        }
        Ok(status)
    }

    /// Keeps what is counted over all pipelines.
    pub(crate) fn account(&mut self, id: PipelineId, effects: &[Effect], ids: &[JobId]) -> Result<()> {
        let project = self.pipelines.get(&id).map_or(0, |it| it.project);
        for effect in effects {
            match *effect {
                Effect::JobStatus { job, from, to } => {
                    let index = job;
                    let job = *ids.get(job.0 as usize).context("a job has no id")?;
                    let bridge = self.pipelines.get(&id).is_some_and(|it| it.state.job(index).is_bridge());
                    if bridge {
                        continue;
                    }
                    if from == Pending {
                        ensure!(
                            self.waiting.remove(&job).is_some(),
                            "a job left the queue that was not in it"
                        );
                    }
                    if to == Pending {
                        ensure!(
                            self.waiting.insert(job, (id, index)).is_none(),
                            "a job is in the queue twice"
                        );
                        ensure!(
                            !self.picks.contains_key(&job),
                            "a job that a runner had waits for one again"
                        );
                    }
                    let runs = |status| matches!(status, Running | Canceling);
                    if self.on_instance_runner.get(&job) == Some(&true) && runs(from) != runs(to) {
                        let count = &mut self.running[project];
                        *count = if runs(to) { *count + 1 } else { count.saturating_sub(1) };
                    }
                }
                Effect::TriggerDownstream(_)
                | Effect::CancelChildren
                | Effect::RestartUpstream
                | Effect::RequestResource(_)
                | Effect::ReleaseResource(_)
                | Effect::PipelineStatus { .. } => self.tasks = true,
                _ => {}
            }
        }
        Ok(())
    }

    /// Lets one thing happen.
    pub(crate) fn act(&mut self) -> Result<()> {
        self.step += 1;
        self.time += if self.random.percent(2) { 3600 } else { self.random.between(0, 60) };
        match self.random.below(100) {
            0..30 => {
                let runner = self.random.index(self.runners.len()).context("there are no runners")?;
                self.poll(runner)?;
            }
            30..60 => {
                if let Some(execution) = self.random.index(self.executions.len()) {
                    self.go_on(execution)?;
                }
            }
            60..76 => self.person()?,
            76..84 => self.push()?,
            84..92 => self.sweep()?,
            92..94 => {
                self.tell(|_| "the server begins anew".to_owned());
                self.restart()?;
            }
            94..97 => {
                self.skew += self.random.between(-300, 600);
                self.tell(|_| "the clock jumps".to_owned());
            }
            _ => self.administer()?,
        }
        if self.tasks && self.random.percent(60) {
            self.do_tasks()?;
        }
        if self.step.is_multiple_of(self.scale.audit_every) {
            self.audit()?;
        }
        Ok(())
    }

    /// What the background does for jobs whose time has come.
    pub(crate) fn sweep(&mut self) -> Result<()> {
        let now = self.now();
        let found = self.server.overdue(now)?;
        let unserved = found.unserved.into_iter().map(|due| (due, false));
        let others = [found.delayed, found.timed_out, found.silent, found.pending].into_iter().flatten();
        for (due, can_run) in others.map(|due| (due, true)).chain(unserved) {
            self.tell(|_| "the background looks after a job".to_owned());
            let job = self.pipelines.get(&due.pipeline_id).map(|it| it.state.job(due.index));
            ensure!(job.is_some_and(|job| !job.is_bridge()), "the background looks after what no runner has");
            ensure!(can_run || !self.is_served(due.id), "a job is given up that a runner could take");
            let (may_start, crash) = (!self.random.percent(5), self.crash());
            let result = self.server.look_after(due, can_run, may_start, now, crash);
            self.settled(result, |stop| matches!(stop, Stop::Refused(_) | Stop::Gone))?;
        }
        for due in found.bridges {
            self.tell(|_| "the background gives a bridge up".to_owned());
            let outcome =
                Outcome::Failed { reason: FailureReason::DownstreamPipelineCreationFailed, exit_code: None };
            let crash = self.crash();
            self.pass_on(due.pipeline_id, Event::Finished { job: due.index, outcome }, crash)?;
        }
        Ok(())
    }

    /// Nobody does anything any more but the runners that still work and the background; in the end everything is
    /// finished, or waits for a person.
    pub(crate) fn come_to_rest(&mut self) -> Result<()> {
        const ROUNDS: u32 = 2_000;
        self.tell(|_| "all people leave".to_owned());
        for _ in 0..ROUNDS {
            self.step += 1;
            self.time += 1_200;
            let (before, idle) = (self.journal.events, self.executions.is_empty());
            self.do_tasks()?;
            self.sweep()?;
            self.do_tasks()?;
            for runner in 0..self.runners.len() {
                while self.poll(runner)? {}
            }
            for execution in (0..self.executions.len()).rev() {
                self.hurry(execution)?;
            }
            let still = idle && before == self.journal.events && !self.tasks;
            let awaited = self.pipelines.values().flat_map(|it| it.state.jobs.iter()).any(|job| {
                matches!(job.status, Pending | Running | Canceling | JobStatus::Scheduled) && !job.is_bridge()
            });
            if still && !awaited {
                return self.is_at_rest();
            }
        }
        bail!("the world does not come to rest")
    }

    /// Nothing is lost: who waits has a reason.
    fn is_at_rest(&self) -> Result<()> {
        for (id, pipeline) in &self.pipelines {
            let name = self.name(*id);
            for (index, job) in pipeline.state.rows() {
                let excused = match job.status {
                    // Its pipeline waits. An earlier attempt mirrors its own pipeline still.
                    Running | Pending | JobStatus::Manual
                        if job.is_bridge() && (job.retried || job.status != JobStatus::Manual) =>
                    {
                        self.children((*id, index)).any(|child| !rules::is_completed(child.state.status))
                    }
                    // What it waits for has been looked at with each change.
                    JobStatus::Created | JobStatus::Manual => !job.retried,
                    JobStatus::WaitingForResource => self.is_kept_waiting(pipeline.project, job)?,
                    status => rules::is_completed(status),
                };
                ensure!(excused, "{name}: {} is {}, and nothing will ever move it", job.name, job.status);
            }
        }
        Ok(())
    }

    pub(crate) fn children(&self, bridge: (PipelineId, JobIndex)) -> impl Iterator<Item = &Pipeline> {
        self.pipelines.values().filter(move |it| it.upstream == Some(bridge))
    }

    /// The server's process ends, and another one begins.
    pub(crate) fn restart(&mut self) -> Result<()> {
        let place = self.place.clone();
        self.server.restart(async move || place.open().await)?;
        Ok(())
    }

    /// What the world leaves behind goes.
    pub(crate) fn leave(self) -> Result<()> {
        let Self { server, place, .. } = self;
        let runtime = server.stop();
        match Rc::into_inner(place) {
            Some(place) => place.remove(&runtime),
            None => Ok(()),
        }
    }
}
