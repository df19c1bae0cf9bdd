//! Artifact files of jobs. The bytes are objects; rows name them.

use weir_api::Timestamp;
use weir_api::id::{ArtifactId, JobId, PipelineId, ProjectId};
use weir_api::status::{Accessibility, ArtifactFileType, ArtifactFormat};

use crate::columns::{Columns, all};
use crate::{Result, Row, Tx, bulk, object_deletions, params};

/// An artifact file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// Its id.
    pub id: ArtifactId,
    /// Its job.
    pub job_id: JobId,
    /// Its project.
    pub project_id: ProjectId,
    /// What it is.
    pub file_type: ArtifactFileType,
    /// How it is packed.
    pub file_format: ArtifactFormat,
    /// The name that it was uploaded with.
    pub filename: String,
    /// Bytes.
    pub size: u64,
    /// The SHA-256 of the bytes, in hex.
    pub sha256: String,
    /// The object.
    pub object_key: String,
    /// Who may download it.
    pub accessibility: Accessibility,
    /// Whether it stays though it expired: it belongs to the newest successful pipeline of its ref.
    pub locked: bool,
    /// When it expires.
    pub expire_at: Option<Timestamp>,
    /// When it was uploaded.
    pub created_at: Timestamp,
}

/// An artifact file to be.
#[derive(Debug, Clone)]
pub struct NewArtifact {
    /// Its job.
    pub job_id: JobId,
    /// Its project.
    pub project_id: ProjectId,
    /// What it is.
    pub file_type: ArtifactFileType,
    /// How it is packed.
    pub file_format: ArtifactFormat,
    /// The name that it is uploaded with.
    pub filename: String,
    /// Bytes.
    pub size: u64,
    /// The SHA-256 of the bytes, in hex.
    pub sha256: String,
    /// The object, which the upload [reserved](object_deletions::reserve).
    pub object_key: String,
    /// Who may download it.
    pub accessibility: Accessibility,
    /// When it expires.
    pub expire_at: Option<Timestamp>,
}

/// What became of an [`insert`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inserted {
    /// Done.
    New(Artifact),
    /// The job has this file: same type, same SHA-256. The new object is left to its reservation.
    Same(Artifact),
    /// The job has another file of the type. The new object is left to its reservation.
    Other(Artifact),
}

const COLUMNS: &str = "a.id, a.job_id, a.project_id, a.file_type, a.file_format, a.filename, a.size, a.sha256, \
     a.object_key, a.accessibility, a.locked, a.expire_at, a.created_at";

fn read(row: &Row) -> Result<Artifact> {
    let mut c = Columns::of(row);
    Ok(Artifact {
        id: c.next()?,
        job_id: c.next()?,
        project_id: c.next()?,
        file_type: c.next()?,
        file_format: c.next()?,
        filename: c.next()?,
        size: u64::try_from(c.next::<i64>()?).unwrap_or(0),
        sha256: c.next()?,
        object_key: c.next()?,
        accessibility: c.next()?,
        locked: c.next()?,
        expire_at: c.next()?,
        created_at: c.next()?,
    })
}

/// Adds a file whose object is stored, and sets the job's expiry.
pub fn insert(tx: &mut Tx<'_>, new: &NewArtifact, now: Timestamp) -> Result<Inserted> {
    let size = i64::try_from(new.size).unwrap_or(i64::MAX);
    let inserted = tx.execute(
        "INSERT INTO artifacts (job_id, project_id, file_type, file_format, filename, size, sha256, object_key,
             accessibility, locked, expire_at, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, FALSE, $10, $11)
         ON CONFLICT (job_id, file_type) DO NOTHING",
        params![
            new.job_id,
            new.project_id,
            new.file_type,
            new.file_format,
            new.filename,
            size,
            new.sha256,
            new.object_key,
            new.accessibility,
            new.expire_at,
            now
        ],
    )?;
    let stored = find(tx, new.job_id, new.file_type)?.ok_or(crate::Error::NoRow)?;
    if inserted == 0 {
        let same = stored.sha256 == new.sha256;
        return Ok(if same { Inserted::Same(stored) } else { Inserted::Other(stored) });
    }
    object_deletions::keep(tx, &new.object_key)?;
    tx.execute("UPDATE jobs SET artifacts_expire_at = $2 WHERE id = $1", params![new.job_id, new.expire_at])?;
    Ok(Inserted::New(stored))
}

