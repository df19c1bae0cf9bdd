//! Merge requests, and who let their commits run in the target project.

use weir_api::id::{MergeRequestId, ProjectId, UserId};
use weir_api::{AccessLevel, MergeRequestState, MergeStatus, Timestamp};

use crate::columns::{Columns, all};
use crate::filter::Conditions;
use crate::users::contains;
use crate::{Page, Result, Row, Sort, Tx, bulk, params, projects};

/// A merge request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeRequest {
    /// Its id.
    pub id: MergeRequestId,
    /// The project that it changes.
    pub target_project_id: ProjectId,
    /// Its number there, from 1.
    pub iid: i64,
    /// The project that it comes from; none once that is gone.
    pub source_project_id: Option<ProjectId>,
    /// The branch that it brings.
    pub source_branch: String,
    /// The branch that it changes.
    pub target_branch: String,
    /// What it is called.
    pub title: String,
    /// What it is about.
    pub description: Option<String>,
    /// Who made it.
    pub author_id: Option<UserId>,
    /// Who looks after it.
    pub assignee_id: Option<UserId>,
    /// Labels.
    pub labels: Vec<String>,
    /// Where it stands.
    pub state: MergeRequestState,
    /// Whether source and target fitted when somebody last looked.
    pub merge_status: MergeStatus,
    /// The newest commit that came from the source branch.
    pub sha: String,
    /// Its newest diff.
    pub diff_id: i64,
    /// The commit with which that diff compares.
    pub base_sha: Option<String>,
    /// Whether a merge deletes the source branch.
    pub remove_source_branch: bool,
    /// The merge commit.
    pub merge_commit_sha: Option<String>,
    /// Who merged it.
    pub merged_by: Option<UserId>,
    /// When it was merged.
    pub merged_at: Option<Timestamp>,
    /// Who closed it.
    pub closed_by: Option<UserId>,
    /// When it was closed.
    pub closed_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Its last change.
    pub updated_at: Timestamp,
}

impl MergeRequest {
    /// Whether its commits come from another project.
    pub fn is_for_fork(&self) -> bool {
        self.source_project_id != Some(self.target_project_id)
    }
}

/// A merge request to be.
#[derive(Debug, Clone)]
pub struct NewMergeRequest {
    /// The project that it changes.
    pub target_project_id: ProjectId,
    /// The project that it comes from.
    pub source_project_id: ProjectId,
    /// The branch that it brings.
    pub source_branch: String,
    /// The branch that it changes.
    pub target_branch: String,
    /// What it is called.
    pub title: String,
    /// What it is about.
    pub description: Option<String>,
    /// Who makes it.
    pub author_id: UserId,
    /// Who looks after it.
    pub assignee_id: Option<UserId>,
    /// Labels.
    pub labels: Vec<String>,
    /// The newest commit of the source branch.
    pub sha: String,
    /// The newest commit that both branches have.
    pub base_sha: Option<String>,
    /// Whether a merge deletes the source branch.
    pub remove_source_branch: bool,
}

const COLUMNS: &str = "m.id, m.target_project_id, m.iid, m.source_project_id, m.source_branch, m.target_branch, \
     m.title, m.description, m.author_id, m.assignee_id, m.labels, m.state, m.merge_status, m.sha, m.diff_id, \
     m.base_sha, m.remove_source_branch, m.merge_commit_sha, m.merged_by, m.merged_at, m.closed_by, m.closed_at, \
     m.created_at, m.updated_at";

fn read(row: &Row) -> Result<MergeRequest> {
    let mut c = Columns::of(row);
    Ok(MergeRequest {
        id: c.next()?,
        target_project_id: c.next()?,
        iid: c.next()?,
        source_project_id: c.next()?,
        source_branch: c.next()?,
        target_branch: c.next()?,
        title: c.next()?,
        description: c.next()?,
        author_id: c.next()?,
        assignee_id: c.next()?,
        labels: c.json()?,
        state: c.next()?,
        merge_status: c.next()?,
        sha: c.next()?,
        diff_id: c.next()?,
        base_sha: c.next()?,
        remove_source_branch: c.next()?,
        merge_commit_sha: c.next()?,
        merged_by: c.next()?,
        merged_at: c.next()?,
        closed_by: c.next()?,
        closed_at: c.next()?,
        created_at: c.next()?,
        updated_at: c.next()?,
    })
}

/// Adds an open merge request with its first diff.
pub fn insert(tx: &mut Tx<'_>, new: &NewMergeRequest, now: Timestamp) -> Result<MergeRequest> {
    let iid = projects::next_merge_request_iid(tx, new.target_project_id)?;
    let id: MergeRequestId = tx.insert(
        "INSERT INTO merge_requests (target_project_id, iid, source_project_id, source_branch, target_branch,
             title, description, author_id, assignee_id, labels, state, merge_status, sha, diff_id,
             remove_source_branch, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 0, $14, $15, $15) RETURNING id",
        params![
            new.target_project_id,
            iid,
            new.source_project_id,
            new.source_branch,
            new.target_branch,
            new.title,
            new.description,
            new.author_id,
            new.assignee_id,
            serde_json::to_string(&new.labels)?,
            MergeRequestState::Opened,
            MergeStatus::Unchecked,
            new.sha,
            new.remove_source_branch,
            now
        ],
    )?;
    set_head(tx, id, &new.sha, new.base_sha.as_deref(), now)?;
    find(tx, id)?.ok_or(crate::Error::NoRow)
}

