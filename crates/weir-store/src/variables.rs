//! CI/CD variables. Values are sealed by [`secrets`](crate::secrets) before they come here.

use weir_api::VariableType;
use weir_api::id::{JobId, NamespaceId, PipelineId, ProjectId, VariableId};

use crate::columns::{Columns, all};
use crate::{Page, Result, Row, Tx, Value, bulk, params};

/// Whose variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Owner {
    /// The instance's.
    Instance,
    /// A group's.
    Group(NamespaceId),
    /// A project's.
    Project(ProjectId),
}

/// A variable of a project, a group or the instance.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of GitLab's, and a column of its own")]
pub struct Variable {
    /// Its id.
    pub id: VariableId,
    /// Its name.
    pub key: String,
    /// Its value, sealed.
    pub value: Vec<u8>,
    /// How it reaches a job.
    pub variable_type: VariableType,
    /// Whether only jobs on protected refs get it.
    pub protected: bool,
    /// Whether traces hide it.
    pub masked: bool,
    /// Whether the API never shows it.
    pub hidden: bool,
    /// Whether references in it stay as they are.
    pub raw: bool,
    /// Which environments get it; `*` is all.
    pub environment_scope: String,
    /// What it is for.
    pub description: Option<String>,
}

/// A variable given to a pipeline at its creation, or to a manual job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenVariable {
    /// Its name.
    pub key: String,
    /// Its value, sealed.
    pub value: Vec<u8>,
    /// How it reaches a job.
    pub variable_type: VariableType,
    /// Whether references in it stay as they are.
    pub raw: bool,
}

const COLUMNS: &str = "v.id, v.key, v.value, v.variable_type, v.protected, v.masked, v.hidden, v.raw, \
     v.environment_scope, v.description";

fn columns(c: &mut Columns<'_>) -> Result<Variable> {
    Ok(Variable {
        id: c.next()?,
        key: c.next()?,
        value: c.next()?,
        variable_type: c.next()?,
        protected: c.next()?,
        masked: c.next()?,
        hidden: c.next()?,
        raw: c.next()?,
        environment_scope: c.next()?,
        description: c.next()?,
    })
}

fn read(row: &Row) -> Result<Variable> {
    columns(&mut Columns::of(row))
}

impl Owner {
    fn ids(self) -> (Option<ProjectId>, Option<NamespaceId>) {
        match self {
            Self::Instance => (None, None),
            Self::Group(id) => (None, Some(id)),
            Self::Project(id) => (Some(id), None),
        }
    }

    /// The condition, with the owner's id as `$1`.
    fn condition(self) -> &'static str {
        match self {
            // The parameter is 0 and keeps the statements alike.
            Self::Instance => "v.project_id IS NULL AND v.group_id IS NULL AND $1 = 0",
            Self::Group(_) => "v.group_id = $1",
            Self::Project(_) => "v.project_id = $1",
        }
    }

    fn id(self) -> i64 {
        match self {
            Self::Instance => 0,
            Self::Group(id) => id.0,
            Self::Project(id) => id.0,
        }
    }
}

/// Adds a variable; its id is not used. [`Error::Conflict`](crate::Error::Conflict) if the owner has one of this
/// key and scope.
pub fn insert(tx: &mut Tx<'_>, owner: Owner, new: &Variable) -> Result<Variable> {
    let (project_id, group_id) = owner.ids();
    let id = tx.insert(
        "INSERT INTO variables (project_id, group_id, key, value, variable_type, protected, masked, hidden, raw,
             environment_scope, description)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING id",
        params![
            project_id,
            group_id,
            new.key,
            new.value,
            new.variable_type,
            new.protected,
            new.masked,
            new.hidden,
            new.raw,
            new.environment_scope,
            new.description
        ],
    )?;
    Ok(Variable { id, ..new.clone() })
}

/// An owner's variables, the oldest first.
pub fn list(tx: &mut Tx<'_>, owner: Owner, page: Page) -> Result<Vec<Variable>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM variables v WHERE {} ORDER BY v.id LIMIT $2 OFFSET $3",
        owner.condition()
    );
    all(&tx.query(&sql, params![owner.id(), page.limit, page.offset])?, read)
}

/// How many variables an owner has.
pub fn count(tx: &mut Tx<'_>, owner: Owner) -> Result<i64> {
    let sql = format!("SELECT count(*) FROM variables v WHERE {}", owner.condition());
    tx.query_one(&sql, params![owner.id()])?.get(0)
}

