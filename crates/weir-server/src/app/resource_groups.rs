//! Resource groups: found, changed, and the resource given to one job after the other.

use weir_api::ProcessMode;
use weir_api::id::{PipelineId, ProjectId, ResourceGroupId};
use weir_engine::Event;
use weir_engine::resource_group;
use weir_store::pipelines::Transition;
use weir_store::resource_groups::{self, ResourceGroup};
use weir_store::{Sort, Tx};

use super::access::Access;
use super::changes;
use super::jobs::{self, JobDetails};
use super::outbox::{self, Task};
use crate::bus::Wake;
use crate::ctx::Ctx;
use crate::error::{Error, Result};
use crate::http::paginate::Page;

/// One page of a project's groups, and how many there are.
pub async fn list(ctx: &Ctx, project: ProjectId, page: Page) -> Result<(Vec<ResourceGroup>, u64)> {
    ctx.db
        .read(move |tx| {
            let total = resource_groups::count(tx, project)?.unsigned_abs();
            Ok((resource_groups::list(tx, project, page.rows())?, total))
        })
        .await
}

fn row(tx: &mut Tx<'_>, project: ProjectId, key: &str) -> Result<ResourceGroup> {
    resource_groups::find_by_key(tx, project, key)?.ok_or(Error::RecordNotFound)
}

/// The group of this name.
pub async fn find(ctx: &Ctx, project: ProjectId, key: &str) -> Result<ResourceGroup> {
    let key = key.to_owned();
    ctx.db.read(move |tx| row(tx, project, &key)).await
}

/// The job that holds the resource, if one does.
pub async fn current_job(ctx: &Ctx, access: &Access, key: &str) -> Result<Option<JobDetails>> {
    let (project, key) = (access.project.id, key.to_owned());
    let holder = ctx
        .db
        .read(move |tx| {
            let group = row(tx, project, &key)?;
            Ok::<_, Error>(resource_groups::holder(tx, &group)?)
        })
        .await?;
    Ok(jobs::find_all(ctx, access, holder.into_iter().collect()).await?.pop())
}

/// One page of the jobs that are to have the resource, in their order, and how many there are.
pub async fn upcoming_jobs(
    ctx: &Ctx,
    access: &Access,
    key: &str,
    page: Page,
) -> Result<(Vec<JobDetails>, u64)> {
    let (project, key) = (access.project.id, key.to_owned());
    let upcoming = ctx
        .db
        .read(move |tx| {
            let group = row(tx, project, &key)?;
            let statuses = resource_group::candidates(group.process_mode);
            let jobs = resource_groups::with_statuses(tx, group.id, statuses)?;
            Ok::<_, Error>(resource_group::upcoming(group.process_mode, jobs))
        })
        .await?;
    let ids = page.slice(&upcoming).iter().map(|candidate| candidate.job).collect();
    Ok((jobs::find_all(ctx, access, ids).await?, upcoming.len() as u64))
}

/// Changes in which order jobs get the resource; another job may be next at once.
pub async fn set_process_mode(
    ctx: &Ctx,
    project: ProjectId,
    key: &str,
    mode: Option<ProcessMode>,
) -> Result<ResourceGroup> {
    let (key, now) = (key.to_owned(), ctx.now());
    let group = ctx
        .db
        .write(move |tx| {
            let group = row(tx, project, &key)?;
            if let Some(mode) = mode.filter(|mode| *mode != group.process_mode) {
                resource_groups::set_process_mode(tx, group.id, mode, now)?;
                outbox::add(tx, &Task::AssignResource { group: group.id }, now)?;
            }
            row(tx, project, &key)
        })
        .await?;
    ctx.bus.wake(Wake::Outbox);
    Ok(group)
}

/// Leaves a look at every group of a project that a job waits for: the job whose turn it was may be deleted.
pub fn assign_all(tx: &mut Tx<'_>, ctx: &Ctx, project: ProjectId) -> Result<()> {
    for group in resource_groups::awaited(tx, project)? {
        outbox::add(tx, &Task::AssignResource { group }, ctx.now())?;
    }
    Ok(())
}

/// Gives the resource of a group to the job whose turn it is, if it is free.
/// Source: `app/services/ci/resource_groups/assign_resource_from_resource_group_service.rb`.
pub async fn assign(ctx: &Ctx, id: ResourceGroupId) -> Result<()> {
    /// Attempts before others have their turn.
    const ATTEMPTS: usize = 10;
    for _ in 0..ATTEMPTS {
        let shared = ctx.clone();
        let attempt = ctx.db.write(move |tx| give(tx, &shared, id)).await;
        match attempt {
            Ok(None) => return Ok(()),
            Ok(Some((project, pipeline, done))) => {
                changes::announce(ctx, project, pipeline, &done);
                return Ok(());
            }
            // The job went on, or somebody else gave the resource.
            Err(Error::RecordNotFound) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::internal("a resource group changes too fast"))
}

/// One attempt. None if the resource has a holder, or it is nobody's turn.
///
/// # Errors
/// [`Error::RecordNotFound`] if the job went on, or somebody else gave the resource: then nothing is written.
fn give(
    tx: &mut Tx<'_>,
    ctx: &Ctx,
    id: ResourceGroupId,
) -> Result<Option<(ProjectId, PipelineId, Transition)>> {
    let Some(group) = resource_groups::find(tx, id)? else { return Ok(None) };
    if resource_groups::holder(tx, &group)?.is_some() {
        return Ok(None);
    }
    let mode = group.process_mode;
    let direction = if resource_group::is_newest_first(mode) { Sort::Desc } else { Sort::Asc };
    let first = resource_groups::first_of_each(tx, id, resource_group::candidates(mode), direction)?;
    let Some(next) = resource_group::next(mode, first) else { return Ok(None) };
    let (pipeline, index) = weir_store::jobs::locate(tx, next.job)?.ok_or(Error::RecordNotFound)?;
    let event = Event::ResourceGranted { job: index };
    let done = changes::transition(tx, ctx, pipeline, event, |_| Error::RecordNotFound)?;
    if !resource_groups::give(tx, id, group.job_id, next.job)? {
        return Err(Error::RecordNotFound);
    }
    Ok(Some((group.project_id, pipeline, done)))
}
