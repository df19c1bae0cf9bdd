//! Pipelines, as rows. Their state, and that of their stages and jobs, changes by [`transition`] alone.

mod cache;
mod family;
mod state;

pub use cache::PipelineCache;
pub use family::{
    are_family, downstream, downstream_of_jobs, has_children, root, self_and_descendants, self_and_upstreams,
};
pub use state::{Inserted, Transition, insert, load, peek, save, transition};
use weir_api::id::{JobId, MergeRequestId, PipelineId, PipelineScheduleId, ProjectId, StageId, UserId};
use weir_api::{JobStatus, PipelineSource, Timestamp};
use weir_compiler::plan::OnNewCommit;

use crate::columns::{Columns, all};
use crate::filter::Conditions;
use crate::merge_requests::MergeRequest;
use crate::{Page, Result, Row, Sort, Tx, artifacts, bulk, params, queue, traces};

/// A pipeline.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    /// Its id.
    pub id: PipelineId,
    /// Its project.
    pub project_id: ProjectId,
    /// Its number in the project, from 1.
    pub iid: i64,
    /// The commit.
    pub sha: String,
    /// The commit before the push; none if unknown.
    pub before_sha: Option<String>,
    /// The merge request that it runs for; that may be gone.
    pub merge_request_id: Option<MergeRequestId>,
    /// Of a merged result: the newest commits of both branches.
    pub merged: Option<Merged>,
    /// The short name of the branch or tag, or `refs/merge-requests/…`.
    pub ref_name: String,
    /// Whether the ref is a tag.
    pub tag: bool,
    /// Whether the ref was protected when the pipeline was made.
    pub protected: bool,
    /// Where it came from.
    pub source: PipelineSource,
    /// Its status.
    pub status: JobStatus,
    /// `workflow:name`, or as set later.
    pub name: Option<String>,
    /// Who runs it.
    pub user_id: Option<UserId>,
    /// Why its configuration is invalid.
    pub yaml_errors: Option<String>,
    /// Why it could not be made: `config_error`, `size_limit_exceeded`, ….
    pub failure_reason: Option<String>,
    /// Where its configuration came from: `repository_source`, `parameter_source`, ….
    pub config_source: String,
    /// The bridge that started it.
    pub upstream: Option<Upstream>,
    /// What a newer pipeline of its ref cancels of it; none means the default, conservative.
    pub on_new_commit: Option<OnNewCommit>,
    /// The newer pipeline that canceled it.
    pub canceled_by: Option<PipelineId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Its last change.
    pub updated_at: Timestamp,
    /// First move to running.
    pub started_at: Option<Timestamp>,
    /// Last move to success, failed or canceled.
    pub finished_at: Option<Timestamp>,
    /// Busy seconds of its jobs.
    pub duration: Option<f64>,
}

/// What a merged result was made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// The newest commit of the source branch.
    pub source_sha: String,
    /// The newest commit of the target branch.
    pub target_sha: String,
}

/// The bridge that started a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Upstream {
    /// The bridge.
    pub job_id: JobId,
    /// The bridge's pipeline.
    pub pipeline_id: PipelineId,
    /// The bridge's project.
    pub project_id: ProjectId,
    /// Whether the pipeline is a child: of the same project, and part of its parent.
    pub child: bool,
}

/// A pipeline to be.
#[derive(Debug, Clone)]
pub struct NewPipeline {
    /// Its project.
    pub project_id: ProjectId,
    /// The commit.
    pub sha: String,
    /// The commit before the push; none if unknown.
    pub before_sha: Option<String>,
    /// The merge request that it runs for.
    pub merge_request_id: Option<MergeRequestId>,
    /// Of a merged result: the newest commits of both branches.
    pub merged: Option<Merged>,
    /// The short name of the branch or tag, or `refs/merge-requests/…`.
    pub ref_name: String,
    /// Whether the ref is a tag.
    pub tag: bool,
    /// Whether the ref is protected.
    pub protected: bool,
    /// Where it comes from.
    pub source: PipelineSource,
    /// `workflow:name`.
    pub name: Option<String>,
    /// Who runs it.
    pub user_id: Option<UserId>,
    /// Why its configuration is invalid.
    pub yaml_errors: Option<String>,
    /// Why it could not be made.
    pub failure_reason: Option<String>,
    /// Where its configuration comes from.
    pub config_source: String,
    /// The bridge that starts it.
    pub upstream: Option<Upstream>,
    /// What a newer pipeline of its ref cancels of it.
    pub on_new_commit: Option<OnNewCommit>,
    /// The merged configuration, to be shown.
    pub merged_yaml: Option<String>,
}

