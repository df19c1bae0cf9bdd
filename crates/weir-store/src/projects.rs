//! Projects.

use serde::{Deserialize, Serialize};
use weir_api::id::{NamespaceId, ProjectId, UserId};
use weir_api::{AccessLevel, FeatureAccess, GitStrategy, MergeMethod, ProcessMode, Timestamp, Visibility};

use crate::columns::{Columns, all};
use crate::filter::Conditions;
use crate::users::contains;
use crate::{Page, Result, Row, Sort, Tx, bulk, object_deletions, params};

/// A project.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of GitLab's, and a column of its own")]
pub struct Project {
    /// Its id.
    pub id: ProjectId,
    /// Where it is.
    pub namespace_id: NamespaceId,
    /// The project that it was forked from, if any and if that is still there.
    pub forked_from_id: Option<ProjectId>,
    /// Who made it.
    pub creator_id: Option<UserId>,
    /// The name shown.
    pub name: String,
    /// The last part of its path.
    pub path: String,
    /// The path from the root on.
    pub full_path: String,
    /// What it is about.
    pub description: Option<String>,
    /// Who sees it.
    pub visibility: Visibility,
    /// Whether it can only be read.
    pub archived: bool,
    /// Whether it is about to be deleted; its jobs are no longer handed out.
    pub deleting: bool,
    /// The branch that counts where none is named; none while the repository is empty.
    pub default_branch: Option<String>,
    /// The settings that no query needs.
    pub settings: Settings,
    /// Who may use CI/CD.
    pub builds_access_level: FeatureAccess,
    /// Whether pipelines are public: `public_jobs`.
    pub public_jobs: bool,
    /// Whether instance runners take its jobs.
    pub shared_runners_enabled: bool,
    /// Whether its groups' runners take its jobs.
    pub group_runners_enabled: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// When something last happened in it.
    pub last_activity_at: Timestamp,
}

/// Settings that no query needs, stored as JSON; a setting that a stored text lacks has its default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of GitLab's")]
pub struct Settings {
    /// Seconds that a job may take.
    pub build_timeout: u64,
    /// Where the configuration is; `None` is `.gitlab-ci.yml`.
    pub ci_config_path: Option<String>,
    /// `GIT_DEPTH` of jobs; `None` or 0 fetches all.
    pub ci_default_git_depth: Option<u32>,
    /// How jobs get their sources.
    pub build_git_strategy: GitStrategy,
    /// `auto_cancel_pending_pipelines`.
    pub auto_cancel_pending_pipelines: bool,
    /// Whether the artifacts of the newest successful pipeline of each ref stay.
    pub keep_latest_artifact: bool,
    /// `ci_forward_deployment_enabled`.
    pub ci_forward_deployment_enabled: bool,
    /// `ci_forward_deployment_rollback_allowed`.
    pub ci_forward_deployment_rollback_allowed: bool,
    /// Whether protected and other refs have caches of their own.
    pub ci_separated_caches: bool,
    /// `ci_job_token_scope_enabled`.
    pub ci_job_token_scope_enabled: bool,
    /// `ci_push_repository_for_job_token_allowed`.
    pub ci_push_repository_for_job_token_allowed: bool,
    /// `ci_allow_fork_pipelines_to_run_in_parent_project`.
    pub ci_allow_fork_pipelines_to_run_in_parent_project: bool,
    /// Who may give variables to a pipeline; `None` is `no_one_allowed`.
    pub ci_pipeline_variables_minimum_override_role: Option<AccessLevel>,
    /// Age in seconds at which pipelines are deleted.
    pub ci_delete_pipelines_in_seconds: Option<u64>,
    /// What the subject of an ID token is made of.
    pub ci_id_token_sub_claim_components: Vec<String>,
    /// The lowest role that may cancel pipelines: `developer`, `maintainer` or `no_one`.
    pub ci_restrict_pipeline_cancellation_role: Option<String>,
    /// Seconds that a project runner's token lives; `None` is forever.
    pub runner_token_expiration_interval: Option<u64>,
    /// Who may use environments.
    pub environments_access_level: FeatureAccess,
    /// `restrict_user_defined_variables`.
    pub restrict_user_defined_variables: bool,
    /// `only_allow_merge_if_pipeline_succeeds`.
    pub only_allow_merge_if_pipeline_succeeds: bool,
    /// `allow_merge_on_skipped_pipeline`.
    pub allow_merge_on_skipped_pipeline: bool,
    /// The process mode of new resource groups.
    pub resource_group_default_process_mode: ProcessMode,
    /// `merge_method`.
    pub merge_method: MergeMethod,
    /// Whether merge requests' pipelines run what merging would make: `merge_pipelines_enabled`.
    pub merge_pipelines_enabled: bool,
    /// Whether pipelines of merge requests between protected branches are protected:
    /// `protect_merge_request_pipelines`.
    pub protect_merge_request_pipelines: bool,
    /// Whether a merge deletes the source branch unless it is told otherwise.
    pub remove_source_branch_after_merge: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            build_timeout: 3600,
            ci_config_path: None,
            ci_default_git_depth: Some(20),
            build_git_strategy: GitStrategy::Fetch,
            auto_cancel_pending_pipelines: true,
            keep_latest_artifact: true,
            ci_forward_deployment_enabled: true,
            ci_forward_deployment_rollback_allowed: true,
            ci_separated_caches: true,
            ci_job_token_scope_enabled: false,
            ci_push_repository_for_job_token_allowed: false,
            ci_allow_fork_pipelines_to_run_in_parent_project: true,
            ci_pipeline_variables_minimum_override_role: Some(AccessLevel::Developer),
            ci_delete_pipelines_in_seconds: None,
            ci_id_token_sub_claim_components: ["project_path", "ref_type", "ref"].map(str::to_owned).into(),
            ci_restrict_pipeline_cancellation_role: None,
            runner_token_expiration_interval: None,
            environments_access_level: FeatureAccess::Enabled,
            restrict_user_defined_variables: false,
            only_allow_merge_if_pipeline_succeeds: false,
            allow_merge_on_skipped_pipeline: false,
            resource_group_default_process_mode: ProcessMode::Unordered,
            merge_method: MergeMethod::Merge,
            merge_pipelines_enabled: false,
            protect_merge_request_pipelines: true,
            remove_source_branch_after_merge: true,
        }
    }
}

