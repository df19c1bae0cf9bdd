//! The statuses of a commit: the jobs and bridges of its pipelines, and the external jobs that other systems report.

use weir_api::id::{JobId, PipelineId, ProjectId, UserId};
use weir_engine::JobIndex;

use crate::columns::all;
use crate::filter::Conditions;
use crate::jobs::{COLUMNS, Job, read};
use crate::{Page, Result, Sort, Tx, params};

/// Which statuses to list.
#[derive(Debug, Clone)]
pub struct Filter {
    /// Of this project.
    pub project_id: ProjectId,
    /// Of this commit.
    pub sha: String,
    /// Only of pipelines of this ref.
    pub ref_name: Option<String>,
    /// Only of this stage.
    pub stage: Option<String>,
    /// Only of this name.
    pub name: Option<String>,
    /// Only of this pipeline.
    pub pipeline_id: Option<PipelineId>,
    /// Earlier attempts, too.
    pub all: bool,
    /// Ordered by pipeline first.
    pub by_pipeline: bool,
    /// The direction of the order.
    pub sort: Sort,
}

fn conditions(filter: &Filter) -> Conditions<'_> {
    let mut c = Conditions::default();
    c.with("p.project_id = $?", &filter.project_id);
    c.with("p.sha = $?", &filter.sha);
    c.is("NOT p.child");
    c.maybe("p.ref = $?", filter.ref_name.as_ref());
    c.maybe("j.stage_name = $?", filter.stage.as_ref());
    c.maybe("j.name = $?", filter.name.as_ref());
    c.maybe("p.id = $?", filter.pipeline_id.as_ref());
    if !filter.all {
        c.is("NOT j.retried");
    }
    c
}

/// Statuses.
pub fn list(tx: &mut Tx<'_>, filter: &Filter, page: Page) -> Result<Vec<Job>> {
    let mut c = conditions(filter);
    let (limit, offset) = (c.param(&page.limit), c.param(&page.offset));
    let sort = filter.sort.sql();
    let order = if filter.by_pipeline { format!("p.id {sort}, ") } else { String::new() };
    let sql = format!(
        "SELECT {COLUMNS} FROM pipelines p JOIN jobs j ON j.pipeline_id = p.id{}
         ORDER BY {order}j.id {sort} LIMIT {limit} OFFSET {offset}",
        c.sql()
    );
    all(&tx.query(&sql, &c.params())?, read)
}

/// How many statuses [`list`] has.
pub fn count(tx: &mut Tx<'_>, filter: &Filter) -> Result<i64> {
    let c = conditions(filter);
    let sql = format!("SELECT count(*) FROM pipelines p JOIN jobs j ON j.pipeline_id = p.id{}", c.sql());
    tx.query_one(&sql, &c.params())?.get(0)
}

/// The external job of this name that the user has reported and that has not ended.
pub fn unfinished(
    tx: &mut Tx<'_>,
    pipeline: PipelineId,
    name: &str,
    user: UserId,
) -> Result<Option<JobIndex>> {
    let sql = "SELECT position FROM jobs
               WHERE pipeline_id = $1 AND name = $2 AND user_id = $3 AND external
                 AND status IN ('pending', 'running')
               ORDER BY id LIMIT 1";
    tx.query_opt(sql, params![pipeline, name, user])?.map(|row| Ok(JobIndex(row.get(0)?))).transpose()
}

/// Whether a job or bridge of the pipeline has this name.
pub fn is_taken(tx: &mut Tx<'_>, pipeline: PipelineId, name: &str) -> Result<bool> {
    let sql = "SELECT id FROM jobs WHERE pipeline_id = $1 AND name = $2 AND NOT external LIMIT 1";
    Ok(tx.query_opt(sql, params![pipeline, name])?.is_some())
}

/// What another system says of a job beside its status; what is none stays as it is.
#[derive(Debug, Clone, Default)]
pub struct Words {
    /// Where it shows the job.
    pub target_url: Option<String>,
    /// A short text.
    pub description: Option<String>,
    /// Percent.
    pub coverage: Option<f64>,
}

/// Notes what another system says of its job, and whose job it is.
pub fn describe(tx: &mut Tx<'_>, id: JobId, user: UserId, words: &Words) -> Result<()> {
    tx.execute(
        "UPDATE jobs SET user_id = $2, target_url = coalesce($3, target_url),
             description = coalesce($4, description), coverage = coalesce($5, coverage)
         WHERE id = $1",
        params![id, user, words.target_url, words.description, words.coverage],
    )?;
    Ok(())
}
