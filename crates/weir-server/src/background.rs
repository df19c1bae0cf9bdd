//! Work that no request waits for. Each task is an idempotent reconciler over rows with a due time: it looks,
//! does what is due, and sleeps until something is due or somebody wakes it. A restart loses nothing.

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::ctx::Ctx;

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
pub fn start(_ctx: &Ctx, _shutdown: &CancellationToken) -> Tasks {
    Tasks(TaskTracker::new())
}