/// A project to be.
#[derive(Debug, Clone)]
pub struct NewProject {
    /// Where it is.
    pub namespace_id: NamespaceId,
    /// Who makes it.
    pub creator_id: UserId,
    /// The name shown.
    pub name: String,
    /// The last part of its path.
    pub path: String,
    /// What it is about.
    pub description: Option<String>,
    /// Who sees it.
    pub visibility: Visibility,
    /// The branch that counts where none is named.
    pub default_branch: Option<String>,
    /// The settings that no query needs.
    pub settings: Settings,
    /// Who may use CI/CD.
    pub builds_access_level: FeatureAccess,
    /// Whether pipelines are public.
    pub public_jobs: bool,
    /// Whether instance runners take its jobs.
    pub shared_runners_enabled: bool,
    /// Whether its groups' runners take its jobs.
    pub group_runners_enabled: bool,
}

/// Which projects to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only those whose name or path contains it, whatever the case.
    pub search: Option<String>,
    /// Only the forks of this project.
    pub forked_from: Option<ProjectId>,
    /// Only those right in this namespace.
    pub namespace_id: Option<NamespaceId>,
    /// Only those in or below this namespace.
    pub below: Option<NamespaceId>,
    /// Only those that this user sees.
    pub visible_to: Option<UserId>,
    /// Only public ones. For callers who are nobody.
    pub public_only: bool,
    /// Only those where this user has at least this level: as a member, by a group above, or as owner of the
    /// namespace. `membership` is the level Guest, `owned` Owner.
    pub member: Option<(UserId, AccessLevel)>,
    /// Only those with this visibility.
    pub visibility: Option<Visibility>,
    /// Only archived ones, or only others.
    pub archived: Option<bool>,
    /// Only those with a greater id.
    pub id_after: Option<ProjectId>,
    /// Only those with a smaller id.
    pub id_before: Option<ProjectId>,
    /// The order.
    pub order_by: OrderBy,
    /// Its direction.
    pub sort: Sort,
}

