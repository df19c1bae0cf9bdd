//! The runner against a server that speaks the runner protocol, with real shells and real Git.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "in a test the panic is the report")]

mod artifacts;
mod job;
mod poll;
mod server;
mod sources;
mod trace;
