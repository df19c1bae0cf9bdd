//! What changes of one pipeline mean for others: bridges and their pipelines, and resource groups.

use anyhow::{Context, Result, ensure};
use weir_api::JobStatus::{Canceling, Pending, Preparing, Running};
use weir_api::id::{JobId, PipelineId, ResourceGroupId};
use weir_api::{FailureReason, JobStatus, ProcessMode};
use weir_compiler::plan::{Action, Strategy};
use weir_engine::{Event, JobIndex, JobState, Outcome};
use weir_store::{jobs, outbox, resource_groups};

use crate::rules;
use crate::server::{Stop, Task};
use crate::world::World;

/// Seconds that a task may take before somebody else may try it.
const LEASE: i64 = 300;
/// How many ancestors a child pipeline may have. Source: `app/services/ci/create_downstream_pipeline_service.rb`.
const DEPTH: u64 = 2;

impl World {
    /// Does what changes have left to be done, in any order, and some of it twice.
    pub(crate) fn do_tasks(&mut self) -> Result<()> {
        loop {
            let now = self.now();
            let mut due = self.server.take_tasks(now, now.plus_secs(LEASE))?;
            if due.is_empty() {
                break;
            }
            while let Some(next) = self.random.index(due.len()) {
                let task = due.swap_remove(next);
                let done = self.do_task(&serde_json::from_str(&task.task)?)?;
                if done && !self.random.percent(3) {
                    self.server.task_done(task.id)?;
                }
            }
        }
        self.tasks = self.server.read(outbox::next_due)?.is_some();
        Ok(())
    }

    /// Whether it is done.
    fn do_task(&mut self, task: &Task) -> Result<bool> {
        match *task {
            Task::Create(bridge) => self.trigger(bridge),
            Task::Follow(id) => self.follow(id),
            Task::CancelChildren(id) => {
                let children: Vec<PipelineId> = self
                    .pipelines
                    .iter()
                    .filter(|(_, it)| it.upstream.is_some_and(|(parent, _)| parent == id))
                    .map(|(id, _)| *id)
                    .collect();
                let mut done = true;
                for child in children {
                    self.tell(|world| format!("{} is canceled with its parent", world.name(child)));
                    let crash = self.crash();
                    done &= self.pass_on(child, Event::CancelPipeline { cascade: true }, crash)?;
                }
                Ok(done)
            }
            Task::RestartUpstream(id) => {
                let Some((parent, job, _)) = self.followed_by(id) else { return Ok(true) };
                self.tell(|world| format!("the bridge of {} waits again", world.name(id)));
                let crash = self.crash();
                // The downstream pipeline may have ended again before.
                Ok(self.pass_on(parent, Event::DownstreamRestarted { job }, crash)? && self.follow(id)?)
            }
            Task::Assign(group) => self.assign(group),
        }
    }

    /// Starts the downstream pipeline of a bridge. One that has a downstream pipeline hears of it again.
    fn trigger(&mut self, bridge: JobId) -> Result<bool> {
        let Some((id, index)) = self.server.read(move |tx| jobs::locate(tx, bridge))? else {
            return Ok(true);
        };
        let Some(parent) = self.pipelines.get(&id) else { return Ok(true) };
        if parent.state.job(index).status != Pending {
            return Ok(true);
        }
        let depth = parent.depth;
        self.tell(|world| format!("a bridge of {} starts its pipeline", world.name(id)));
        let child = self.pipelines.iter().find(|(_, it)| it.upstream == Some((id, index))).map(|(id, _)| *id);
        if let Some(child) = child {
            return self.follow(child);
        }
        if depth >= DEPTH || self.random.percent(10) {
            let reason = FailureReason::DownstreamPipelineCreationFailed;
            let outcome = Outcome::Failed { reason, exit_code: None };
            let crash = self.crash();
            return self.pass_on(id, Event::Finished { job: index, outcome }, crash);
        }
        Ok(self.create_child(bridge, id, index)?.is_some())
    }