/// A job's file of a type.
pub fn find(tx: &mut Tx<'_>, job_id: JobId, file_type: ArtifactFileType) -> Result<Option<Artifact>> {
    let sql = format!("SELECT {COLUMNS} FROM artifacts a WHERE a.job_id = $1 AND a.file_type = $2");
    tx.query_opt(&sql, params![job_id, file_type])?.as_ref().map(read).transpose()
}

/// The files of several jobs, the oldest first.
pub fn of_jobs(tx: &mut Tx<'_>, job_ids: &[JobId]) -> Result<Vec<Artifact>> {
    let sql = |ids: &str| format!("SELECT {COLUMNS} FROM artifacts a WHERE a.job_id IN ({ids})");
    let mut found = all(&bulk::each_of(tx, job_ids, sql)?, read)?;
    found.sort_unstable_by_key(|artifact| artifact.id);
    Ok(found)
}

/// The files of a type of a pipeline's newest attempts, the oldest first. For reports.
pub fn of_pipeline(tx: &mut Tx<'_>, id: PipelineId, file_type: ArtifactFileType) -> Result<Vec<Artifact>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM jobs j JOIN artifacts a ON a.job_id = j.id
         WHERE j.pipeline_id = $1 AND NOT j.retried AND a.file_type = $2 ORDER BY a.id"
    );
    all(&tx.query(&sql, params![id, file_type])?, read)
}

/// The archive of the job of a name in the newest successful pipeline of a ref, children of that pipeline
/// included. Source: `app/models/project.rb`, `latest_successful_build_for_ref`.
pub fn latest_successful_archive(
    tx: &mut Tx<'_>,
    project_id: ProjectId,
    ref_name: &str,
    job_name: &str,
) -> Result<Option<Artifact>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM jobs j JOIN artifacts a ON a.job_id = j.id AND a.file_type = 'archive'
         WHERE j.name = $3 AND j.status = 'success' AND NOT j.retried AND j.pipeline_id IN (
             SELECT p.id FROM pipelines p, (
                 SELECT max(n.id) AS id FROM pipelines n WHERE n.project_id = $1 AND n.ref = $2
                     AND n.status = 'success' AND NOT n.child) newest
             WHERE p.id = newest.id OR (p.upstream_pipeline_id = newest.id AND p.child))
         ORDER BY j.id DESC LIMIT 1"
    );
    tx.query_opt(&sql, params![project_id, ref_name, job_name])?.as_ref().map(read).transpose()
}

/// The archive of a pipeline's newest attempt of a job, if that succeeded.
pub fn of_successful_job(
    tx: &mut Tx<'_>,
    pipeline_id: PipelineId,
    job_name: &str,
) -> Result<Option<Artifact>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM jobs j JOIN artifacts a ON a.job_id = j.id AND a.file_type = 'archive'
         WHERE j.pipeline_id = $1 AND j.name = $2 AND j.status = 'success' AND NOT j.retried"
    );
    tx.query_opt(&sql, params![pipeline_id, job_name])?.as_ref().map(read).transpose()
}

/// The archive of the newest success of a job on a ref, whatever became of its pipeline.
pub fn newest_of_job(
    tx: &mut Tx<'_>,
    project_id: ProjectId,
    ref_name: &str,
    job_name: &str,
) -> Result<Option<Artifact>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM jobs j JOIN artifacts a ON a.job_id = j.id AND a.file_type = 'archive'
         JOIN pipelines p ON p.id = j.pipeline_id
         WHERE j.project_id = $1 AND p.ref = $2 AND j.name = $3 AND j.status = 'success' AND NOT j.retried
         ORDER BY j.id DESC LIMIT 1"
    );
    tx.query_opt(&sql, params![project_id, ref_name, job_name])?.as_ref().map(read).transpose()
}

