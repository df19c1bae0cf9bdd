//! The runner against a server that speaks the runner protocol, with real shells and real Git.

mod artifacts;
mod job;
mod poll;
mod server;
mod sources;
mod trace;
