//! Runners and their managers.

use weir_api::id::{JobId, NamespaceId, ProjectId, RunnerId, RunnerManagerId, TagSetId, UserId};
use weir_api::{RunnerAccessLevel, RunnerType, Timestamp};

use crate::columns::{Columns, all};
use crate::filter::Conditions;
use crate::secrets::TokenDigest;
use crate::{Page, Result, Row, Tx, bulk, params, tag_sets};

/// Contact is written at most once in so many seconds. Source: `app/models/ci/runner.rb` writes every 40 to 55
/// minutes; online is within two hours.
const CONTACT_INTERVAL: i64 = 40 * 60;
/// Contact within so many seconds is online. Source: `ONLINE_CONTACT_TIMEOUT`.
const ONLINE: i64 = 2 * 3600;
/// No contact within so many seconds is stale. Source: `STALE_TIMEOUT`.
const STALE: i64 = 7 * 24 * 3600;

/// A runner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runner {
    /// Its id.
    pub id: RunnerId,
    /// Whom it serves.
    pub runner_type: RunnerType,
    /// The group of a group runner.
    pub group_id: Option<NamespaceId>,
    /// What it is.
    pub description: Option<String>,
    /// What its users should know.
    pub maintenance_note: Option<String>,
    /// Its tags, in order.
    pub tags: Vec<String>,
    /// Whether it takes jobs without tags.
    pub run_untagged: bool,
    /// Whether no further projects may use it.
    pub locked: bool,
    /// Whether it gets no jobs for now.
    pub paused: bool,
    /// Which refs it serves.
    pub access_level: RunnerAccessLevel,
    /// The longest timeout of a job on it, in seconds.
    pub maximum_timeout: Option<u64>,
    /// When its token stops being valid.
    pub token_expires_at: Option<Timestamp>,
    /// Who made it; none if it registered itself.
    pub created_by: Option<UserId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Its last contact, to 40 minutes.
    pub contacted_at: Option<Timestamp>,
}

/// What a runner's last contact says of it. Source: `app/models/concerns/ci/has_runner_status.rb`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunnerStatus {
    /// Heard of within two hours.
    Online,
    /// Not heard of for two hours.
    Offline,
    /// Not heard of for seven days.
    Stale,
    /// Never heard of, and made within seven days.
    NeverContacted,
}

impl RunnerStatus {
    /// Of when something was made and last heard of.
    pub fn of(created_at: Timestamp, contacted_at: Option<Timestamp>, now: Timestamp) -> Self {
        match contacted_at {
            Some(at) if at > now.plus_secs(-ONLINE) => Self::Online,
            Some(at) if at > now.plus_secs(-STALE) => Self::Offline,
            None if created_at > now.plus_secs(-STALE) => Self::NeverContacted,
            _ => Self::Stale,
        }
    }

    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Offline => "offline",
            Self::Stale => "stale",
            Self::NeverContacted => "never_contacted",
        }
    }
}

impl Runner {
    /// What its last contact says.
    pub fn status(&self, now: Timestamp) -> RunnerStatus {
        RunnerStatus::of(self.created_at, self.contacted_at, now)
    }
}

/// A runner to be.
#[derive(Debug, Clone)]
pub struct NewRunner {
    /// Whom it serves.
    pub runner_type: RunnerType,
    /// The SHA-256 of its token.
    pub digest: TokenDigest,
    /// The group of a group runner.
    pub group_id: Option<NamespaceId>,
    /// The first project of a project runner, which owns it.
    pub project_id: Option<ProjectId>,
    /// What it is.
    pub description: Option<String>,
    /// What its users should know.
    pub maintenance_note: Option<String>,
    /// Its tags.
    pub tags: Vec<String>,
    /// Whether it takes jobs without tags.
    pub run_untagged: bool,
    /// Whether no further projects may use it.
    pub locked: bool,
    /// Whether it gets no jobs for now.
    pub paused: bool,
    /// Which refs it serves.
    pub access_level: RunnerAccessLevel,
    /// The longest timeout of a job on it, in seconds.
    pub maximum_timeout: Option<u64>,
    /// When its token stops being valid.
    pub token_expires_at: Option<Timestamp>,
    /// Who makes it.
    pub created_by: Option<UserId>,
}

