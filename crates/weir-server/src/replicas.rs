//! Wake-ups between the servers that share one PostgreSQL database.
//!
//! What a server's bus says ([`crate::bus`]) is sent right after the commit that it is about, not in it: PostgreSQL lets
//! one transaction that notifies commit at a time, so notifications in every change would make commits wait for one
//! another. The first wake-up after a quiet moment is sent at once; those that come while it is on its way, or within
//! `PAUSE` after it, go together in the next message. So an idle server's job is heard of as soon as a message travels,
//! and a busy server sends no more than a hundred messages a second, whatever it does.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use weir_api::id::{JobId, PipelineId, ProjectId};
use weir_store::secrets::random_text;
use weir_store::{Engine, settings};

use crate::bus::{Bus, Wake};
use crate::ctx::Ctx;
use crate::error::Result;

/// The least time between two messages.
const PAUSE: Duration = Duration::from_millis(10);
/// The setting that names the instance. Instances may share a database, each in a schema of its own.
const INSTANCE: &str = "instance";

/// The link to the other servers.
#[derive(Debug)]
pub struct Replicas {
    tracker: TaskTracker,
    ended: CancellationToken,
}

impl Replicas {
    /// Speaks and listens from now on. Nothing on SQLite, where one process has the whole database.
    pub async fn start(ctx: &Ctx) -> Result<Self> {
        let (tracker, ended) = (TaskTracker::new(), CancellationToken::new());
        if ctx.db.engine() == Engine::Postgres {
            let new = random_text()?;
            let instance = ctx.db.write(move |tx| settings::get_or_set(tx, INSTANCE, &new)).await?;
            let (channel, origin) = (format!("weir {instance}"), random_text()?);
            ctx.bus.serve_others();
            tracker.spawn(speak(ctx.clone(), channel.clone(), origin.clone(), ended.clone()));
            let (ctx, ended) = (ctx.clone(), ended.clone());
            tracker.spawn(async move {
                tokio::select! {
                    () = listen(&ctx, &channel, &origin) => {}
                    () = ended.cancelled() => {}
                }
            });
        }
        tracker.close();
        Ok(Self { tracker, ended })
    }

    /// Says what is still to be said, and ends.
    pub async fn stop(self) {
        self.ended.cancel();
        self.tracker.wait().await;
    }
}

async fn speak(ctx: Ctx, channel: String, origin: String, ended: CancellationToken) {
    while !ended.is_cancelled() {
        tokio::select! {
            () = ctx.bus.outgoing() => {}
            () = ended.cancelled() => {}
        }
        let wakes = ctx.bus.take_outgoing();
        if wakes.is_empty() {
            continue;
        }
        if let Err(error) = ctx.db.notify(&channel, encode(&origin, &wakes)).await {
            // They look by themselves in a moment.
            tracing::warn!(%error, "other servers could not be woken");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn listen(ctx: &Ctx, channel: &str, origin: &str) {
    let mut said = ctx.db.listen(&[channel]);
    while let Some(said) = said.next().await {
        match said {
            weir_store::Wake::Notified { payload, .. } => hear(&ctx.bus, origin, &payload),
            weir_store::Wake::Missed => ctx.bus.wake_here(Wake::Everything),
        }
    }
}

/// Passes on what another server said.
fn hear(bus: &Bus, own: &str, message: &str) {
    let mut words = message.split(' ');
    if words.next() == Some(own) {
        return;
    }
    for word in words {
        // A word that is unknown is one of another version.
        bus.wake_here(decode(word).unwrap_or(Wake::Everything));
    }
}

/// The sender and its wake-ups, parted by spaces; not over 8,000 bytes.
fn encode(origin: &str, wakes: &BTreeSet<Wake>) -> String {
    let words = wakes.iter().map(|wake| match wake {
        Wake::Queue => "queue".to_owned(),
        Wake::Job(id) => format!("job:{}", id.0),
        Wake::Pipeline(project, id) => format!("pipeline:{}:{}", project.0, id.0),
        _ => "everything".to_owned(),
    });
    std::iter::once(origin.to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

fn decode(word: &str) -> Option<Wake> {
    let mut parts = word.split(':');
    let kind = parts.next()?;
    let mut number = || parts.next()?.parse().ok();
    Some(match kind {
        "queue" => Wake::Queue,
        "job" => Wake::Job(JobId(number()?)),
        "pipeline" => Wake::Pipeline(ProjectId(number()?), PipelineId(number()?)),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::MAX_OUTGOING;

    #[test]
    fn a_message_says_who_speaks_and_each_wake_up() {
        let wakes = [Wake::Queue, Wake::Job(JobId(7)), Wake::Pipeline(ProjectId(2), PipelineId(9))];
        let message = encode("a", &BTreeSet::from(wakes));
        assert_eq!(message, "a queue job:7 pipeline:2:9");
        let heard = message.split(' ').skip(1).map(decode);
        assert!(heard.eq(wakes.map(Some)));
        assert_eq!(encode("a", &BTreeSet::from([Wake::Everything])), "a everything");
        for unknown in ["everything", "", "job:x", "pipeline:1", "tea"] {
            assert_eq!(decode(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn the_longest_message_is_short_enough() {
        let wakes = (0..i64::try_from(MAX_OUTGOING).unwrap())
            .map(|id| Wake::Pipeline(ProjectId(i64::MAX), PipelineId(i64::MAX - id)))
            .collect();
        assert!(encode(&random_text().unwrap(), &wakes).len() < 8000);
    }

    #[test]
    fn a_server_does_not_hear_itself() {
        let bus = Bus::default();
        hear(&bus, "a", "a queue");
        assert_eq!(bus.queue_version(), 0);
        hear(&bus, "a", "b queue");
        hear(&bus, "a", "b tea");
        assert_eq!(bus.queue_version(), 2);
    }
}
