//! Objects that no row names any more are deleted, artifacts that expired lose their rows.

use weir_store::{artifacts, object_deletions};

use crate::ctx::Ctx;
use crate::error::Result;

/// Rows handled in one transaction.
const BATCH: i64 = 200;

/// Deletes all that is due.
pub(super) async fn sweep(ctx: &Ctx) -> Result<()> {
    let now = ctx.now();
    // A look writes nothing; only what is due costs a commit.
    while ctx.db.read(move |tx| artifacts::any_expired(tx, now)).await?
        && ctx.db.write(move |tx| artifacts::delete_expired(tx, now, BATCH)).await? == BATCH.unsigned_abs()
    {
    }
    loop {
        let keys = ctx.db.read(move |tx| object_deletions::due(tx, now, BATCH)).await?;
        if keys.is_empty() {
            return Ok(());
        }
        ctx.objects.delete_many(&keys).await?;
        ctx.db.write(move |tx| object_deletions::done(tx, &keys)).await?;
    }
}