/// Keeps a job's files for ever. `false` if it has none.
pub fn keep(tx: &mut Tx<'_>, job_id: JobId) -> Result<bool> {
    tx.execute("UPDATE jobs SET artifacts_expire_at = NULL WHERE id = $1", params![job_id])?;
    Ok(tx.execute("UPDATE artifacts SET expire_at = NULL WHERE job_id = $1", params![job_id])? > 0)
}

/// Locks the files of a pipeline's jobs and unlocks those of the older ones of its ref, as the newest successful
/// pipeline's stay. Source: `app/services/ci/unlock_artifacts_service.rb`.
pub fn lock_latest(
    tx: &mut Tx<'_>,
    project_id: ProjectId,
    ref_name: &str,
    tag: bool,
    id: PipelineId,
) -> Result<()> {
    let of = |pipelines: &str| {
        format!(
            "job_id IN (SELECT j.id FROM jobs j JOIN pipelines p ON p.id = j.pipeline_id WHERE {pipelines})"
        )
    };
    tx.execute(
        &format!(
            "UPDATE artifacts SET locked = FALSE WHERE locked AND project_id = $1 AND {}",
            of("p.project_id = $1 AND p.ref = $2 AND p.tag = $3 AND p.id < $4")
        ),
        params![project_id, ref_name, tag, id],
    )?;
    let sql = format!("UPDATE artifacts SET locked = TRUE WHERE {}", of("p.id = $1"));
    tx.execute(&sql, params![id])?;
    Ok(())
}

/// Whether [`delete_expired`] would delete anything.
pub fn any_expired(tx: &mut Tx<'_>, now: Timestamp) -> Result<bool> {
    let sql = "SELECT id FROM artifacts WHERE expire_at < $1 AND NOT locked LIMIT 1";
    Ok(tx.query_opt(sql, params![now])?.is_some())
}

/// Deletes files that expired before `now` and are not locked; their objects are left to [`object_deletions`].
/// How many they were: as long as they are `limit`, there may be more.
pub fn delete_expired(tx: &mut Tx<'_>, now: Timestamp, limit: i64) -> Result<u64> {
    let rows = tx.query(
        "DELETE FROM artifacts WHERE id IN (
             SELECT id FROM artifacts WHERE expire_at < $1 AND NOT locked ORDER BY expire_at LIMIT $2)
         RETURNING object_key",
        params![now, limit],
    )?;
    give_up(tx, &rows, now)
}

/// Deletes a job's files.
pub fn delete_of_job(tx: &mut Tx<'_>, job_id: JobId, now: Timestamp) -> Result<u64> {
    let rows = tx.query("DELETE FROM artifacts WHERE job_id = $1 RETURNING object_key", params![job_id])?;
    give_up(tx, &rows, now)
}

/// Deletes a project's files that are not locked, at most `limit`.
pub fn delete_of_project(tx: &mut Tx<'_>, project_id: ProjectId, now: Timestamp, limit: i64) -> Result<u64> {
    let rows = tx.query(
        "DELETE FROM artifacts WHERE id IN (
             SELECT id FROM artifacts WHERE project_id = $1 AND NOT locked ORDER BY id LIMIT $2)
         RETURNING object_key",
        params![project_id, limit],
    )?;
    give_up(tx, &rows, now)
}

/// Leaves the objects of a pipeline's files to [`object_deletions`]; the rows go with the pipeline.
pub(crate) fn give_up_pipeline(tx: &mut Tx<'_>, id: PipelineId, now: Timestamp) -> Result<()> {
    let rows = tx.query(
        "SELECT a.object_key FROM artifacts a JOIN jobs j ON j.id = a.job_id WHERE j.pipeline_id = $1",
        params![id],
    )?;
    give_up(tx, &rows, now).map(drop)
}

fn give_up(tx: &mut Tx<'_>, rows: &[Row], now: Timestamp) -> Result<u64> {
    let keys = rows.iter().map(|row| row.get(0)).collect::<Result<Vec<String>>>()?;
    object_deletions::add(tx, &keys, now)?;
    Ok(keys.len() as u64)
}