/// One process that uses a runner's token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunnerManager {
    /// Its id.
    pub id: RunnerManagerId,
    /// Its runner.
    pub runner_id: RunnerId,
    /// What the process calls itself.
    pub system_id: String,
    /// What it said of itself.
    pub info: ManagerInfo,
    /// When it was first heard of.
    pub created_at: Timestamp,
    /// Its last contact, to 40 minutes.
    pub contacted_at: Option<Timestamp>,
}

/// What a manager says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ManagerInfo {
    /// Its version.
    pub version: Option<String>,
    /// Its revision.
    pub revision: Option<String>,
    /// Its operating system.
    pub platform: Option<String>,
    /// Its processor.
    pub architecture: Option<String>,
    /// Its executor.
    pub executor: Option<String>,
    /// Its address.
    pub ip_address: Option<String>,
    /// What it can do, as the JSON that it sent.
    pub features: String,
}

/// Which runners to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only of this type.
    pub runner_type: Option<RunnerType>,
    /// Only paused ones, or only others.
    pub paused: Option<bool>,
    /// Only with this status, at this time.
    pub status: Option<(StatusFilter, Timestamp)>,
    /// Only with all of these tags.
    pub tags: Vec<String>,
    /// Only those that may serve this project: its own, its groups', the instance's.
    pub of_project: Option<ProjectId>,
    /// Only those of this group and of the groups above, and the instance's.
    pub of_group: Option<NamespaceId>,
    /// Only those that this user may administer: of projects as Maintainer, of groups as Owner.
    pub administered_by: Option<UserId>,
    /// Only those whose latest manager's version begins with it.
    pub version_prefix: Option<String>,
}

/// A status to list runners by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusFilter {
    /// Heard of within two hours.
    Online,
    /// Heard of, but not within two hours.
    Offline,
    /// Not heard of for seven days, and made before that.
    Stale,
    /// Never heard of.
    NeverContacted,
}

const COLUMNS: &str = "r.id, r.runner_type, r.group_id, r.description, r.maintenance_note, r.tags, \
     r.run_untagged, r.locked, r.paused, r.access_level, r.maximum_timeout, r.token_expires_at, r.created_by, \
     r.created_at, r.contacted_at";

fn read(row: &Row) -> Result<Runner> {
    let mut c = Columns::of(row);
    Ok(Runner {
        id: c.next()?,
        runner_type: c.next()?,
        group_id: c.next()?,
        description: c.next()?,
        maintenance_note: c.next()?,
        tags: c.json()?,
        run_untagged: c.next()?,
        locked: c.next()?,
        paused: c.next()?,
        access_level: c.next()?,
        maximum_timeout: c.seconds()?,
        token_expires_at: c.next()?,
        created_by: c.next()?,
        created_at: c.next()?,
        contacted_at: c.next()?,
    })
}

fn sorted(tags: &[String]) -> Vec<String> {
    let mut tags = tags.to_vec();
    tags.sort_unstable();
    tags.dedup();
    tags
}

fn seconds(timeout: Option<u64>) -> Option<i64> {
    timeout.map(|seconds| i64::try_from(seconds).unwrap_or(i64::MAX))
}

/// Adds a runner.
pub fn insert(tx: &mut Tx<'_>, new: &NewRunner, now: Timestamp) -> Result<Runner> {
    let tags = sorted(&new.tags);
    let id: RunnerId = tx.insert(
        "INSERT INTO runners (runner_type, digest, group_id, description, maintenance_note, tags, run_untagged,
             locked, paused, access_level, maximum_timeout, token_expires_at, created_by, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) RETURNING id",
        params![
            new.runner_type,
            new.digest,
            new.group_id,
            new.description,
            new.maintenance_note,
            serde_json::to_string(&tags)?,
            new.run_untagged,
            new.locked,
            new.paused,
            new.access_level,
            seconds(new.maximum_timeout),
            new.token_expires_at,
            new.created_by,
            now
        ],
    )?;
    tag_sets::cover(tx, id, &tags, new.run_untagged)?;
    if let Some(project_id) = new.project_id {
        assign_project(tx, id, project_id)?;
    }
    find(tx, id)?.ok_or(crate::Error::NoRow)
}

/// The runner with an id.
pub fn find(tx: &mut Tx<'_>, id: RunnerId) -> Result<Option<Runner>> {
    let sql = format!("SELECT {COLUMNS} FROM runners r WHERE r.id = $1");
    tx.query_opt(&sql, params![id])?.as_ref().map(read).transpose()
}