/// Notes the newest commit of the source branch, and with which commit it is compared: a new diff.
pub fn set_head(
    tx: &mut Tx<'_>,
    id: MergeRequestId,
    sha: &str,
    base_sha: Option<&str>,
    now: Timestamp,
) -> Result<()> {
    let diff: i64 = tx.insert(
        "INSERT INTO merge_request_diffs (merge_request_id, sha, base_sha, created_at)
         VALUES ($1, $2, $3, $4) RETURNING id",
        params![id, sha, base_sha, now],
    )?;
    tx.execute(
        "UPDATE merge_requests SET sha = $2, base_sha = $3, diff_id = $4, merge_status = $5, updated_at = $6
         WHERE id = $1",
        params![id, sha, base_sha, diff, MergeStatus::Unchecked, now],
    )
    .map(drop)
}

/// The merge request with an id.
pub fn find(tx: &mut Tx<'_>, id: MergeRequestId) -> Result<Option<MergeRequest>> {
    let sql = format!("SELECT {COLUMNS} FROM merge_requests m WHERE m.id = $1");
    tx.query_opt(&sql, params![id])?.as_ref().map(read).transpose()
}

/// The merge request with a number in the project that it changes.
pub fn find_by_iid(tx: &mut Tx<'_>, project: ProjectId, iid: i64) -> Result<Option<MergeRequest>> {
    let sql = format!("SELECT {COLUMNS} FROM merge_requests m WHERE m.target_project_id = $1 AND m.iid = $2");
    tx.query_opt(&sql, params![project, iid])?.as_ref().map(read).transpose()
}

/// Writes what changes in a merge request's life; its head is [`set_head`]'s.
pub fn update(tx: &mut Tx<'_>, it: &MergeRequest, now: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE merge_requests SET target_branch = $2, title = $3, description = $4, assignee_id = $5,
             labels = $6, state = $7, merge_status = $8, remove_source_branch = $9, merge_commit_sha = $10,
             merged_by = $11, merged_at = $12, closed_by = $13, closed_at = $14, updated_at = $15
         WHERE id = $1",
        params![
            it.id,
            it.target_branch,
            it.title,
            it.description,
            it.assignee_id,
            serde_json::to_string(&it.labels)?,
            it.state,
            it.merge_status,
            it.remove_source_branch,
            it.merge_commit_sha,
            it.merged_by,
            it.merged_at,
            it.closed_by,
            it.closed_at,
            now
        ],
    )
    .map(drop)
}

/// Notes whether source and target fit; that is no change of the merge request.
pub fn set_merge_status(tx: &mut Tx<'_>, id: MergeRequestId, status: MergeStatus) -> Result<()> {
    tx.execute("UPDATE merge_requests SET merge_status = $2 WHERE id = $1", params![id, status]).map(drop)
}

/// Deletes a merge request; `false` if there is none.
pub fn delete(tx: &mut Tx<'_>, id: MergeRequestId) -> Result<bool> {
    Ok(tx.execute("DELETE FROM merge_requests WHERE id = $1", params![id])? == 1)
}

/// Which merge requests to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only those that change this project.
    pub target_project_id: Option<ProjectId>,
    /// Only those that come from this project.
    pub source_project_id: Option<ProjectId>,
    /// Only with these numbers.
    pub iids: Vec<i64>,
    /// Only in this state.
    pub state: Option<MergeRequestState>,
    /// Only by this user.
    pub author_id: Option<UserId>,
    /// Only those that this user looks after.
    pub assignee_id: Option<UserId>,
    /// Only of this branch.
    pub source_branch: Option<String>,
    /// Only for this branch.
    pub target_branch: Option<String>,
    /// Only those whose title or description contains it, whatever the case.
    pub search: Option<String>,
    /// Only those of projects whose code this user sees; administrators need no filter.
    pub visible_to: Option<UserId>,
    /// Only those of public projects.
    pub public_only: bool,
    /// The order.
    pub order_by: OrderBy,
    /// Its direction.
    pub sort: Sort,
}

/// The order of a list of merge requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OrderBy {
    /// By creation.
    #[default]
    CreatedAt,
    /// By last change.
    UpdatedAt,
    /// By title.
    Title,
    /// By the time of the merge.
    MergedAt,
}

