//! Older pipelines of a ref that a new one makes redundant.

use weir_api::id::PipelineId;
use weir_engine::{Changes, auto_cancel};
use weir_store::pipelines;
use weir_store::projects::Project;

use super::create::{Start, short_name, upstream};
use crate::app::changes;
use crate::ctx::Ctx;
use crate::error::{Error, Result};

/// Cancels what this pipeline makes redundant, if the project wants that.
/// Source: `app/services/ci/pipeline_creation/cancel_redundant_pipelines_service.rb`.
pub(super) async fn cancel(ctx: &Ctx, project: &Project, start: &Start, id: PipelineId) -> Result<()> {
    let child = upstream(start).is_some_and(|it| it.bridge.child);
    if !project.settings.auto_cancel_pending_pipelines || start.name.tag().is_some() || child {
        return Ok(());
    }
    let (owner, name) = (project.id, short_name(&start.name));
    let older = ctx
        .db
        .read(move |tx| {
            let mut older = Vec::new();
            for pipeline in pipelines::redundant(tx, owner, &name, id)? {
                let created_at = match pipeline.upstream.filter(|upstream| upstream.child) {
                    None => pipeline.created_at,
                    Some(_) => match pipelines::root(tx, pipeline.id)?.filter(|root| root.id < id) {
                        Some(root) => root.created_at,
                        None => continue,
                    },
                };
                older.push((pipeline, created_at));
            }
            Ok::<_, weir_store::Error>(older)
        })
        .await?;
    let (now, sha) = (ctx.now(), start.commit.to_string());
    for (pipeline, created_at) in older {
        let known = auto_cancel::Older { source: pipeline.source, created_at, sha: &pipeline.sha };
        if !auto_cancel::is_redundant(known, now, &sha, Some(&sha)) {
            continue;
        }
        let (shared, rule, old) = (ctx.clone(), pipeline.on_new_commit, pipeline.id);
        let done = ctx
            .db
            .write(move |tx| {
                let mut done = pipelines::transition(tx, &shared.pipelines, old, now, |state, _| {
                    match auto_cancel::on_new_commit(state, rule) {
                        Some(event) => weir_engine::apply(state, event, now)
                            .map_err(|refused| Error::internal(refused.to_string())),
                        None => Ok(Changes::default()),
                    }
                })?;
                if let Some(done) = &mut done
                    && !done.changes.jobs.is_empty()
                {
                    changes::follow(tx, &shared, old, done)?;
                    pipelines::set_canceled_by(tx, old, id)?;
                }
                Ok::<_, Error>(done)
            })
            .await?;
        if let Some(done) = done {
            changes::announce(ctx, owner, old, &done);
        }
    }
    Ok(())
}
