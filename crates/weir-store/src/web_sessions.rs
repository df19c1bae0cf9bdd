//! Browsers that are signed in. Of a session's secret only its SHA-256 is kept, and a session is worth what the
//! token that opened it is worth: [`tokens::find_by_session`](crate::tokens::find_by_session) finds that.

use weir_api::Timestamp;
use weir_api::id::TokenId;

use crate::secrets::TokenDigest;
use crate::{Result, Tx, params};

/// Adds a session that a token opens.
pub fn insert(
    tx: &mut Tx<'_>,
    digest: &TokenDigest,
    token: TokenId,
    now: Timestamp,
    expires_at: Timestamp,
) -> Result<()> {
    tx.execute(
        "INSERT INTO web_sessions (digest, token_id, created_at, expires_at) VALUES ($1, $2, $3, $4)",
        params![digest, token, now, expires_at],
    )?;
    Ok(())
}

/// Deletes a session; `false` if it is not there.
pub fn delete(tx: &mut Tx<'_>, digest: &TokenDigest) -> Result<bool> {
    Ok(tx.execute("DELETE FROM web_sessions WHERE digest = $1", params![digest])? == 1)
}

/// Deletes the sessions that have expired; how many.
pub fn delete_expired(tx: &mut Tx<'_>, now: Timestamp) -> Result<u64> {
    tx.execute("DELETE FROM web_sessions WHERE expires_at <= $1", params![now])
}
