//! What people do: push, cancel, retry, play, and the rest.

use anyhow::{Result, bail};
use weir_api::JobStatus::{self, Canceling, Manual, Scheduled, Skipped};
use weir_api::id::{JobId, PipelineId};
use weir_api::{FailureReason, PipelineSource, ProcessMode};
use weir_compiler::Plan;
use weir_engine::{Event, JobIndex, auto_cancel};
use weir_store::pipelines::{NewPipeline, Upstream};

use crate::plans;
use crate::rules;
use crate::server::{Crash, Created, Stop};
use crate::world::{Pipeline, World};

/// How many pipelines people look at: the newest ones.
const IN_SIGHT: usize = 50;

impl World {
    /// Somebody pushes a commit.
    pub(crate) fn push(&mut self) -> Result<()> {
        let Some(project) = self.random.index(self.projects.len()) else { return Ok(()) };
        let protected = self.random.percent(30);
        let plan = plans::plan(&mut self.random, self.scale.jobs, true);
        let new = self.new_pipeline(project, protected, &plan, None);
        self.tell(|_| format!("a push to {} of project {project}", new.ref_name));
        let Some(id) = self.create(project, new.clone(), plan, None)? else { return Ok(()) };
        self.cancel_redundant(&new, id)
    }

    /// A pipeline of a new commit.
    fn new_pipeline(
        &mut self,
        project: usize,
        protected: bool,
        plan: &Plan,
        upstream: Option<Upstream>,
    ) -> NewPipeline {
        self.commits += 1;
        NewPipeline {
            project_id: self.projects[project].id,
            sha: format!("{:040x}", self.commits),
            before_sha: None,
            ref_name: if protected { "main" } else { "topic" }.to_owned(),
            tag: false,
            protected,
            source: upstream.map_or(PipelineSource::Push, |_| PipelineSource::ParentPipeline),
            name: None,
            user_id: None,
            yaml_errors: None,
            failure_reason: None,
            config_source: "repository_source".to_owned(),
            upstream,
            merge_request_id: None,
            merged: None,
            on_new_commit: plan.auto_cancel.on_new_commit,
            merged_yaml: None,
        }
    }

    /// Makes a pipeline, unless something comes in between.
    pub(crate) fn create(
        &mut self,
        project: usize,
        new: NewPipeline,
        plan: Plan,
        upstream: Option<(PipelineId, JobIndex)>,
    ) -> Result<Option<PipelineId>> {
        let (now, crash, protected) = (self.now(), self.crash(), new.protected);
        let bridge = upstream.map(|(parent, index)| (parent, index, self.strategy(parent, index)));
        let created = self.server.create(new, plan.clone(), bridge, now, crash);
        let Created { inserted, done, bridge } = match created {
            Ok(created) => created,
            Err(Stop::Crashed) => {
                self.tell(|_| "  the transaction is cut off".to_owned());
                self.forget_sometimes();
                return Ok(None);
            }
            Err(stop) => bail!("a new pipeline: {stop}"),
        };
        let depth = upstream.and_then(|(parent, _)| self.pipelines.get(&parent)).map_or(0, |it| it.depth + 1);
        let state = done.before.clone();
        let ids = inserted.jobs;
        let pipeline = Pipeline { project, protected, plan, state, ids, events: Vec::new(), upstream, depth };
        self.order.push(inserted.id);
        self.pipelines.insert(inserted.id, pipeline);
        self.commit(done)?;
        if let Some(done) = bridge {
            self.commit(done)?;
        }
        Ok(Some(inserted.id))
    }

    /// What a new pipeline makes redundant goes.
    fn cancel_redundant(&mut self, new: &NewPipeline, id: PipelineId) -> Result<()> {
        let now = self.now();
        for old in self.server.redundant(new.project_id, new.ref_name.clone(), id)? {
            let known = auto_cancel::Older { source: old.source, created_at: old.created_at, sha: &old.sha };
            if !auto_cancel::is_redundant(known, now, &new.sha, Some(&new.sha)) {
                continue;
            }
            self.tell(|world| format!("{} is redundant", world.name(old.id)));
            let crash = self.crash();
            let done = self.server.cancel_redundant(old.id, old.on_new_commit, id, now, crash);
            let Some(done) = done.transpose() else { continue };
            self.settled(done, |_| false)?;
        }
        Ok(())
    }

