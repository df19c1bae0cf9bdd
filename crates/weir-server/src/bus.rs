//! Wake-ups inside the process.
//!
//! A wake-up carries no truth, only a hint to look again; it may be lost, so everyone who waits also looks
//! again now and then ([`LOOK_AGAIN`]).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::broadcast;
use weir_api::id::{JobId, PipelineId, ProjectId};

/// How long a waiter may rely on wake-ups alone.
pub const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// Wake-ups kept for a slow waiter; one that falls behind looks again at once.
const CAPACITY: usize = 1024;

/// What may have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// Jobs were queued, or a runner may now take more of them.
    Queue,
    /// A job's trace grew or its status changed.
    Job(JobId),
    /// A pipeline's status changed.
    Pipeline(ProjectId, PipelineId),
    /// A task was left in the outbox.
    Outbox,
    /// A job ended: its trace can be archived.
    TraceEnded,
    /// A job is delayed: its time must not be missed.
    Delayed,
    /// Something was given up that the background deletes.
    Background,
}

/// The process's wake-up line.
#[derive(Debug)]
pub struct Bus {
    sender: broadcast::Sender<Wake>,
    /// Counts the changes of the queue.
    queue: AtomicU64,
}

impl Default for Bus {
    fn default() -> Self {
        Self { sender: broadcast::channel(CAPACITY).0, queue: AtomicU64::new(0) }
    }
}

impl Bus {
    /// Wakes whoever waits for this.
    pub fn wake(&self, what: Wake) {
        if what == Wake::Queue {
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
                Ok(wake) if wanted(wake) => return,
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
}
