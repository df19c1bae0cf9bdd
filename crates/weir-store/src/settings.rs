//! Key-value settings of the instance.

use crate::{Result, Tx, params};

/// The value of a key.
pub fn get(tx: &mut Tx<'_>, key: &str) -> Result<Option<String>> {
    let row = tx.query_opt("SELECT value FROM settings WHERE key = $1", params![key])?;
    row.map(|row| row.get(0)).transpose()
}

/// Sets a key.
pub fn set(tx: &mut Tx<'_>, key: &str, value: &str) -> Result<()> {
    tx.execute(
        "INSERT INTO settings (key, value) VALUES ($1, $2)
         ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        params![key, value],
    )?;
    Ok(())
}

/// Sets a key that has no value yet; the value that it has then. For what is made once, such as the instance's
/// UUID.
pub fn get_or_set(tx: &mut Tx<'_>, key: &str, value: &str) -> Result<String> {
    tx.execute(
        "INSERT INTO settings (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING",
        params![key, value],
    )?;
    tx.query_one("SELECT value FROM settings WHERE key = $1", params![key])?.get(0)
}

/// Removes a key.
pub fn remove(tx: &mut Tx<'_>, key: &str) -> Result<()> {
    tx.execute("DELETE FROM settings WHERE key = $1", params![key])?;
    Ok(())
}

/// Makes this transaction wait until no other is in the same `section`. Nothing on SQLite, where writers never
/// overlap.
pub(crate) fn enter(tx: &mut Tx<'_>, section: &str) -> Result<()> {
    get_or_set(tx, section, "")?;
    tx.execute("UPDATE settings SET value = '' WHERE key = $1", params![section])?;
    Ok(())
}