/// The order of a list of projects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OrderBy {
    /// By id.
    Id,
    /// By name.
    Name,
    /// By the last part of the path.
    Path,
    /// By creation.
    #[default]
    CreatedAt,
    /// By last change.
    UpdatedAt,
    /// By last activity.
    LastActivityAt,
}

const COLUMNS: &str = "p.id, p.namespace_id, p.forked_from_id, p.creator_id, p.name, p.path, p.full_path, p.description, \
     p.visibility, p.archived, p.deleting, p.default_branch, p.settings, p.builds_access_level, p.public_jobs, \
     p.shared_runners_enabled, p.group_runners_enabled, p.created_at, p.updated_at, p.last_activity_at";

fn read(row: &Row) -> Result<Project> {
    let mut c = Columns::of(row);
    Ok(Project {
        id: c.next()?,
        namespace_id: c.next()?,
        forked_from_id: c.next()?,
        creator_id: c.next()?,
        name: c.next()?,
        path: c.next()?,
        full_path: c.next()?,
        description: c.next()?,
        visibility: c.next()?,
        archived: c.next()?,
        deleting: c.next()?,
        default_branch: c.next()?,
        settings: c.json()?,
        builds_access_level: c.next()?,
        public_jobs: c.next()?,
        shared_runners_enabled: c.next()?,
        group_runners_enabled: c.next()?,
        created_at: c.next()?,
        updated_at: c.next()?,
        last_activity_at: c.next()?,
    })
}

/// Adds a project. [`Error::Conflict`](crate::Error::Conflict) on `routes.path` if its path is taken.
pub fn insert(tx: &mut Tx<'_>, new: &NewProject, now: Timestamp) -> Result<Project> {
    let settings = serde_json::to_string(&new.settings)?;
    let above: String =
        tx.query_one("SELECT full_path FROM namespaces WHERE id = $1", params![new.namespace_id])?.get(0)?;
    let full_path = format!("{above}/{}", new.path);
    let id: ProjectId = tx.insert(
        "INSERT INTO projects (namespace_id, creator_id, name, path, full_path, description, visibility,
             archived, deleting, default_branch, settings, builds_access_level, public_jobs,
             shared_runners_enabled, group_runners_enabled, last_pipeline_iid, created_at, updated_at,
             last_activity_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, FALSE, FALSE, $8, $9, $10, $11, $12, $13, 0, $14, $14, $14)
         RETURNING id",
        params![
            new.namespace_id,
            new.creator_id,
            new.name,
            new.path,
            full_path,
            new.description,
            new.visibility,
            new.default_branch,
            settings,
            new.builds_access_level,
            new.public_jobs,
            new.shared_runners_enabled,
            new.group_runners_enabled,
            now
        ],
    )?;
    tx.execute("INSERT INTO routes (path, project_id) VALUES (lower($1), $2)", params![full_path, id])?;
    find(tx, id)?.ok_or(crate::Error::NoRow)
}

/// Makes other transactions that ask for the same wait until this one ends. Nothing on SQLite, where writers never
/// overlap.
pub fn lock(tx: &mut Tx<'_>, id: ProjectId) -> Result<()> {
    let sql = format!("SELECT id FROM projects WHERE id = $1{}", tx.for_update());
    tx.query(&sql, params![id]).map(drop)
}

/// The project with an id.
pub fn find(tx: &mut Tx<'_>, id: ProjectId) -> Result<Option<Project>> {
    let sql = format!("SELECT {COLUMNS} FROM projects p WHERE p.id = $1");
    tx.query_opt(&sql, params![id])?.as_ref().map(read).transpose()
}

/// Those of the ids that exist, in no order.
pub fn find_all(tx: &mut Tx<'_>, ids: &[ProjectId]) -> Result<Vec<Project>> {
    let sql = |ids: &str| format!("SELECT {COLUMNS} FROM projects p WHERE p.id IN ({ids})");
    all(&bulk::each_of(tx, ids, sql)?, read)
}

/// The project at a full path, whatever the case.
pub fn find_by_path(tx: &mut Tx<'_>, full_path: &str) -> Result<Option<Project>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM routes r JOIN projects p ON p.id = r.project_id WHERE r.path = lower($1)"
    );
    tx.query_opt(&sql, params![full_path])?.as_ref().map(read).transpose()
}

