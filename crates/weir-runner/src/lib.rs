//! Runs jobs: asks a server for them, runs their scripts, streams their traces, keeps their artifacts.
//!
//! [`Runner`] polls a server for jobs; [`job::run`] runs one payload, for a server or for nobody ([`Server::Local`]). Payloads, words of the protocol and
//! identities are `weir-api`'s.
//!
//! ```no_run
//! # async fn example(shutdown: tokio_util::sync::CancellationToken) -> Result<(), weir_runner::RunnerError> {
//! let mut config = weir_runner::Config::new("https://gitlab.example.com", "glrt-token", "/var/lib/weir");
//! config.concurrent = 4;
//! weir_runner::Runner::new(config)?.run(shutdown).await;
//! # Ok(())
//! # }
//! ```

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

mod archive;
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
