//! The engine as its users see it.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod dependencies;
mod payload;
mod processing;
mod scenario;
mod simulation;
mod timeouts;