/// A membership at or above a level, by any way. The user is `$?`, the project `p`.
pub(crate) fn membership(level: AccessLevel) -> String {
    let level = level.number();
    format!(
        "(EXISTS (SELECT 1 FROM members m
                  WHERE m.user_id = $? AND m.project_id = p.id AND m.access_level >= {level})
          OR EXISTS (SELECT 1 FROM members m JOIN namespace_ancestors a ON a.ancestor_id = m.group_id
                     WHERE m.user_id = $? AND a.namespace_id = p.namespace_id AND m.access_level >= {level})
          OR EXISTS (SELECT 1 FROM namespaces n WHERE n.id = p.namespace_id AND n.owner_id = $?))"
    )
}

fn conditions<'v>(filter: &'v Filter, pattern: Option<&'v String>) -> Conditions<'v> {
    let mut c = Conditions::default();
    c.maybe("(lower(p.name) LIKE lower($?) OR lower(p.full_path) LIKE lower($?))", pattern);
    c.maybe("p.forked_from_id = $?", filter.forked_from.as_ref());
    c.maybe("p.namespace_id = $?", filter.namespace_id.as_ref());
    c.maybe(
        "p.namespace_id IN (SELECT a.namespace_id FROM namespace_ancestors a WHERE a.ancestor_id = $?)",
        filter.below.as_ref(),
    );
    if let Some(user) = &filter.visible_to {
        c.with(&format!("(p.visibility <> 'private' OR {})", membership(AccessLevel::Guest)), user);
    }
    if filter.public_only {
        c.is("p.visibility = 'public'");
    }
    if let Some((user, level)) = &filter.member {
        c.with(&membership(*level), user);
    }
    c.maybe("p.visibility = $?", filter.visibility.as_ref());
    c.maybe("p.archived = $?", filter.archived.as_ref());
    c.maybe("p.id > $?", filter.id_after.as_ref());
    c.maybe("p.id < $?", filter.id_before.as_ref());
    c.is("NOT p.deleting");
    c
}

/// Projects that are not about to be deleted.
pub fn list(tx: &mut Tx<'_>, filter: &Filter, page: Page) -> Result<Vec<Project>> {
    let pattern = filter.search.as_deref().map(contains);
    let mut c = conditions(filter, pattern.as_ref());
    let order = match filter.order_by {
        OrderBy::Id => "p.id",
        OrderBy::Name => "lower(p.name)",
        OrderBy::Path => "lower(p.path)",
        OrderBy::CreatedAt => "p.created_at",
        OrderBy::UpdatedAt => "p.updated_at",
        OrderBy::LastActivityAt => "p.last_activity_at",
    };
    let sort = filter.sort.sql();
    let (limit, offset) = (c.param(&page.limit), c.param(&page.offset));
    let sql = format!(
        "SELECT {COLUMNS} FROM projects p{} ORDER BY {order} {sort}, p.id {sort} LIMIT {limit} OFFSET {offset}",
        c.sql()
    );
    all(&tx.query(&sql, &c.params())?, read)
}

/// How many projects [`list`] has.
pub fn count(tx: &mut Tx<'_>, filter: &Filter) -> Result<i64> {
    let pattern = filter.search.as_deref().map(contains);
    let c = conditions(filter, pattern.as_ref());
    tx.query_one(&format!("SELECT count(*) FROM projects p{}", c.sql()), &c.params())?.get(0)
}

/// Writes everything but path, namespace, creator and creation.
pub fn update(tx: &mut Tx<'_>, project: &Project, now: Timestamp) -> Result<()> {
    let settings = serde_json::to_string(&project.settings)?;
    tx.execute(
        "UPDATE projects SET name = $2, description = $3, visibility = $4, archived = $5, deleting = $6,
             default_branch = $7, settings = $8, builds_access_level = $9, public_jobs = $10,
             shared_runners_enabled = $11, group_runners_enabled = $12, updated_at = $13
         WHERE id = $1",
        params![
            project.id,
            project.name,
            project.description,
            project.visibility,
            project.archived,
            project.deleting,
            project.default_branch,
            settings,
            project.builds_access_level,
            project.public_jobs,
            project.shared_runners_enabled,
            project.group_runners_enabled,
            now
        ],
    )?;
    Ok(())
}

