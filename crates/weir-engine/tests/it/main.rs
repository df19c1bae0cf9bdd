//! The engine as its users see it.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod auto_cancel;
mod conformance;
mod cron;
mod dependencies;
mod external;
mod payload;
mod processing;
mod queue;
mod reference;
mod rerun;
mod scenario;
mod simulation;
mod timeouts;
mod trust;