/// A stage of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// Its id.
    pub id: StageId,
    /// Its place, from 0.
    pub position: u32,
    /// Its name.
    pub name: String,
    /// Its status.
    pub status: JobStatus,
}

const COLUMNS: &str = "p.id, p.project_id, p.iid, p.sha, p.before_sha, p.merge_request_id, p.source_sha, \
     p.target_sha, p.ref, p.tag, p.protected, p.source, \
     p.status, p.name, p.user_id, p.yaml_errors, p.failure_reason, p.config_source, p.upstream_job_id, \
     p.upstream_pipeline_id, p.upstream_project_id, p.child, p.on_new_commit, p.canceled_by_pipeline_id, \
     p.created_at, p.updated_at, p.started_at, p.finished_at, p.duration";

const fn on_new_commit_word(policy: OnNewCommit) -> &'static str {
    match policy {
        OnNewCommit::Conservative => "conservative",
        OnNewCommit::Interruptible => "interruptible",
        OnNewCommit::None => "none",
    }
}

fn on_new_commit(word: Option<&str>) -> Option<OnNewCommit> {
    [OnNewCommit::Conservative, OnNewCommit::Interruptible, OnNewCommit::None]
        .into_iter()
        .find(|policy| Some(on_new_commit_word(*policy)) == word)
}

fn read(row: &Row) -> Result<Pipeline> {
    let mut c = Columns::of(row);
    Ok(Pipeline {
        id: c.next()?,
        project_id: c.next()?,
        iid: c.next()?,
        sha: c.next()?,
        before_sha: c.next()?,
        merge_request_id: c.next()?,
        merged: match (c.next()?, c.next()?) {
            (Some(source_sha), Some(target_sha)) => Some(Merged { source_sha, target_sha }),
            _ => None,
        },
        ref_name: c.next()?,
        tag: c.next()?,
        protected: c.next()?,
        source: c.next()?,
        status: c.next()?,
        name: c.next()?,
        user_id: c.next()?,
        yaml_errors: c.next()?,
        failure_reason: c.next()?,
        config_source: c.next()?,
        upstream: match (c.next()?, c.next()?, c.next()?, c.next()?) {
            (Some(job_id), Some(pipeline_id), Some(project_id), child) => {
                Some(Upstream { job_id, pipeline_id, project_id, child })
            }
            _ => None,
        },
        on_new_commit: on_new_commit(c.next()?),
        canceled_by: c.next()?,
        created_at: c.next()?,
        updated_at: c.next()?,
        started_at: c.next()?,
        finished_at: c.next()?,
        duration: c.next()?,
    })
}

/// A group of pipelines. Source: `app/finders/ci/pipelines_finder.rb`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Running.
    Running,
    /// Pending.
    Pending,
    /// Success, failed, canceled.
    Finished,
    /// The newest of each branch.
    Branches,
    /// The newest of each tag.
    Tags,
}

/// Which pipelines to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only of this project.
    pub project_id: Option<ProjectId>,
    /// Only of this group.
    pub scope: Option<Scope>,
    /// Only with this status.
    pub status: Option<JobStatus>,
    /// Only of this ref.
    pub ref_name: Option<String>,
    /// Only of this commit.
    pub sha: Option<String>,
    /// Only those with configuration errors, or only others.
    pub yaml_errors: Option<bool>,
    /// Only of the user with this name.
    pub username: Option<String>,
    /// Only from this source. Child pipelines are listed only when this asks for them.
    pub source: Option<PipelineSource>,
    /// Only of this name.
    pub name: Option<String>,
    /// Only those that this schedule made.
    pub pipeline_schedule_id: Option<PipelineScheduleId>,
    /// Only those changed after it.
    pub updated_after: Option<Timestamp>,
    /// Only those changed before it.
    pub updated_before: Option<Timestamp>,
    /// Only those made after it.
    pub created_after: Option<Timestamp>,
    /// Only those made before it.
    pub created_before: Option<Timestamp>,
    /// The order.
    pub order_by: OrderBy,
    /// Its direction.
    pub sort: Sort,
}