/// Those of the ids that exist, in no order.
pub fn find_all(tx: &mut Tx<'_>, ids: &[RunnerId]) -> Result<Vec<Runner>> {
    let sql = |ids: &str| format!("SELECT {COLUMNS} FROM runners r WHERE r.id IN ({ids})");
    all(&bulk::each_of(tx, ids, sql)?, read)
}

/// The runner with the SHA-256 of a token, whether the token is expired or not.
pub fn find_by_digest(tx: &mut Tx<'_>, digest: &TokenDigest) -> Result<Option<Runner>> {
    let sql = format!("SELECT {COLUMNS} FROM runners r WHERE r.digest = $1");
    tx.query_opt(&sql, params![digest])?.as_ref().map(read).transpose()
}

/// The times that a status filter compares with, and the tags as patterns of their JSON.
struct Bounds {
    online: Timestamp,
    stale: Timestamp,
    tags: Vec<String>,
    version: Option<String>,
}

impl Bounds {
    fn of(filter: &Filter) -> Result<Self> {
        let now = filter.status.map_or(Timestamp::from_micros(0), |(_, now)| now);
        let tags = filter.tags.iter().map(|tag| Ok(format!("%{}%", serde_json::to_string(tag)?)));
        Ok(Self {
            online: now.plus_secs(-ONLINE),
            stale: now.plus_secs(-STALE),
            tags: tags.collect::<Result<_>>()?,
            version: filter.version_prefix.as_deref().map(|prefix| format!("{prefix}%")),
        })
    }
}

fn conditions<'v>(filter: &'v Filter, bounds: &'v Bounds) -> Conditions<'v> {
    let mut c = Conditions::default();
    c.maybe("r.runner_type = $?", filter.runner_type.as_ref());
    c.maybe("r.paused = $?", filter.paused.as_ref());
    match filter.status.map(|(status, _)| status) {
        Some(StatusFilter::Online) => c.with("r.contacted_at > $?", &bounds.online),
        Some(StatusFilter::Offline) => c.with("r.contacted_at <= $?", &bounds.online),
        Some(StatusFilter::NeverContacted) => c.is("r.contacted_at IS NULL"),
        Some(StatusFilter::Stale) => {
            c.with("r.created_at <= $? AND (r.contacted_at IS NULL OR r.contacted_at <= $?)", &bounds.stale);
        }
        None => {}
    }
    for tag in &bounds.tags {
        c.with("r.tags LIKE $?", tag);
    }
    c.maybe(
        "(r.runner_type = 'instance_type'
          AND EXISTS (SELECT 1 FROM projects p WHERE p.id = $? AND p.shared_runners_enabled)
          OR r.id IN (SELECT rp.runner_id FROM runner_projects rp WHERE rp.project_id = $?)
          OR r.group_id IN (SELECT a.ancestor_id FROM projects p
                            JOIN namespace_ancestors a ON a.namespace_id = p.namespace_id
                            WHERE p.id = $? AND p.group_runners_enabled))",
        filter.of_project.as_ref(),
    );
    c.maybe(
        "(r.runner_type = 'instance_type' OR r.group_id IN (
              SELECT a.ancestor_id FROM namespace_ancestors a WHERE a.namespace_id = $?))",
        filter.of_group.as_ref(),
    );
    c.maybe(
        "(r.id IN (SELECT rp.runner_id FROM runner_projects rp JOIN projects p ON p.id = rp.project_id
                   JOIN namespaces n ON n.id = p.namespace_id
                   WHERE n.owner_id = $?
                      OR EXISTS (SELECT 1 FROM members m WHERE m.user_id = $? AND m.access_level >= 40
                                 AND (m.project_id = p.id OR m.group_id IN (
                                      SELECT a.ancestor_id FROM namespace_ancestors a
                                      WHERE a.namespace_id = p.namespace_id))))
          OR r.group_id IN (SELECT a.namespace_id FROM members m
                            JOIN namespace_ancestors a ON a.ancestor_id = m.group_id
                            WHERE m.user_id = $? AND m.access_level >= 50))",
        filter.administered_by.as_ref(),
    );
    c.maybe(
        "EXISTS (SELECT 1 FROM runner_managers m WHERE m.runner_id = r.id AND m.version LIKE $?)",
        bounds.version.as_ref(),
    );
    c
}