    /// Somebody does something with a pipeline or a job.
    pub(crate) fn person(&mut self) -> Result<()> {
        let from = self.order.len().saturating_sub(IN_SIGHT);
        let Some(id) = self.random.one(&self.order[from..]) else { return Ok(()) };
        let Some(pipeline) = self.pipelines.get(&id) else { return Ok(()) };
        let such = |which: fn(JobStatus) -> bool| -> Vec<JobIndex> {
            let rows = pipeline.state.rows().filter(|(_, job)| !job.retried && which(job.status));
            rows.map(|(index, _)| index).collect()
        };
        let any: Vec<JobIndex> = pipeline.state.rows().map(|(index, _)| index).collect();
        let chosen: (Vec<JobIndex>, fn(JobIndex) -> Event) = match self.random.below(20) {
            0..6 => (such(|status| matches!(status, Manual | Scheduled)), |job| Event::Play { job }),
            6 => (any, |job| Event::Play { job }),
            7..10 => (such(rules::is_completed), |job| Event::Retry { job }),
            10 | 11 => {
                (such(|status| !rules::is_completed(status)), |job| Event::Cancel { job, force: false })
            }
            12 => (such(|status| status == Canceling), |job| Event::Cancel { job, force: true }),
            13 => (such(|status| status == Scheduled), |job| Event::Unschedule { job }),
            14 => {
                (such(|status| rules::is_completed(status) && status != Skipped), |job| Event::Erase { job })
            }
            15 | 16 => (vec![JobIndex(0)], |_| Event::RetryPipeline),
            17 => (vec![JobIndex(0)], |_| Event::CancelPipeline { cascade: true }),
            18 if self.random.percent(30) => {
                (vec![JobIndex(0)], |_| Event::DropPipeline { reason: FailureReason::UserBlocked })
            }
            18 => return self.reorder(),
            19 if self.random.percent(30) => return self.delete(id),
            _ => (any, |job| Event::Cancel { job, force: false }),
        };
        let (jobs, event) = chosen;
        let Some(event) = self.random.one(&jobs).map(event) else { return Ok(()) };
        self.tell(|world| format!("somebody: {} {event:?}", world.name(id)));
        let (now, crash) = (self.now(), self.crash());
        let result = self.server.change(id, event, now, crash);
        self.settled(result, |stop| matches!(stop, Stop::Refused(_)))?;
        Ok(())
    }

    /// Somebody wants another order of the jobs of a resource group.
    pub(crate) fn reorder(&mut self) -> Result<()> {
        let key = self.random.one(&plans::RESOURCE_GROUPS).unwrap_or_default();
        let Some(mode) = self.random.one(ProcessMode::ALL) else { return Ok(()) };
        let Some(project) = self.random.index(self.projects.len()) else { return Ok(()) };
        self.tell(|_| format!("jobs of {key} in project {project} run {mode}"));
        let now = self.now();
        self.tasks |= self.server.set_process_mode(self.projects[project].id, key, mode, now)?;
        Ok(())
    }

    /// Somebody deletes a pipeline that has no part in another.
    fn delete(&mut self, id: PipelineId) -> Result<()> {
        let alone = self.pipelines.values().all(|it| it.upstream.is_none_or(|(parent, _)| parent != id));
        let Some(pipeline) = self.pipelines.get(&id).filter(|it| alone && it.upstream.is_none()) else {
            return Ok(());
        };
        let (project, now) = (pipeline.project, self.now());
        self.tell(|world| format!("{} is deleted", world.name(id)));
        self.server.delete(id, self.projects[project].id, now)?;
        self.tasks = true;
        let Some(gone) = self.pipelines.remove(&id) else { return Ok(()) };
        for (job, row) in gone.ids.iter().zip(gone.state.jobs.iter()) {
            self.waiting.remove(job);
            let runs = matches!(row.status, JobStatus::Running | Canceling) && !row.is_bridge();
            if runs && self.on_instance_runner.get(job) == Some(&true) {
                self.running[project] = self.running[project].saturating_sub(1);
            }
        }
        Ok(())
    }

    /// The child pipeline of a bridge.
    pub(crate) fn create_child(
        &mut self,
        bridge: JobId,
        parent: PipelineId,
        index: JobIndex,
    ) -> Result<Option<PipelineId>> {
        let Some(above) = self.pipelines.get(&parent) else { return Ok(None) };
        let (project, protected, depth) = (above.project, above.protected, above.depth);
        let plan = plans::plan(&mut self.random, self.scale.jobs, depth == 0);
        let project_id = self.projects[project].id;
        let upstream = Upstream { job_id: bridge, pipeline_id: parent, project_id, child: true };
        let new = self.new_pipeline(project, protected, &plan, Some(upstream));
        self.create(project, new, plan, Some((parent, index)))
    }

    /// An event of another pipeline, which may have gone on.
    pub(crate) fn pass_on(&mut self, id: PipelineId, event: Event, crash: Crash) -> Result<bool> {
        let now = self.now();
        let result = self.server.change(id, event, now, crash);
        let crashed = matches!(result, Err(Stop::Crashed));
        self.settled(result, |stop| matches!(stop, Stop::Refused(_) | Stop::Gone))?;
        Ok(!crashed)
    }
}
