//! SIGINT and SIGTERM.

use anyhow::{Context as _, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that ask a process to end.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

/// A signal that arrived.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrived(SignalKind);

impl Signals {
    /// Listens from now on, instead of being ended by them.
    pub(crate) fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// The next one.
    pub(crate) async fn next(&mut self) -> Arrived {
        tokio::select! {
            _ = self.interrupt.recv() => Arrived(SignalKind::interrupt()),
            _ = self.terminate.recv() => Arrived(SignalKind::terminate()),
        }
    }
}

impl Arrived {
    /// The exit code of a process that the signal ended, as shells count.
    pub(crate) fn exit_code(self) -> u8 {
        u8::try_from(128 + self.0.as_raw_value()).unwrap_or(1)
    }
}
