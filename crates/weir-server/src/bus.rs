//! Wake-ups: inside the process, and on their way to other servers ([`crate::replicas`]).
//!
//! A wake-up carries no truth, only a hint to look again; it may be lost, so everyone who waits also looks
//! again now and then ([`LOOK_AGAIN`]).

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, broadcast};
use weir_api::id::{JobId, PipelineId, ProjectId};

/// How long a waiter may rely on wake-ups alone.
pub const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// Wake-ups kept for a slow waiter; one that falls behind looks again at once.
const CAPACITY: usize = 1024;
/// Wake-ups that wait to be sent to other servers; more than these become [`Wake::Everything`].
pub(crate) const MAX_OUTGOING: usize = 150;

/// What may have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wake {
    /// Jobs were queued, or a runner may now take more of them.
    Queue,
    /// A job's trace grew or its status changed.
    Job(JobId),
    /// A pipeline's status changed, or that of one of its jobs.
    Pipeline(ProjectId, PipelineId),
    /// A task was left in the outbox.
    Outbox,
    /// A job ended: its trace can be archived.
    TraceEnded,
    /// A job is delayed: its time must not be missed.
    Delayed,
    /// Something happened to an environment: its end must not be missed.
    Environment,
    /// A schedule was made or changed: it may be due soon.
    Schedules,
    /// Something was left for webhooks.
    Webhooks,
    /// Something was given up that the background deletes.
    Background,
    /// Wake-ups of other servers may have been lost: it wakes everybody.
    Everything,
}

impl Wake {
    /// Whether somebody may wait for it at another server. Work of the background is done by the server that left it:
    /// the others would only compete for it, and look by themselves now and then in case that one dies.
    const fn concerns_others(self) -> bool {
        matches!(self, Self::Queue | Self::Job(_) | Self::Pipeline(..))
    }
}

/// The process's wake-up line.
#[derive(Debug)]
pub struct Bus {
    sender: broadcast::Sender<Wake>,
    /// Counts the changes of the queue.
    queue: AtomicU64,
    /// What other servers are to hear, if there may be others.
    outgoing: OnceLock<Outgoing>,
}

/// Wake-ups for other servers, each once until it is sent.
#[derive(Debug, Default)]
struct Outgoing {
    waiting: Mutex<BTreeSet<Wake>>,
    ready: Notify,
}

impl Default for Bus {
    fn default() -> Self {
        Self { sender: broadcast::channel(CAPACITY).0, queue: AtomicU64::new(0), outgoing: OnceLock::new() }
    }
}

impl Bus {
    /// Wakes whoever waits for this, here and at other servers.
    pub fn wake(&self, what: Wake) {
        self.wake_here(what);
        if what.concerns_others()
            && let Some(outgoing) = self.outgoing.get()
        {
            outgoing.add(what);
        }
    }

    /// Wakes whoever waits for this in this process.
    pub(crate) fn wake_here(&self, what: Wake) {
        if matches!(what, Wake::Queue | Wake::Everything) {
            self.queue.fetch_add(1, Ordering::Relaxed);
        }
        // Without a listener there is nobody to wake.
        let _ = self.sender.send(what);
    }

    /// The number of queue changes so far: the runner's `last_update`.
    pub fn queue_version(&self) -> u64 {
        self.queue.load(Ordering::Relaxed)
    }

    /// Starts listening. Subscribe *before* looking, or a wake-up between the two is lost.
    pub fn listen(&self) -> Listener {
        Listener { receiver: self.sender.subscribe() }
    }

    /// Keeps wake-ups for other servers from now on; somebody must take them.
    pub(crate) fn serve_others(&self) {
        self.outgoing.get_or_init(Outgoing::default);
    }

    /// What other servers are to hear and have not heard yet.
    pub(crate) fn take_outgoing(&self) -> BTreeSet<Wake> {
        self.outgoing.get().map(|outgoing| std::mem::take(&mut *outgoing.waiting())).unwrap_or_default()
    }

    /// Waits until there is something for other servers.
    pub(crate) async fn outgoing(&self) {
        match self.outgoing.get() {
            Some(outgoing) => outgoing.ready.notified().await,
            None => std::future::pending().await,
        }
    }
}

impl Outgoing {
    fn waiting(&self) -> std::sync::MutexGuard<'_, BTreeSet<Wake>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, what: Wake) {
        let mut waiting = self.waiting();
        if waiting.contains(&Wake::Everything) {
            return;
        }
        if waiting.len() == MAX_OUTGOING {
            waiting.clear();
            waiting.insert(Wake::Everything);
        } else {
            waiting.insert(what);
        }
        drop(waiting);
        // One who is about to wait is woken, too.
        self.ready.notify_one();
    }
}

/// One waiter's end of the line.
#[derive(Debug)]
pub struct Listener {
    receiver: broadcast::Receiver<Wake>,
}

impl Listener {
    /// Waits until something wanted may have changed, or [`LOOK_AGAIN`] has passed.
    pub async fn wait_for(&mut self, wanted: impl Fn(Wake) -> bool) {
        let _ = tokio::time::timeout(LOOK_AGAIN, self.wake(wanted)).await;
    }

    /// Waits until something wanted may have changed. The caller has a clock of its own.
    pub async fn wake(&mut self, wanted: impl Fn(Wake) -> bool) {
        loop {
            match self.receiver.recv().await {
                Ok(wake) if wake == Wake::Everything || wanted(wake) => return,
                Ok(_) => {}
                // Fallen behind: something wanted may be among the lost ones.
                Err(broadcast::error::RecvError::Lagged(_)) => return,
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_wake_up_between_listening_and_waiting_is_not_lost() {
        let bus = Bus::default();
        let mut listener = bus.listen();
        bus.wake(Wake::Job(JobId(1)));
        bus.wake(Wake::Queue);
        tokio::time::timeout(LOOK_AGAIN / 2, listener.wait_for(|wake| wake == Wake::Queue)).await.unwrap();
        assert_eq!(bus.queue_version(), 1);
    }

    #[tokio::test]
    async fn lost_wake_ups_of_others_wake_everybody() {
        let bus = Bus::default();
        let mut listener = bus.listen();
        bus.wake_here(Wake::Everything);
        tokio::time::timeout(LOOK_AGAIN / 2, listener.wait_for(|_| false)).await.unwrap();
    }

    #[test]
    fn others_hear_each_wake_up_once_and_of_too_many_only_that_there_were() {
        let bus = Bus::default();
        bus.wake(Wake::Queue);
        assert!(bus.take_outgoing().is_empty(), "there are no others");
        bus.serve_others();
        for wake in [Wake::Queue, Wake::Job(JobId(1)), Wake::Queue, Wake::Outbox] {
            bus.wake(wake);
        }
        bus.wake_here(Wake::Job(JobId(2)));
        assert_eq!(bus.take_outgoing(), BTreeSet::from([Wake::Queue, Wake::Job(JobId(1))]));
        for id in 0..2 * i64::try_from(MAX_OUTGOING).unwrap() {
            bus.wake(Wake::Job(JobId(id)));
        }
        assert_eq!(bus.take_outgoing(), BTreeSet::from([Wake::Everything]));
    }
}
