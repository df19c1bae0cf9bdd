//! Pipelines that bridges started: up to their upstreams and down to their descendants.

use weir_api::id::{JobId, PipelineId};

use super::{COLUMNS, Pipeline, find, read};
use crate::columns::all;
use crate::{Result, Row, Tx, bulk, params};

/// Upstreams are followed no further than this; loops cannot be, but a chain may be made long.
const MAX_UPSTREAMS: usize = 1000;

/// The pipelines that bridges started, by bridge.
pub fn downstream_of_jobs(tx: &mut Tx<'_>, jobs: &[JobId]) -> Result<Vec<Pipeline>> {
    let sql = |ids: &str| format!("SELECT {COLUMNS} FROM pipelines p WHERE p.upstream_job_id IN ({ids})");
    all(&bulk::each_of(tx, jobs, sql)?, read)
}

/// The pipelines that a pipeline's bridges started, the oldest first.
pub fn downstream(tx: &mut Tx<'_>, id: PipelineId) -> Result<Vec<Pipeline>> {
    let sql = format!("SELECT {COLUMNS} FROM pipelines p WHERE p.upstream_pipeline_id = $1 ORDER BY p.id");
    all(&tx.query(&sql, params![id])?, read)
}

/// Whether a pipeline has child pipelines.
pub fn has_children(tx: &mut Tx<'_>, id: PipelineId) -> Result<bool> {
    let sql = "SELECT id FROM pipelines WHERE upstream_pipeline_id = $1 AND child LIMIT 1";
    Ok(tx.query_opt(sql, params![id])?.is_some())
}

/// A pipeline and those above it, the nearest first.
pub fn self_and_upstreams(tx: &mut Tx<'_>, id: PipelineId) -> Result<Vec<Pipeline>> {
    let mut found: Vec<Pipeline> = Vec::new();
    let mut next = Some(id);
    while let Some(id) = next.filter(|_| found.len() < MAX_UPSTREAMS) {
        let Some(pipeline) = find(tx, id)? else { break };
        next = pipeline.upstream.map(|upstream| upstream.pipeline_id);
        found.push(pipeline);
    }
    Ok(found)
}

/// The outermost parent of a pipeline; itself if it is no child.
pub fn root(tx: &mut Tx<'_>, id: PipelineId) -> Result<Option<Pipeline>> {
    let upstreams = self_and_upstreams(tx, id)?;
    Ok(upstreams.into_iter().find(|it| !it.upstream.is_some_and(|upstream| upstream.child)))
}

/// Whether two pipelines have the same outermost parent.
pub fn are_family(tx: &mut Tx<'_>, one: PipelineId, other: PipelineId) -> Result<bool> {
    let roots = (root(tx, one)?, root(tx, other)?);
    Ok(matches!(roots, (Some(one), Some(other)) if one.id == other.id))
}

/// The ids of a pipeline and of all below it, breadth first, but no more than `limit`; of child pipelines only, or
/// of those in other projects too.
pub fn self_and_descendants(
    tx: &mut Tx<'_>,
    id: PipelineId,
    children_only: bool,
    limit: usize,
) -> Result<Vec<PipelineId>> {
    let sql = |ids: &str| {
        let child = if children_only { "AND p.child" } else { "" };
        format!("SELECT p.id FROM pipelines p WHERE p.upstream_pipeline_id IN ({ids}) {child}")
    };
    let mut found = vec![id];
    let mut level = 0..1;
    while !level.is_empty() && found.len() < limit {
        let rows = bulk::each_of(tx, &found[level.clone()], sql)?;
        let mut below: Vec<PipelineId> = all(&rows, |row: &Row| row.get(0))?;
        below.sort_unstable();
        level = found.len()..found.len() + below.len();
        found.extend(below);
    }
    found.truncate(limit);
    Ok(found)
}