/// The order of a list of pipelines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OrderBy {
    /// By id.
    #[default]
    Id,
    /// By status.
    Status,
    /// By ref.
    Ref,
    /// By last change.
    UpdatedAt,
    /// By user.
    UserId,
}

fn conditions(filter: &Filter) -> Conditions<'_> {
    let mut c = Conditions::default();
    c.maybe("p.project_id = $?", filter.project_id.as_ref());
    match filter.scope {
        Some(Scope::Running) => c.is("p.status = 'running'"),
        Some(Scope::Pending) => c.is("p.status = 'pending'"),
        Some(Scope::Finished) => c.is("p.status IN ('success', 'failed', 'canceled')"),
        Some(scope @ (Scope::Branches | Scope::Tags)) => {
            let tag = if scope == Scope::Tags { "n.tag" } else { "NOT n.tag" };
            let newest = format!(
                "p.id IN (SELECT max(n.id) FROM pipelines n
                          WHERE n.project_id = p.project_id AND n.ref = p.ref AND {tag} AND NOT n.child)"
            );
            c.is(&newest);
        }
        None => {}
    }
    c.maybe("p.status = $?", filter.status.as_ref());
    c.maybe("p.ref = $?", filter.ref_name.as_ref());
    c.maybe("p.sha = $?", filter.sha.as_ref());
    match filter.yaml_errors {
        Some(true) => c.is("p.yaml_errors IS NOT NULL"),
        Some(false) => c.is("p.yaml_errors IS NULL"),
        None => {}
    }
    c.maybe(
        "p.user_id IN (SELECT u.id FROM users u WHERE lower(u.username) = lower($?))",
        filter.username.as_ref(),
    );
    c.maybe("p.source = $?", filter.source.as_ref());
    if filter.source != Some(PipelineSource::ParentPipeline) {
        c.is("NOT p.child");
    }
    c.maybe("p.name = $?", filter.name.as_ref());
    c.maybe("p.pipeline_schedule_id = $?", filter.pipeline_schedule_id.as_ref());
    c.maybe("p.updated_at > $?", filter.updated_after.as_ref());
    c.maybe("p.updated_at < $?", filter.updated_before.as_ref());
    c.maybe("p.created_at > $?", filter.created_after.as_ref());
    c.maybe("p.created_at < $?", filter.created_before.as_ref());
    c
}

/// Pipelines.
pub fn list(tx: &mut Tx<'_>, filter: &Filter, page: Page) -> Result<Vec<Pipeline>> {
    let mut c = conditions(filter);
    let sort = filter.sort.sql();
    let order = match filter.order_by {
        OrderBy::Id => "",
        OrderBy::Status => "p.status",
        OrderBy::Ref => "p.ref",
        OrderBy::UpdatedAt => "p.updated_at",
        // NULL stands elsewhere on each engine.
        OrderBy::UserId => "coalesce(p.user_id, 0)",
    };
    let order = if order.is_empty() { String::new() } else { format!("{order} {sort}, ") };
    let (limit, offset) = (c.param(&page.limit), c.param(&page.offset));
    let sql = format!(
        "SELECT {COLUMNS} FROM pipelines p{} ORDER BY {order}p.id {sort} LIMIT {limit} OFFSET {offset}",
        c.sql()
    );
    all(&tx.query(&sql, &c.params())?, read)
}

/// How many pipelines [`list`] has.
pub fn count(tx: &mut Tx<'_>, filter: &Filter) -> Result<i64> {
    let c = conditions(filter);
    tx.query_one(&format!("SELECT count(*) FROM pipelines p{}", c.sql()), &c.params())?.get(0)
}

/// The pipeline with an id.
pub fn find(tx: &mut Tx<'_>, id: PipelineId) -> Result<Option<Pipeline>> {
    let sql = format!("SELECT {COLUMNS} FROM pipelines p WHERE p.id = $1");
    tx.query_opt(&sql, params![id])?.as_ref().map(read).transpose()
}