/// An owner's variables of one key; of one scope (literally) if it is given. In no more than one scope they are
/// one.
pub fn find(tx: &mut Tx<'_>, owner: Owner, key: &str, scope: Option<&str>) -> Result<Vec<Variable>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM variables v
         WHERE {} AND v.key = $2 AND (CAST($3 AS TEXT) IS NULL OR v.environment_scope = $3) ORDER BY v.id",
        owner.condition()
    );
    all(&tx.query(&sql, params![owner.id(), key, scope])?, read)
}

/// Writes everything of a variable. [`Error::Conflict`](crate::Error::Conflict) if the owner has another of this
/// key and scope.
pub fn update(tx: &mut Tx<'_>, variable: &Variable) -> Result<()> {
    tx.execute(
        "UPDATE variables SET key = $2, value = $3, variable_type = $4, protected = $5, masked = $6, hidden = $7,
             raw = $8, environment_scope = $9, description = $10
         WHERE id = $1",
        params![
            variable.id,
            variable.key,
            variable.value,
            variable.variable_type,
            variable.protected,
            variable.masked,
            variable.hidden,
            variable.raw,
            variable.environment_scope,
            variable.description
        ],
    )?;
    Ok(())
}

/// Removes a variable; `false` if it is gone.
pub fn delete(tx: &mut Tx<'_>, id: VariableId) -> Result<bool> {
    Ok(tx.execute("DELETE FROM variables WHERE id = $1", params![id])? == 1)
}

/// All variables that a project's jobs may get, from low to high precedence: the instance's, the groups' from the
/// root on, the project's.
pub fn for_project(tx: &mut Tx<'_>, project_id: ProjectId) -> Result<Vec<(Owner, Variable)>> {
    let instance = list(tx, Owner::Instance, Page::first(i64::MAX))?;
    let mut found: Vec<_> = instance.into_iter().map(|variable| (Owner::Instance, variable)).collect();
    let rows = tx.query(
        &format!(
            "SELECT v.group_id, {COLUMNS} FROM projects p
             JOIN namespace_ancestors a ON a.namespace_id = p.namespace_id
             JOIN variables v ON v.group_id = a.ancestor_id
             WHERE p.id = $1 ORDER BY a.distance DESC, v.id"
        ),
        params![project_id],
    )?;
    for row in &rows {
        let mut c = Columns::of(row);
        found.push((Owner::Group(c.next()?), columns(&mut c)?));
    }
    let own = list(tx, Owner::Project(project_id), Page::first(i64::MAX))?;
    found.extend(own.into_iter().map(|variable| (Owner::Project(project_id), variable)));
    Ok(found)
}

pub(crate) fn read_given(row: &Row) -> Result<GivenVariable> {
    let mut c = Columns::of(row);
    Ok(GivenVariable { key: c.next()?, value: c.next()?, variable_type: c.next()?, raw: c.next()? })
}

fn given(owner: i64, variables: &[GivenVariable]) -> Vec<[Value<'_>; 5]> {
    variables
        .iter()
        .map(|variable| {
            [
                Value::Integer(owner),
                Value::Text(&variable.key),
                Value::Blob(&variable.value),
                Value::Text(variable.variable_type.as_str()),
                Value::Boolean(variable.raw),
            ]
        })
        .collect()
}

/// Adds a pipeline's variables.
pub fn insert_for_pipeline(tx: &mut Tx<'_>, id: PipelineId, variables: &[GivenVariable]) -> Result<()> {
    let into = "pipeline_variables (pipeline_id, key, value, variable_type, raw)";
    bulk::insert(tx, into, &given(id.0, variables), "").map(drop)
}

/// A pipeline's variables, in the order given.
pub fn of_pipeline(tx: &mut Tx<'_>, id: PipelineId) -> Result<Vec<GivenVariable>> {
    let sql =
        "SELECT key, value, variable_type, raw FROM pipeline_variables WHERE pipeline_id = $1 ORDER BY id";
    all(&tx.query(sql, params![id])?, read_given)
}

/// Replaces a job's variables.
pub fn set_for_job(tx: &mut Tx<'_>, id: JobId, variables: &[GivenVariable]) -> Result<()> {
    tx.execute("DELETE FROM job_variables WHERE job_id = $1", params![id])?;
    let into = "job_variables (job_id, key, value, variable_type, raw)";
    bulk::insert(tx, into, &given(id.0, variables), "").map(drop)
}

/// A job's variables, in the order given.
pub fn of_job(tx: &mut Tx<'_>, id: JobId) -> Result<Vec<GivenVariable>> {
    let sql = "SELECT key, value, variable_type, raw FROM job_variables WHERE job_id = $1 ORDER BY id";
    all(&tx.query(sql, params![id])?, read_given)
}
