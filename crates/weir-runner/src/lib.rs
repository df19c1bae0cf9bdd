//! Runs jobs: asks a server for them, runs their scripts, streams their traces, keeps their artifacts.
//!
//! [`Runner`] polls a server for jobs; [`job::run`] runs one payload, for a server or for nobody ([`Server::Local`]). Payloads, words of the protocol and
//! identities are `weir-api`'s.

pub mod archive;
pub mod config;
pub mod error;
pub mod executor;
pub mod job;
pub mod limits;
pub mod mask;
pub mod poll;
pub mod script;
pub mod server;
pub mod trace;
pub mod variables;

mod artifacts;
mod cache;
mod process;
mod send;
mod sources;

pub use config::Config;
pub use error::JobError;
pub use executor::{Executor, ExecutorConfig};
pub use job::{Signals, Slot};
pub use poll::{Runner, RunnerError};
pub use server::{Local, Remote, Server};