/// Those of the ids that exist, in no order.
pub fn find_all(tx: &mut Tx<'_>, ids: &[PipelineId]) -> Result<Vec<Pipeline>> {
    let sql = |ids: &str| format!("SELECT {COLUMNS} FROM pipelines p WHERE p.id IN ({ids})");
    all(&bulk::each_of(tx, ids, sql)?, read)
}

/// The newest pipeline of a ref that is no child; of one commit if it is given.
pub fn latest(
    tx: &mut Tx<'_>,
    project_id: ProjectId,
    ref_name: &str,
    sha: Option<&str>,
) -> Result<Option<Pipeline>> {
    let filter = Filter {
        project_id: Some(project_id),
        ref_name: Some(ref_name.to_owned()),
        sha: sha.map(str::to_owned),
        ..Filter::default()
    };
    Ok(list(tx, &filter, Page::first(1))?.into_iter().next())
}

/// The newest pipeline of a commit that is no child, whatever its ref.
pub fn latest_of_commit(tx: &mut Tx<'_>, project_id: ProjectId, sha: &str) -> Result<Option<Pipeline>> {
    let filter = Filter { project_id: Some(project_id), sha: Some(sha.to_owned()), ..Filter::default() };
    Ok(list(tx, &filter, Page::first(1))?.into_iter().next())
}

/// The unfinished pipelines of a ref that are older than `id` and that a newer one may cancel, the oldest first; and
/// child pipelines, whose age is that of their outermost parent ([`root`]).
/// Source: `app/services/ci/pipeline_creation/cancel_redundant_pipelines_service.rb`.
pub fn redundant(
    tx: &mut Tx<'_>,
    project_id: ProjectId,
    ref_name: &str,
    id: PipelineId,
) -> Result<Vec<Pipeline>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM pipelines p
         WHERE p.project_id = $1 AND p.ref = $2 AND (p.id < $3 OR p.child) AND NOT p.tag
           AND p.status NOT IN ('success', 'failed', 'canceled', 'skipped')
           AND p.sha <> (SELECT n.sha FROM pipelines n WHERE n.id = $3)
         ORDER BY p.id"
    );
    all(&tx.query(&sql, params![project_id, ref_name, id])?, read)
}

/// The pipelines of a merge request: those that ran for it, in whatever project, and those of its commits on its source
/// branch. Source: `Ci::PipelinesForMergeRequestFinder`.
const OF_MERGE_REQUEST: &str = "(p.merge_request_id = $1 OR (p.project_id = $2 AND p.ref = $3 AND NOT p.tag
     AND p.sha IN (SELECT d.sha FROM merge_request_diffs d WHERE d.merge_request_id = $1))) AND NOT p.child";

/// The pipelines of a merge request, the newest first.
pub fn of_merge_request(tx: &mut Tx<'_>, it: &MergeRequest, page: Page) -> Result<Vec<Pipeline>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM pipelines p WHERE {OF_MERGE_REQUEST} ORDER BY p.id DESC LIMIT $4 OFFSET $5"
    );
    let params = params![it.id, it.source_project_id, it.source_branch, page.limit, page.offset];
    all(&tx.query(&sql, params)?, read)
}

/// How many pipelines [`of_merge_request`] has.
pub fn count_of_merge_request(tx: &mut Tx<'_>, it: &MergeRequest) -> Result<i64> {
    let sql = format!("SELECT count(*) FROM pipelines p WHERE {OF_MERGE_REQUEST}");
    tx.query_one(&sql, params![it.id, it.source_project_id, it.source_branch])?.get(0)
}

/// The newest pipeline of a merge request's newest commit.
pub fn head_of_merge_request(tx: &mut Tx<'_>, it: &MergeRequest) -> Result<Option<Pipeline>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM pipelines p
         WHERE {OF_MERGE_REQUEST} AND (p.sha = $4 OR p.source_sha = $4) ORDER BY p.id DESC LIMIT 1"
    );
    let params = params![it.id, it.source_project_id, it.source_branch, it.sha];
    tx.query_opt(&sql, params)?.as_ref().map(read).transpose()
}

