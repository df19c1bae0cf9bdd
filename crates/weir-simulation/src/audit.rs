//! Compares everything that is stored with everything that is known.

use anyhow::{Context, Result, ensure};
use weir_api::id::{JobId, PipelineId, ProjectId, RunnerId};
use weir_store::{params, pipelines};

use crate::rules;
use crate::world::World;

impl World {
    /// The rows say what the committed changes have said.
    pub(crate) fn audit(&mut self) -> Result<()> {
        let ids: Vec<PipelineId> = self.order.clone();
        let stored = self.server.write(move |tx| {
            let loaded = ids.iter().map(|id| Ok((*id, pipelines::load(tx, *id)?)));
            loaded.collect::<weir_store::Result<Vec<_>>>().map_err(Into::into)
        })?;
        for (id, loaded) in stored {
            let name = self.name(id);
            match (self.pipelines.get(&id), loaded) {
                (None, loaded) => ensure!(loaded.is_none(), "{name} was deleted and is there"),
                (Some(_), None) => anyhow::bail!("{name} is not there"),
                (Some(known), Some((state, ids))) => {
                    ensure!(known.state == state, "{name} is stored otherwise than it was left");
                    ensure!(known.ids == ids, "{name} has other jobs");
                }
            }
        }
        self.audit_queue()?;
        self.audit_lanes()?;
        self.audit_runners()?;
        self.check_resources()
    }

    /// Each job that waits for a runner is in the queue, in the lane of its kind, and no other job is.
    fn audit_queue(&self) -> Result<()> {
        let stored = self.server.read(|tx| {
            let rows = tx.query(
                "SELECT q.job_id, l.project_id, l.protected, t.tags FROM queue q
                 JOIN queue_lanes l ON l.id = q.lane_id JOIN tag_sets t ON t.id = l.tag_set_id
                 ORDER BY q.job_id",
                params![],
            )?;
            rows.iter()
                .map(|row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.json(3)?)))
                .collect::<weir_store::Result<Vec<(JobId, ProjectId, bool, Vec<String>)>>>()
        })?;
        let mut known = Vec::new();
        for (job, (id, index)) in &self.waiting {
            let pipeline = self.pipelines.get(id).context("a job of no pipeline waits")?;
            let row = pipeline.state.job(*index);
            ensure!(Self::is_queued(row), "{} is {} and in the queue", row.name, row.status);
            let job_definition = rules::definition(&pipeline.plan, row).context("a job is not planned")?;
            let project = self.projects[pipeline.project].id;
            known.push((*job, project, pipeline.protected, job_definition.tags.clone()));
        }
        ensure!(stored == known, "the queue holds {stored:?} and should hold {known:?}");
        let pending =
            self.pipelines.values().flat_map(|it| it.state.jobs.iter()).filter(|job| Self::is_queued(job));
        ensure!(pending.count() == known.len(), "a pending job is not in the queue");
        Ok(())
    }

    /// Each lane knows its first job, and how many jobs of its project run on instance runners.
    fn audit_lanes(&self) -> Result<()> {
        type Lane = (ProjectId, Option<JobId>, Option<JobId>, i64);
        let lanes = self.server.read(|tx| {
            let rows = tx.query(
                "SELECT l.project_id, l.head, (SELECT min(q.job_id) FROM queue q WHERE q.lane_id = l.id),
                        l.running
                 FROM queue_lanes l ORDER BY l.id",
                params![],
            )?;
            rows.iter()
                .map(|row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
                .collect::<weir_store::Result<Vec<Lane>>>()
        })?;
        for (project, head, first, running) in lanes {
            ensure!(head == first, "the head of a lane is {head:?}, and its first job {first:?}");
            let place =
                self.projects.iter().position(|it| it.id == project).context("a lane of no project")?;
            let known = self.running[place];
            ensure!(
                u64::try_from(running) == Ok(known),
                "project {place} has {known} jobs on instance runners, and a lane says {running}"
            );
        }
        Ok(())
    }

    /// Each job that runs has the runner that it was given to.
    fn audit_runners(&self) -> Result<()> {
        let running = self.server.read(|tx| {
            let rows = tx.query(
                "SELECT id, runner_id FROM jobs
                 WHERE status IN ('running', 'canceling') AND NOT bridge ORDER BY id",
                params![],
            )?;
            rows.iter()
                .map(|row| Ok((row.get(0)?, row.get(1)?)))
                .collect::<weir_store::Result<Vec<(JobId, Option<RunnerId>)>>>()
        })?;
        for (job, runner) in running {
            ensure!(
                runner.is_some() && runner == self.picked_by(job),
                "a job runs on a runner that it was not given"
            );
        }
        Ok(())
    }

    /// The same events on the same plan lead to the same state.
    pub(crate) fn replay(&self) -> Result<()> {
        for (id, pipeline) in &self.pipelines {
            let name = self.name(*id);
            let (_, created_at) = *pipeline.events.first().context("a pipeline without an event")?;
            let mut state = weir_engine::create(&pipeline.plan, created_at);
            for (event, at) in &pipeline.events {
                weir_engine::apply(&mut state, *event, *at)
                    .with_context(|| format!("{name} does not take {event:?} again"))?;
            }
            ensure!(state == pipeline.state, "{name} is another one when its events happen again");
        }
        Ok(())
    }

    /// Everything that is known in the end, without ids: equal worlds have equal texts.
    pub(crate) fn dump(&self) -> String {
        let lines = self.pipelines.iter().map(|(id, it)| format!("{} {:?}\n", self.name(*id), it.state));
        lines.collect()
    }
}
