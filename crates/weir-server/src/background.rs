//! Work that no request waits for. Each task is an idempotent reconciler over rows with a due time: it looks,
//! does what is due, and sleeps until something is due or somebody wakes it. A restart loses nothing.

pub mod deleted_projects;
mod objects;
mod traces;
mod webhooks;

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::{environments, outbox, overdue, pipeline_schedules, pushes};
use crate::bus::Wake;
use crate::ctx::Ctx;
use crate::error::Result;

/// The longest sleep between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// The running tasks.
#[derive(Debug)]
pub struct Tasks(TaskTracker);

impl Tasks {
    /// Waits until all have ended.
    pub async fn wait(self) {
        self.0.close();
        self.0.wait().await;
    }
}

/// Starts every task; they end when `shutdown` is canceled.
pub fn start(ctx: &Ctx, shutdown: &CancellationToken) -> Tasks {
    let tracker = TaskTracker::new();
    let (first, stop) = (ctx.clone(), shutdown.clone());
    tracker.spawn(async move {
        if let Err(error) = pushes::recover(&first).await {
            tracing::error!(%error, "pushes of the last run could not be looked after");
        }
        every(first, stop, "pushes", None, async |ctx| {
            Ok(pushes::sweep(ctx).await?.map(|due| due.secs_since(ctx.now())))
        })
        .await;
    });
    tracker.spawn(every(ctx.clone(), shutdown.clone(), "outbox", Some(Wake::Outbox), async |ctx| {
        Ok(outbox::sweep(ctx).await?.map(|due| due.secs_since(ctx.now())))
    }));
    tracker.spawn(every(
        ctx.clone(),
        shutdown.clone(),
        "environments",
        Some(Wake::Environment),
        async |ctx| Ok(environments::sweep(ctx).await?.map(|due| due.secs_since(ctx.now()))),
    ));
    tracker.spawn(every(ctx.clone(), shutdown.clone(), "overdue jobs", Some(Wake::Delayed), async |ctx| {
        Ok(overdue::sweep(ctx).await?.map(|due| due.secs_since(ctx.now())))
    }));
    tracker.spawn(every(ctx.clone(), shutdown.clone(), "schedules", Some(Wake::Schedules), async |ctx| {
        Ok(pipeline_schedules::run::sweep(ctx).await?.map(|due| due.secs_since(ctx.now())))
    }));
    tracker.spawn(every(
        ctx.clone(),
        shutdown.clone(),
        "ended traces",
        Some(Wake::TraceEnded),
        async |ctx| {
            // Jobs end in bursts; one look for all of a burst costs fewer commits.
            tokio::time::sleep(traces::GATHER).await;
            traces::sweep(ctx).await.map(|()| None)
        },
    ));
    tracker.spawn(every(ctx.clone(), shutdown.clone(), "objects", Some(Wake::Background), async |ctx| {
        objects::sweep(ctx).await.map(|()| None)
    }));
    tracker.spawn(every(
        ctx.clone(),
        shutdown.clone(),
        "deleted projects",
        Some(Wake::Background),
        async |ctx| deleted_projects::sweep(ctx).await.map(|()| None),
    ));
    tracker.spawn(webhooks::run(ctx.clone(), shutdown.clone()));
    Tasks(tracker)
}

/// Looks again and again, and at once when woken. `look` says in how many seconds something is due, if it knows.
async fn every<F>(ctx: Ctx, shutdown: CancellationToken, name: &'static str, woken_by: Option<Wake>, look: F)
where
    F: AsyncFn(&Ctx) -> Result<Option<f64>>,
{
    let mut listener = ctx.bus.listen();
    loop {
        let due = match look(&ctx).await {
            Ok(due) => due,
            Err(error) => {
                tracing::error!(task = name, %error, "a background task failed; it will be tried again");
                None
            }
        };
        let wait =
            due.map_or(LOOK_EVERY, |secs| Duration::from_secs_f64(secs.clamp(0.0, LOOK_EVERY.as_secs_f64())));
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
            () = listener.wake(|wake| Some(wake) == woken_by) => {}
        }
    }
}