fn conditions<'v>(filter: &'v Filter, pattern: Option<&'v String>) -> Conditions<'v> {
    let mut c = Conditions::default();
    c.maybe("m.target_project_id = $?", filter.target_project_id.as_ref());
    c.maybe("m.source_project_id = $?", filter.source_project_id.as_ref());
    c.any("m.iid", &filter.iids);
    c.maybe("m.state = $?", filter.state.as_ref());
    c.maybe("m.author_id = $?", filter.author_id.as_ref());
    c.maybe("m.assignee_id = $?", filter.assignee_id.as_ref());
    c.maybe("m.source_branch = $?", filter.source_branch.as_ref());
    c.maybe("m.target_branch = $?", filter.target_branch.as_ref());
    c.maybe("(lower(m.title) LIKE lower($?) OR lower(m.description) LIKE lower($?))", pattern);
    if let Some(user) = &filter.visible_to {
        let member = projects::membership(AccessLevel::Reporter);
        let seen = "SELECT p.id FROM projects p WHERE NOT p.deleting AND";
        c.with(&format!("m.target_project_id IN ({seen} (p.visibility <> 'private' OR {member}))"), user);
    }
    if filter.public_only {
        c.is("m.target_project_id IN (SELECT p.id FROM projects p
              WHERE NOT p.deleting AND p.visibility = 'public')");
    }
    c
}

/// Merge requests.
pub fn list(tx: &mut Tx<'_>, filter: &Filter, page: Page) -> Result<Vec<MergeRequest>> {
    let pattern = filter.search.as_deref().map(contains);
    let mut c = conditions(filter, pattern.as_ref());
    let sort = filter.sort.sql();
    let order = match filter.order_by {
        OrderBy::CreatedAt => "m.created_at",
        OrderBy::UpdatedAt => "m.updated_at",
        OrderBy::Title => "lower(m.title)",
        // NULL stands elsewhere on each engine.
        OrderBy::MergedAt => "coalesce(m.merged_at, 0)",
    };
    let (limit, offset) = (c.param(&page.limit), c.param(&page.offset));
    let sql = format!(
        "SELECT {COLUMNS} FROM merge_requests m{} ORDER BY {order} {sort}, m.id {sort}
         LIMIT {limit} OFFSET {offset}",
        c.sql()
    );
    all(&tx.query(&sql, &c.params())?, read)
}

/// How many merge requests [`list`] has.
pub fn count(tx: &mut Tx<'_>, filter: &Filter) -> Result<i64> {
    let pattern = filter.search.as_deref().map(contains);
    let c = conditions(filter, pattern.as_ref());
    tx.query_one(&format!("SELECT count(*) FROM merge_requests m{}", c.sql()), &c.params())?.get(0)
}

/// The open merge requests that bring a branch, the oldest first.
pub fn open_of_source(
    tx: &mut Tx<'_>,
    project: ProjectId,
    branch: &str,
    limit: i64,
) -> Result<Vec<MergeRequest>> {
    let filter = Filter {
        source_project_id: Some(project),
        source_branch: Some(branch.to_owned()),
        state: Some(MergeRequestState::Opened),
        sort: Sort::Asc,
        ..Filter::default()
    };
    list(tx, &filter, Page::first(limit))
}

/// Those of the ids that exist, in no order.
pub fn find_all(tx: &mut Tx<'_>, ids: &[MergeRequestId]) -> Result<Vec<MergeRequest>> {
    let sql = |ids: &str| format!("SELECT {COLUMNS} FROM merge_requests m WHERE m.id IN ({ids})");
    all(&bulk::each_of(tx, ids, sql)?, read)
}

/// Somebody let a commit run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// The commit.
    pub sha: String,
    /// Who.
    pub user_id: UserId,
    /// The level that they had in the target project.
    pub access_level: AccessLevel,
    /// When.
    pub created_at: Timestamp,
}

/// Notes that somebody lets exactly this commit of a merge request run. Who repeats it says nothing new, unless
/// with another level.
pub fn approve(
    tx: &mut Tx<'_>,
    id: MergeRequestId,
    sha: &str,
    user: UserId,
    level: AccessLevel,
    now: Timestamp,
) -> Result<()> {
    tx.execute(
        "INSERT INTO pipeline_approvals (merge_request_id, sha, user_id, access_level, created_at)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (merge_request_id, sha, user_id)
         DO UPDATE SET access_level = excluded.access_level, created_at = excluded.created_at",
        params![id, sha, user, level, now],
    )
    .map(drop)
}

/// Who let a commit of a merge request run, the first first.
pub fn approvals(tx: &mut Tx<'_>, id: MergeRequestId, sha: &str) -> Result<Vec<Approval>> {
    let sql = "SELECT sha, user_id, access_level, created_at FROM pipeline_approvals
               WHERE merge_request_id = $1 AND sha = $2 ORDER BY created_at, user_id";
    all(&tx.query(sql, params![id, sha])?, |row| {
        Ok(Approval {
            sha: row.get(0)?,
            user_id: row.get(1)?,
            access_level: row.get(2)?,
            created_at: row.get(3)?,
        })
    })
}
