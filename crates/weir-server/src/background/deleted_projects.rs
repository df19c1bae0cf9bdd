//! Projects marked as deleted lose their repository and their rows; their objects are left to the objects' task.

use weir_store::projects;

use crate::bus::Wake;
use crate::ctx::Ctx;
use crate::error::Result;

/// Projects found at once.
const BATCH: i64 = 20;

/// Deletes all that is marked. The repository goes first: as long as the row is there, it is tried again.
pub async fn sweep(ctx: &Ctx) -> Result<()> {
    loop {
        let found = ctx.db.read(|tx| projects::deleting(tx, BATCH)).await?;
        if found.is_empty() {
            return Ok(());
        }
        for project in found {
            ctx.repositories.repository(project.id.0).delete().await?;
            let now = ctx.now();
            ctx.db.write(move |tx| projects::delete(tx, project.id, now)).await?;
        }
        // Now its objects are due.
        ctx.bus.wake(Wake::Background);
    }
}