/// Runners, the newest first.
pub fn list(tx: &mut Tx<'_>, filter: &Filter, page: Page) -> Result<Vec<Runner>> {
    let bounds = Bounds::of(filter)?;
    let mut c = conditions(filter, &bounds);
    let (limit, offset) = (c.param(&page.limit), c.param(&page.offset));
    let sql = format!(
        "SELECT {COLUMNS} FROM runners r{} ORDER BY r.id DESC LIMIT {limit} OFFSET {offset}",
        c.sql()
    );
    all(&tx.query(&sql, &c.params())?, read)
}

/// How many runners [`list`] has.
pub fn count(tx: &mut Tx<'_>, filter: &Filter) -> Result<i64> {
    let bounds = Bounds::of(filter)?;
    let c = conditions(filter, &bounds);
    tx.query_one(&format!("SELECT count(*) FROM runners r{}", c.sql()), &c.params())?.get(0)
}

/// Writes everything that can be edited: description, note, tags, switches, access level, timeout.
pub fn update(tx: &mut Tx<'_>, runner: &Runner) -> Result<()> {
    let tags = sorted(&runner.tags);
    tx.execute(
        "UPDATE runners SET description = $2, maintenance_note = $3, tags = $4, run_untagged = $5, locked = $6,
             paused = $7, access_level = $8, maximum_timeout = $9
         WHERE id = $1",
        params![
            runner.id,
            runner.description,
            runner.maintenance_note,
            serde_json::to_string(&tags)?,
            runner.run_untagged,
            runner.locked,
            runner.paused,
            runner.access_level,
            seconds(runner.maximum_timeout)
        ],
    )?;
    tag_sets::cover(tx, runner.id, &tags, runner.run_untagged)
}

/// Gives a runner another token.
pub fn set_token(
    tx: &mut Tx<'_>,
    id: RunnerId,
    digest: &TokenDigest,
    expires_at: Option<Timestamp>,
) -> Result<()> {
    tx.execute(
        "UPDATE runners SET digest = $2, token_expires_at = $3 WHERE id = $1",
        params![id, digest, expires_at],
    )?;
    Ok(())
}

/// Deletes a runner; `false` if there is none.
pub fn delete(tx: &mut Tx<'_>, id: RunnerId) -> Result<bool> {
    Ok(tx.execute("DELETE FROM runners WHERE id = $1", params![id])? == 1)
}

/// The tag sets whose jobs a runner may take, in order.
pub fn covered_tag_sets(tx: &mut Tx<'_>, id: RunnerId) -> Result<Vec<TagSetId>> {
    let sql = "SELECT tag_set_id FROM runner_tag_sets WHERE runner_id = $1 ORDER BY tag_set_id";
    tx.query(sql, params![id])?.iter().map(|row| row.get(0)).collect()
}

/// Lets a project runner serve a project; `false` if it does already.
pub fn assign_project(tx: &mut Tx<'_>, id: RunnerId, project_id: ProjectId) -> Result<bool> {
    let sql = "INSERT INTO runner_projects (runner_id, project_id) VALUES ($1, $2)
               ON CONFLICT (runner_id, project_id) DO NOTHING";
    Ok(tx.execute(sql, params![id, project_id])? == 1)
}

/// Ends that; `false` if it did not.
pub fn unassign_project(tx: &mut Tx<'_>, id: RunnerId, project_id: ProjectId) -> Result<bool> {
    let sql = "DELETE FROM runner_projects WHERE runner_id = $1 AND project_id = $2";
    Ok(tx.execute(sql, params![id, project_id])? == 1)
}

/// The projects of a project runner; the first owns it.
pub fn projects(tx: &mut Tx<'_>, id: RunnerId) -> Result<Vec<ProjectId>> {
    let sql = "SELECT project_id FROM runner_projects WHERE runner_id = $1 ORDER BY id";
    tx.query(sql, params![id])?.iter().map(|row| row.get(0)).collect()
}

/// Notes that the runner called; written at most once in 40 minutes.
pub fn contacted(tx: &mut Tx<'_>, id: RunnerId, now: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE runners SET contacted_at = $2 WHERE id = $1 AND (contacted_at IS NULL OR contacted_at < $3)",
        params![id, now, now.plus_secs(-CONTACT_INTERVAL)],
    )?;
    Ok(())
}

