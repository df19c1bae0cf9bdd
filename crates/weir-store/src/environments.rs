//! Environments, as rows.

use weir_api::Timestamp;
use weir_api::environments::{AutoStopSetting, EnvironmentState, EnvironmentTier};
use weir_api::id::{EnvironmentId, ProjectId};

use crate::columns::{Columns, all};
use crate::filter::Conditions;
use crate::{Page, Result, Row, Tx, bulk, params};

/// An environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// Its id.
    pub id: EnvironmentId,
    /// Its project.
    pub project_id: ProjectId,
    /// Its name.
    pub name: String,
    /// Its name for host names and the like.
    pub slug: String,
    /// The name up to its first slash.
    pub folder: Option<String>,
    /// Where to see it.
    pub external_url: Option<String>,
    /// What it is, in words.
    pub description: Option<String>,
    /// What it is for.
    pub tier: EnvironmentTier,
    /// Whether something runs there.
    pub state: EnvironmentState,
    /// What stops it.
    pub auto_stop_setting: AutoStopSetting,
    /// When it stops by itself.
    pub auto_stop_at: Option<Timestamp>,
    /// When it is deleted by itself, once it is stopped.
    pub auto_delete_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Its last change.
    pub updated_at: Timestamp,
}

const COLUMNS: &str = "e.id, e.project_id, e.name, e.slug, e.folder, e.external_url, e.description, e.tier, \
     e.state, e.auto_stop_setting, e.auto_stop_at, e.auto_delete_at, e.created_at, e.updated_at";

fn read(row: &Row) -> Result<Environment> {
    let mut c = Columns::of(row);
    Ok(Environment {
        id: c.next()?,
        project_id: c.next()?,
        name: c.next()?,
        slug: c.next()?,
        folder: c.next()?,
        external_url: c.next()?,
        description: c.next()?,
        tier: c.next()?,
        state: c.next()?,
        auto_stop_setting: c.next()?,
        auto_stop_at: c.next()?,
        auto_delete_at: c.next()?,
        created_at: c.next()?,
        updated_at: c.next()?,
    })
}

/// Which environments to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only of this name.
    pub name: Option<String>,
    /// Only those whose name begins so, in upper or lower case.
    pub search: Option<String>,
    /// Only in this state.
    pub state: Option<EnvironmentState>,
}

fn conditions<'f>(project_id: &'f ProjectId, filter: &'f Filter) -> Conditions<'f> {
    let mut c = Conditions::default();
    c.with("e.project_id = $?", project_id);
    c.maybe("e.name = $?", filter.name.as_ref());
    c.maybe(
        "substr(lower(e.name), 1, length(CAST($? AS TEXT))) = lower(CAST($? AS TEXT))",
        filter.search.as_ref().filter(|text| !text.is_empty()),
    );
    c.maybe("e.state = $?", filter.state.as_ref());
    c
}

/// Environments of a project, the oldest first.
pub fn list(tx: &mut Tx<'_>, project_id: ProjectId, filter: &Filter, page: Page) -> Result<Vec<Environment>> {
    let mut c = conditions(&project_id, filter);
    let (limit, offset) = (c.param(&page.limit), c.param(&page.offset));
    let sql = format!(
        "SELECT {COLUMNS} FROM environments e{} ORDER BY e.id LIMIT {limit} OFFSET {offset}",
        c.sql()
    );
    all(&tx.query(&sql, &c.params())?, read)
}

/// How many environments [`list`] has.
pub fn count(tx: &mut Tx<'_>, project_id: ProjectId, filter: &Filter) -> Result<i64> {
    let c = conditions(&project_id, filter);
    tx.query_one(&format!("SELECT count(*) FROM environments e{}", c.sql()), &c.params())?.get(0)
}