/// Whether a commit of a merge request has run for it.
pub fn has_for_head(tx: &mut Tx<'_>, id: MergeRequestId, sha: &str) -> Result<bool> {
    let sql =
        "SELECT id FROM pipelines WHERE merge_request_id = $1 AND (sha = $2 OR source_sha = $2) LIMIT 1";
    Ok(tx.query_opt(sql, params![id, sha])?.is_some())
}

/// A pipeline's stages, in order.
pub fn stages(tx: &mut Tx<'_>, id: PipelineId) -> Result<Vec<Stage>> {
    let sql = "SELECT id, position, name, status FROM stages WHERE pipeline_id = $1 ORDER BY position";
    all(&tx.query(sql, params![id])?, |row| {
        Ok(Stage { id: row.get(0)?, position: row.get(1)?, name: row.get(2)?, status: row.get(3)? })
    })
}

/// The merged configuration, if it was kept.
pub fn merged_yaml(tx: &mut Tx<'_>, id: PipelineId) -> Result<Option<String>> {
    let sql = "SELECT merged_yaml FROM pipeline_configs WHERE pipeline_id = $1";
    tx.query_opt(sql, params![id])?.map(|row| row.get(0)).transpose()
}

/// The mean of the coverage of a pipeline's newest attempts, in percent.
pub fn coverage(tx: &mut Tx<'_>, id: PipelineId) -> Result<Option<f64>> {
    let sql =
        "SELECT avg(coverage) FROM jobs WHERE pipeline_id = $1 AND NOT retried AND coverage IS NOT NULL";
    tx.query_one(sql, params![id])?.get(0)
}

/// Whether a newest attempt failed and was allowed to: the pipeline passed with warnings.
pub fn has_warnings(tx: &mut Tx<'_>, id: PipelineId) -> Result<bool> {
    let sql = "SELECT id FROM jobs
               WHERE pipeline_id = $1 AND NOT retried AND allow_failure AND status IN ('failed', 'canceled')
               LIMIT 1";
    Ok(tx.query_opt(sql, params![id])?.is_some())
}

/// Gives a pipeline another name.
pub fn set_name(tx: &mut Tx<'_>, id: PipelineId, name: &str, now: Timestamp) -> Result<()> {
    let sql = "UPDATE pipelines SET name = $2, updated_at = $3 WHERE id = $1";
    tx.execute(sql, params![id, name, now])?;
    Ok(())
}

/// Notes which newer pipeline canceled one.
pub fn set_canceled_by(tx: &mut Tx<'_>, id: PipelineId, by: PipelineId) -> Result<()> {
    tx.execute("UPDATE pipelines SET canceled_by_pipeline_id = $2 WHERE id = $1", params![id, by])?;
    Ok(())
}

/// Deletes a pipeline with its jobs and its child pipelines; their objects are left to
/// [`object_deletions`](crate::object_deletions). `false` if there is none.
pub fn delete(tx: &mut Tx<'_>, id: PipelineId, now: Timestamp) -> Result<bool> {
    let mut deleted = 0;
    for id in self_and_descendants(tx, id, true, usize::MAX)? {
        let lock = format!("SELECT project_id FROM pipelines WHERE id = $1{}", tx.for_update());
        let Some(row) = tx.query_opt(&lock, params![id])? else { continue };
        let project_id = row.get(0)?;
        let queued = tx.query(
            "SELECT j.id FROM jobs j JOIN queue q ON q.job_id = j.id WHERE j.pipeline_id = $1",
            params![id],
        )?;
        let queued = queued.iter().map(|row| row.get(0)).collect::<Result<Vec<JobId>>>()?;
        queue::remove(tx, &queued)?;
        let running: i64 = tx
            .query_one(
                "SELECT count(*) FROM jobs
                 WHERE pipeline_id = $1 AND status IN ('running', 'canceling') AND on_instance_runner",
                params![id],
            )?
            .get(0)?;
        if running > 0 {
            queue::count_running(tx, project_id, -running)?;
        }
        artifacts::give_up_pipeline(tx, id, now)?;
        traces::give_up_pipeline(tx, id, now)?;
        deleted += tx.execute("DELETE FROM pipelines WHERE id = $1", params![id])?;
    }
    Ok(deleted > 0)
}
