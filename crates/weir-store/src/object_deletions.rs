//! Objects to delete, so that neither a crash nor a failed upload leaks one.
//!
//! A key enters in the transaction that removes the last row naming it, and leaves when the object is gone. An
//! upload [`reserve`]s its key before it writes; the transaction that stores the row [`keep`]s it.

use weir_api::Timestamp;

use crate::{Result, Tx, bulk, params};

/// Notes that the objects are to be deleted now.
pub fn add(tx: &mut Tx<'_>, object_keys: &[String], now: Timestamp) -> Result<()> {
    for key in object_keys {
        reserve(tx, key, now)?;
    }
    Ok(())
}

/// Notes that an object is to be deleted at `due`, unless someone [`keep`]s it before.
pub fn reserve(tx: &mut Tx<'_>, object_key: &str, due: Timestamp) -> Result<()> {
    tx.execute(
        "INSERT INTO object_deletions (object_key, due_at) VALUES ($1, $2)
         ON CONFLICT (object_key) DO UPDATE SET due_at = excluded.due_at",
        params![object_key, due],
    )?;
    Ok(())
}

/// Takes an object off the list; `false` if it was not on it, which for an upload means that the reservation has
/// run out and the object may be gone.
pub fn keep(tx: &mut Tx<'_>, object_key: &str) -> Result<bool> {
    Ok(tx.execute("DELETE FROM object_deletions WHERE object_key = $1", params![object_key])? == 1)
}

/// Keys that are due, the oldest first.
pub fn due(tx: &mut Tx<'_>, now: Timestamp, limit: i64) -> Result<Vec<String>> {
    let rows = tx.query(
        "SELECT object_key FROM object_deletions WHERE due_at <= $1 ORDER BY due_at LIMIT $2",
        params![now, limit],
    )?;
    rows.iter().map(|row| row.get(0)).collect()
}

/// The objects are gone.
pub fn done(tx: &mut Tx<'_>, object_keys: &[String]) -> Result<()> {
    bulk::each_of(tx, object_keys, |keys| {
        format!("DELETE FROM object_deletions WHERE object_key IN ({keys})")
    })?;
    Ok(())
}