/// The environment with an id.
pub fn find(tx: &mut Tx<'_>, id: EnvironmentId) -> Result<Option<Environment>> {
    let sql = format!("SELECT {COLUMNS} FROM environments e WHERE e.id = $1");
    tx.query_opt(&sql, params![id])?.as_ref().map(read).transpose()
}

/// Those of the ids that exist, in no order.
pub fn find_all(tx: &mut Tx<'_>, ids: &[EnvironmentId]) -> Result<Vec<Environment>> {
    let sql = |ids: &str| format!("SELECT {COLUMNS} FROM environments e WHERE e.id IN ({ids})");
    all(&bulk::each_of(tx, ids, sql)?, read)
}

/// The environment of a project with a name.
pub fn named(tx: &mut Tx<'_>, project_id: ProjectId, name: &str) -> Result<Option<Environment>> {
    let sql = format!("SELECT {COLUMNS} FROM environments e WHERE e.project_id = $1 AND e.name = $2");
    tx.query_opt(&sql, params![project_id, name])?.as_ref().map(read).transpose()
}

/// The same with an id, kept from others until the end of the transaction.
pub fn lock(tx: &mut Tx<'_>, id: EnvironmentId) -> Result<Option<Environment>> {
    let sql = format!("SELECT {COLUMNS} FROM environments e WHERE e.id = $1{}", tx.for_update());
    tx.query_opt(&sql, params![id])?.as_ref().map(read).transpose()
}

/// An environment to be; it is available at once.
#[derive(Debug, Clone)]
pub struct NewEnvironment {
    /// Its project.
    pub project_id: ProjectId,
    /// Its name.
    pub name: String,
    /// Its name for host names and the like.
    pub slug: String,
    /// The name up to its first slash.
    pub folder: Option<String>,
    /// Where to see it.
    pub external_url: Option<String>,
    /// What it is, in words.
    pub description: Option<String>,
    /// What it is for.
    pub tier: EnvironmentTier,
    /// What stops it.
    pub auto_stop_setting: AutoStopSetting,
    /// When it stops by itself.
    pub auto_stop_at: Option<Timestamp>,
}

/// Makes an environment; none if its name or slug is taken.
pub fn insert(tx: &mut Tx<'_>, new: &NewEnvironment, now: Timestamp) -> Result<Option<Environment>> {
    let state = EnvironmentState::Available;
    let row = tx.query_opt(
        "INSERT INTO environments (project_id, name, slug, folder, external_url, description, tier, state,
             auto_stop_setting, auto_stop_at, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11) ON CONFLICT DO NOTHING RETURNING id",
        params![
            new.project_id,
            new.name,
            new.slug,
            new.folder,
            new.external_url,
            new.description,
            new.tier,
            state,
            new.auto_stop_setting,
            new.auto_stop_at,
            now
        ],
    )?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Environment {
        id: row.get(0)?,
        project_id: new.project_id,
        name: new.name.clone(),
        slug: new.slug.clone(),
        folder: new.folder.clone(),
        external_url: new.external_url.clone(),
        description: new.description.clone(),
        tier: new.tier,
        state,
        auto_stop_setting: new.auto_stop_setting,
        auto_stop_at: new.auto_stop_at,
        auto_delete_at: None,
        created_at: now,
        updated_at: now,
    }))
}

/// Writes what may change of an environment.
pub fn update(tx: &mut Tx<'_>, environment: &Environment) -> Result<()> {
    tx.execute(
        "UPDATE environments SET external_url = $2, description = $3, tier = $4, state = $5,
             auto_stop_setting = $6, auto_stop_at = $7, auto_delete_at = $8, updated_at = $9
         WHERE id = $1",
        params![
            environment.id,
            environment.external_url,
            environment.description,
            environment.tier,
            environment.state,
            environment.auto_stop_setting,
            environment.auto_stop_at,
            environment.auto_delete_at,
            environment.updated_at
        ],
    )?;
    Ok(())
}

