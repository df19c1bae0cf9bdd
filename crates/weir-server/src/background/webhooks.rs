//! Sends what hooks are told: one request at a time to each hook, many hooks at once, so that a slow receiver holds
//! up nobody but itself.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::LOOK_EVERY;
use crate::app::webhooks;
use crate::bus::Wake;
use crate::ctx::Ctx;
use crate::error::Result;

/// Hooks that are sent to at once.
const MAX_AT_ONCE: usize = 50;

/// Looks and sends until `shutdown` is canceled; requests under way end.
pub(super) async fn run(ctx: Ctx, shutdown: CancellationToken) {
    let mut listener = ctx.bus.listen();
    let mut under_way = JoinSet::new();
    while !shutdown.is_cancelled() {
        let wait = match look(&ctx, &shutdown, &mut under_way).await {
            Ok(wait) => wait.unwrap_or(LOOK_EVERY).min(LOOK_EVERY),
            Err(error) => {
                tracing::error!(%error, "deliveries to hooks could not be looked at; it will be tried again");
                LOOK_EVERY
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(wait) => {}
            () = listener.wake(|wake| wake == Wake::Webhooks) => {}
            Some(_) = under_way.join_next() => {}
        }
    }
    while under_way.join_next().await.is_some() {}
}

async fn look(
    ctx: &Ctx,
    shutdown: &CancellationToken,
    under_way: &mut JoinSet<()>,
) -> Result<Option<Duration>> {
    webhooks::forget_old(ctx).await?;
    let now = ctx.now();
    let room = i64::try_from(MAX_AT_ONCE.saturating_sub(under_way.len())).unwrap_or(0);
    let due = ctx.db.read(move |tx| weir_store::webhooks::due(tx, now, room)).await?;
    for hook in due {
        let (ctx, shutdown) = (ctx.clone(), shutdown.clone());
        under_way.spawn(async move {
            if let Err(error) = webhooks::drain(&ctx, hook, &shutdown).await {
                tracing::error!(%error, hook = hook.0, "deliveries to a hook broke off");
                // Somebody else may try when the claim has ended.
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
    }
    let next = ctx.db.read(move |tx| weir_store::webhooks::next_due(tx, now)).await?;
    Ok(next.map(|due| Duration::from_secs_f64(due.secs_since(now).max(0.01))))
}
