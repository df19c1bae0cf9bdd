//! What a change of one pipeline asks for elsewhere: left with the change, done right after it.
//!
//! A task is left in the transaction that makes it necessary and done in transactions of its own, at least once; so
//! every task is harmless to repeat: it looks at the present state of the rows and does what is still to be done.

use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use weir_api::Timestamp;
use weir_api::id::{JobId, PipelineId, ProjectId, ResourceGroupId, UserId};
use weir_store::Tx;
use weir_store::outbox::{self, Due};

use super::{downstream, environments, rerun, resource_groups};
use crate::ctx::Ctx;
use crate::error::Result;

/// Seconds that a task may take before somebody else may try it.
const LEASE: i64 = 300;
/// Tasks done at once.
const BATCH: i64 = 20;
/// A task is given up after so many attempts.
const MAX_ATTEMPTS: u32 = 12;

/// Something to do after a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "snake_case")]
pub enum Task {
    /// Create the downstream pipeline of a pending bridge.
    CreateDownstream {
        /// The bridge.
        bridge: JobId,
    },
    /// Run again what failed in the downstream pipeline of a bridge.
    RerunDownstream {
        /// The bridge.
        bridge: JobId,
        /// On whose behalf.
        user: UserId,
    },
    /// Give the resource of a group to the job whose turn it is, if it is free.
    AssignResource {
        /// The group.
        group: ResourceGroupId,
    },
    /// Tell the bridge above a pipeline the pipeline's status.
    FollowDownstream {
        /// The downstream pipeline.
        pipeline: PipelineId,
    },
    /// Tell the bridge above a pipeline that the pipeline goes on after its end.
    RestartUpstream {
        /// The downstream pipeline.
        pipeline: PipelineId,
        /// On whose behalf.
        user: UserId,
    },
    /// Cancel the child pipelines of a pipeline.
    CancelChildren {
        /// The parent.
        pipeline: PipelineId,
    },
    /// Stop the environments to which a branch was last deployed: it is gone.
    StopEnvironments {
        /// The project.
        project: ProjectId,
        /// The branch.
        branch: String,
        /// Who deleted it.
        user: UserId,
    },
}

/// Leaves a task in this transaction. Wake [`Outbox`](crate::bus::Wake::Outbox) once it has committed.
pub fn add(tx: &mut Tx<'_>, task: &Task, due: Timestamp) -> Result<()> {
    outbox::add(tx, task, due)?;
    Ok(())
}

/// Does the tasks that are due. Returns when the next one is.
pub async fn sweep(ctx: &Ctx) -> Result<Option<Timestamp>> {
    loop {
        let now = ctx.now();
        let next = ctx.db.read(outbox::next_due).await?;
        // A look writes nothing; only what is due costs a commit.
        if next.is_none_or(|due| due > now) {
            return Ok(next);
        }
        let due = ctx.db.write(move |tx| outbox::take_due(tx, now, now.plus_secs(LEASE), BATCH)).await?;
        let mut tasks = JoinSet::new();
        for task in due {
            let ctx = ctx.clone();
            tasks.spawn(async move { attempt(&ctx, task).await });
        }
        while let Some(attempted) = tasks.join_next().await {
            match attempted {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(%error, "a task of the outbox could not be put off"),
                Err(error) => tracing::error!(%error, "a task of the outbox broke off"),
            }
        }
    }
}

/// Tries one task; one that fails is tried again later, and given up in the end.
async fn attempt(ctx: &Ctx, due: Due) -> Result<()> {
    let id = due.id;
    let Ok(task) = serde_json::from_str::<Task>(&due.task) else {
        tracing::error!(task = due.task, "a task of the outbox is unknown: another version has left it");
        let later = ctx.now().plus_secs(LEASE);
        return Ok(ctx.db.write(move |tx| outbox::put_off(tx, id, later)).await?);
    };
    match perform(ctx, &task).await {
        Ok(()) => {}
        Err(error) if due.attempts < MAX_ATTEMPTS => {
            tracing::warn!(%error, ?task, "a task of the outbox will be tried again");
            let later = ctx.now().plus_secs(1 << due.attempts.min(8));
            return Ok(ctx.db.write(move |tx| outbox::put_off(tx, id, later)).await?);
        }
        Err(error) => {
            tracing::error!(%error, ?task, "a task of the outbox is given up");
            give_up(ctx, &task).await?;
        }
    }
    Ok(ctx.db.write(move |tx| outbox::done(tx, id)).await?)
}

async fn perform(ctx: &Ctx, task: &Task) -> Result<()> {
    match task {
        Task::CreateDownstream { bridge } => Box::pin(downstream::create(ctx, *bridge)).await,
        Task::RerunDownstream { bridge, user } => rerun::downstream(ctx, *bridge, *user).await,
        Task::AssignResource { group } => resource_groups::assign(ctx, *group).await,
        Task::FollowDownstream { pipeline } => downstream::follow(ctx, *pipeline).await,
        Task::RestartUpstream { pipeline, user } => downstream::restart(ctx, *pipeline, *user).await,
        Task::CancelChildren { pipeline } => downstream::cancel_children(ctx, *pipeline).await,
        Task::StopEnvironments { project, branch, user } => {
            environments::stop_of_branch(ctx, *project, branch, *user).await
        }
    }
}

/// A task has failed for good: who waits for it must not wait for ever.
async fn give_up(ctx: &Ctx, task: &Task) -> Result<()> {
    match task {
        Task::CreateDownstream { bridge } => {
            downstream::fail(ctx, *bridge, weir_api::FailureReason::DataIntegrityFailure).await
        }
        // The next job of the group that asks for the resource, or ends, has it assigned again.
        Task::AssignResource { .. } => Ok(()),
        // What failed stays failed; whoever wanted it again sees that.
        Task::RerunDownstream { .. } => Ok(()),
        Task::FollowDownstream { .. } | Task::RestartUpstream { .. } | Task::CancelChildren { .. } => Ok(()),
        Task::StopEnvironments { .. } => Ok(()),
    }
}