    /// `trigger:strategy` of a bridge.
    pub(crate) fn strategy(&self, parent: PipelineId, bridge: JobIndex) -> Option<Strategy> {
        let parent = self.pipelines.get(&parent)?;
        match &rules::definition(&parent.plan, parent.state.job(bridge))?.action {
            Action::Trigger(trigger) => trigger.strategy,
            Action::Run(_) => None,
        }
    }

    /// The bridge that follows a pipeline.
    fn followed_by(&self, id: PipelineId) -> Option<(PipelineId, JobIndex, Strategy)> {
        let (parent, job) = self.pipelines.get(&id)?.upstream?;
        Some((parent, job, self.strategy(parent, job)?))
    }

    /// Tells the bridge of a pipeline what became of it.
    fn follow(&mut self, id: PipelineId) -> Result<bool> {
        let Some((parent, job, strategy)) = self.followed_by(id) else { return Ok(true) };
        let Some(status) = self.pipelines.get(&id).map(|it| it.state.status) else { return Ok(true) };
        self.tell(|world| format!("the bridge of {} hears that it is {status}", world.name(id)));
        let crash = self.crash();
        self.pass_on(parent, Event::DownstreamStatus { job, status, strategy }, crash)
    }

    /// Gives the resource of a group to the job whose turn it is.
    fn assign(&mut self, group: ResourceGroupId) -> Result<bool> {
        let (now, crash) = (self.now(), self.crash());
        self.tell(|_| "a resource is looked after".to_owned());
        let Some(done) = self.server.assign(group, now, crash).transpose() else { return Ok(true) };
        let crashed = matches!(done, Err(Stop::Crashed));
        self.settled(done, |_| false)?;
        Ok(!crashed)
    }

    /// A job has been given the resource of its group: nobody may hold it.
    pub(crate) fn note_holder(&mut self, id: PipelineId, index: JobIndex) -> Result<()> {
        let pipeline = self.pipelines.get(&id).context("a pipeline that is not there got a resource")?;
        let key =
            pipeline.state.job(index).resource_group.clone().context("a job of no group got a resource")?;
        let group = (pipeline.project, key);
        let again = self.holders.get(&group) == Some(&(id, index));
        ensure!(again || !self.is_held(&group), "a resource was given that somebody holds");
        self.holders.insert(group, (id, index));
        Ok(())
    }

    /// Whether the last job that got a resource holds it.
    fn is_held(&self, group: &(usize, String)) -> bool {
        self.holders
            .get(group)
            .and_then(|(id, index)| Some(self.pipelines.get(id)?.state.job(*index)))
            .is_some_and(is_holding)
    }

    /// Whether a job that waits for its resource has a reason: somebody holds it, or it is kept for a job whose time
    /// has not come.
    pub(crate) fn is_kept_waiting(&self, project: usize, job: &JobState) -> Result<bool> {
        let Some(key) = job.resource_group.clone() else { return Ok(false) };
        let (id, wanted) = (self.projects[project].id, key.clone());
        let group = self.server.read(move |tx| resource_groups::find_by_key(tx, id, &wanted))?;
        let in_order = matches!(
            group.map(|group| group.process_mode),
            Some(ProcessMode::OldestFirst | ProcessMode::NewestFirst)
        );
        let kept = self.pipelines.values().filter(|it| it.project == project).any(|it| {
            it.state
                .jobs
                .iter()
                .any(|other| other.resource_group == job.resource_group && other.status == JobStatus::Created)
        });
        Ok(self.is_held(&(project, key)) || in_order && kept)
    }

    /// Builds of a group go on only when they have been given its resource.
    pub(crate) fn check_resources(&self) -> Result<()> {
        for (id, pipeline) in &self.pipelines {
            for (index, job) in pipeline.state.rows() {
                if let Some(key) = &job.resource_group
                    && is_holding(job)
                    && !job.is_bridge()
                {
                    let holder = self.holders.get(&(pipeline.project, key.clone()));
                    ensure!(holder == Some(&(*id, index)), "a job goes on without the resource of its group");
                }
            }
        }
        Ok(())
    }
}

const fn is_holding(job: &JobState) -> bool {
    matches!(job.status, Preparing | Pending | Running | Canceling)
}