/// Gives a project another path in its namespace.
pub fn rename(tx: &mut Tx<'_>, project: &Project, path: &str, now: Timestamp) -> Result<()> {
    let full_path = project
        .full_path
        .rsplit_once('/')
        .map_or_else(|| path.to_owned(), |(above, _)| format!("{above}/{path}"));
    tx.execute("UPDATE routes SET path = lower($2) WHERE project_id = $1", params![project.id, full_path])?;
    tx.execute(
        "UPDATE projects SET path = $2, full_path = $3, updated_at = $4 WHERE id = $1",
        params![project.id, path, full_path, now],
    )?;
    Ok(())
}

/// Notes from which project one was forked.
pub fn set_forked_from(tx: &mut Tx<'_>, id: ProjectId, parent: Option<ProjectId>) -> Result<()> {
    tx.execute("UPDATE projects SET forked_from_id = $2 WHERE id = $1", params![id, parent]).map(drop)
}

/// How many forks projects have; one that has none is left out.
pub fn count_forks(tx: &mut Tx<'_>, ids: &[ProjectId]) -> Result<Vec<(ProjectId, i64)>> {
    let sql = |ids: &str| {
        format!(
            "SELECT forked_from_id, count(*) FROM projects
             WHERE forked_from_id IN ({ids}) AND NOT deleting GROUP BY forked_from_id"
        )
    };
    all(&bulk::each_of(tx, ids, sql)?, |row| Ok((row.get(0)?, row.get(1)?)))
}

/// The number of a project's next merge request.
pub(crate) fn next_merge_request_iid(tx: &mut Tx<'_>, id: ProjectId) -> Result<i64> {
    let sql = "UPDATE projects SET last_merge_request_iid = last_merge_request_iid + 1 WHERE id = $1
               RETURNING last_merge_request_iid";
    tx.query_one(sql, params![id])?.get(0)
}

/// Whether another project in the namespace has the name.
pub fn is_name_taken(
    tx: &mut Tx<'_>,
    namespace_id: NamespaceId,
    name: &str,
    but_for: Option<ProjectId>,
) -> Result<bool> {
    let sql = "SELECT id FROM projects WHERE namespace_id = $1 AND name = $2";
    let rows = tx.query(sql, params![namespace_id, name])?;
    let ids = rows.iter().map(|row| row.get(0)).collect::<Result<Vec<ProjectId>>>()?;
    Ok(ids.iter().any(|id| Some(*id) != but_for))
}

/// Notes that something happened; written at most once a minute.
pub fn active(tx: &mut Tx<'_>, id: ProjectId, now: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE projects SET last_activity_at = $2 WHERE id = $1 AND last_activity_at < $3",
        params![id, now, now.plus_secs(-60)],
    )?;
    Ok(())
}

/// Projects that are about to be deleted, and whose repository is to go first.
pub fn deleting(tx: &mut Tx<'_>, limit: i64) -> Result<Vec<Project>> {
    let sql = format!("SELECT {COLUMNS} FROM projects p WHERE p.deleting ORDER BY p.id LIMIT $1");
    all(&tx.query(&sql, params![limit])?, read)
}

/// Deletes a project with all that is its own; its objects are left to [`object_deletions`]. `false` if there is
/// none.
pub fn delete(tx: &mut Tx<'_>, id: ProjectId, now: Timestamp) -> Result<bool> {
    let rows = tx.query(
        "SELECT object_key FROM artifacts WHERE project_id = $1
         UNION ALL
         SELECT t.object_key FROM traces t JOIN jobs j ON j.id = t.job_id
         WHERE j.project_id = $1 AND t.object_key IS NOT NULL",
        params![id],
    )?;
    let keys = rows.iter().map(|row| row.get(0)).collect::<Result<Vec<String>>>()?;
    object_deletions::add(tx, &keys, now)?;
    Ok(tx.execute("DELETE FROM projects WHERE id = $1", params![id])? == 1)
}