/// Whether [`contacted`] or [`manager_contacted`] would write. A reader asks first and spares the write.
pub fn contact_is_due(contacted_at: Option<Timestamp>, now: Timestamp) -> bool {
    contacted_at.is_none_or(|at| at < now.plus_secs(-CONTACT_INTERVAL))
}

// Managers -----------------------------------------------------------------------------------------------------

const MANAGER_COLUMNS: &str = "m.id, m.runner_id, m.system_id, m.version, m.revision, m.platform, \
     m.architecture, m.executor, m.ip_address, m.features, m.created_at, m.contacted_at";

fn read_manager(row: &Row) -> Result<RunnerManager> {
    let mut c = Columns::of(row);
    Ok(RunnerManager {
        id: c.next()?,
        runner_id: c.next()?,
        system_id: c.next()?,
        info: ManagerInfo {
            version: c.next()?,
            revision: c.next()?,
            platform: c.next()?,
            architecture: c.next()?,
            executor: c.next()?,
            ip_address: c.next()?,
            features: c.next()?,
        },
        created_at: c.next()?,
        contacted_at: c.next()?,
    })
}

/// A runner's managers, the last heard of first.
pub fn managers(tx: &mut Tx<'_>, id: RunnerId) -> Result<Vec<RunnerManager>> {
    let sql = format!(
        "SELECT {MANAGER_COLUMNS} FROM runner_managers m
         WHERE m.runner_id = $1 ORDER BY coalesce(m.contacted_at, 0) DESC, m.id DESC"
    );
    all(&tx.query(&sql, params![id])?, read_manager)
}

/// One manager by its system id.
pub fn manager(tx: &mut Tx<'_>, id: RunnerId, system_id: &str) -> Result<Option<RunnerManager>> {
    let sql = format!(
        "SELECT {MANAGER_COLUMNS} FROM runner_managers m WHERE m.runner_id = $1 AND m.system_id = $2"
    );
    tx.query_opt(&sql, params![id, system_id])?.as_ref().map(read_manager).transpose()
}

/// Those of the ids that exist, in no order.
pub fn find_managers(tx: &mut Tx<'_>, ids: &[RunnerManagerId]) -> Result<Vec<RunnerManager>> {
    let sql = |ids: &str| format!("SELECT {MANAGER_COLUMNS} FROM runner_managers m WHERE m.id IN ({ids})");
    all(&bulk::each_of(tx, ids, sql)?, read_manager)
}

/// Notes what a manager says of itself and that it called; makes it when it is new.
pub fn manager_contacted(
    tx: &mut Tx<'_>,
    id: RunnerId,
    system_id: &str,
    info: &ManagerInfo,
    now: Timestamp,
) -> Result<RunnerManagerId> {
    tx.insert(
        "INSERT INTO runner_managers (runner_id, system_id, version, revision, platform, architecture, executor,
             ip_address, features, created_at, contacted_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10)
         ON CONFLICT (runner_id, system_id) DO UPDATE SET
             version = coalesce(excluded.version, runner_managers.version),
             revision = coalesce(excluded.revision, runner_managers.revision),
             platform = coalesce(excluded.platform, runner_managers.platform),
             architecture = coalesce(excluded.architecture, runner_managers.architecture),
             executor = coalesce(excluded.executor, runner_managers.executor),
             ip_address = coalesce(excluded.ip_address, runner_managers.ip_address),
             features = excluded.features,
             contacted_at = excluded.contacted_at
         RETURNING id",
        params![
            id,
            system_id,
            info.version,
            info.revision,
            info.platform,
            info.architecture,
            info.executor,
            info.ip_address,
            info.features,
            now
        ],
    )
}

/// Removes a manager; `false` if there is none.
pub fn delete_manager(tx: &mut Tx<'_>, id: RunnerId, system_id: &str) -> Result<bool> {
    let sql = "DELETE FROM runner_managers WHERE runner_id = $1 AND system_id = $2";
    Ok(tx.execute(sql, params![id, system_id])? == 1)
}

/// Whether one of a runner's jobs runs.
pub fn is_busy(tx: &mut Tx<'_>, id: RunnerId) -> Result<bool> {
    let sql = "SELECT id FROM jobs WHERE runner_id = $1 AND status IN ('running', 'canceling') LIMIT 1";
    Ok(tx.query_opt(sql, params![id])?.map(|row| row.get::<JobId>(0)).transpose()?.is_some())
}