/// Deletes an environment with its deployments; `false` if there is none.
pub fn delete(tx: &mut Tx<'_>, id: EnvironmentId) -> Result<bool> {
    Ok(tx.execute("DELETE FROM environments WHERE id = $1", params![id])? == 1)
}

/// The available environments whose newest success is of this branch or tag.
/// Source: `app/finders/environments/environments_by_deployments_finder.rb`.
pub fn last_deployed_from(
    tx: &mut Tx<'_>,
    project_id: ProjectId,
    ref_name: &str,
) -> Result<Vec<Environment>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM environments e
         WHERE e.state = 'available'
           AND e.id IN (SELECT d.environment_id FROM deployments d WHERE d.project_id = $1 AND d.ref = $2)
           AND $2 = (SELECT l.ref FROM deployments l WHERE l.environment_id = e.id AND l.status = 'success'
                     ORDER BY l.finished_at DESC, l.id DESC LIMIT 1)
         ORDER BY e.id"
    );
    all(&tx.query(&sql, params![project_id, ref_name])?, read)
}

/// The available environments that neither changed nor were deployed to since `before`.
/// Source: the scope `deployed_and_updated_before` of `app/models/environment.rb`.
pub fn stale(tx: &mut Tx<'_>, project_id: ProjectId, before: Timestamp) -> Result<Vec<Environment>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM environments e
         WHERE e.project_id = $1 AND e.state = 'available' AND e.updated_at < $2
           AND NOT EXISTS (SELECT 1 FROM deployments d WHERE d.environment_id = e.id AND d.updated_at >= $2)
         ORDER BY e.id"
    );
    all(&tx.query(&sql, params![project_id, before])?, read)
}

/// The stopped environments of the folder `review` that were made before `before` and are not to be deleted yet, the
/// oldest first.
pub fn stopped_review_apps(
    tx: &mut Tx<'_>,
    project_id: ProjectId,
    before: Timestamp,
    limit: i64,
) -> Result<Vec<Environment>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM environments e
         WHERE e.project_id = $1 AND e.state = 'stopped' AND e.folder = 'review' AND e.created_at < $2
           AND e.auto_delete_at IS NULL
         ORDER BY e.created_at, e.id LIMIT $3"
    );
    all(&tx.query(&sql, params![project_id, before, limit])?, read)
}

/// The available environments whose end has come, with ids above `after`, in order of their ids.
pub fn to_be_stopped(
    tx: &mut Tx<'_>,
    now: Timestamp,
    after: EnvironmentId,
    limit: i64,
) -> Result<Vec<EnvironmentId>> {
    let rows = tx.query(
        "SELECT id FROM environments WHERE state = 'available' AND auto_stop_at <= $1 AND id > $2
         ORDER BY id LIMIT $3",
        params![now, after, limit],
    )?;
    all(&rows, |row| row.get(0))
}

/// The stopped environments whose time to be deleted has come.
pub fn to_be_deleted(tx: &mut Tx<'_>, now: Timestamp, limit: i64) -> Result<Vec<EnvironmentId>> {
    let rows = tx.query(
        "SELECT id FROM environments WHERE state = 'stopped' AND auto_delete_at <= $1
         ORDER BY auto_delete_at, id LIMIT $2",
        params![now, limit],
    )?;
    all(&rows, |row| row.get(0))
}

/// When the next environment after `now` is to be stopped or deleted.
pub fn next_due(tx: &mut Tx<'_>, now: Timestamp) -> Result<Option<Timestamp>> {
    let stop: Option<Timestamp> = tx
        .query_one(
            "SELECT min(auto_stop_at) FROM environments WHERE state = 'available' AND auto_stop_at > $1",
            params![now],
        )?
        .get(0)?;
    let delete: Option<Timestamp> = tx
        .query_one(
            "SELECT min(auto_delete_at) FROM environments WHERE state = 'stopped' AND auto_delete_at > $1",
            params![now],
        )?
        .get(0)?;
    Ok(stop.into_iter().chain(delete).min())
}
