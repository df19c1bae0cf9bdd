//! The server: REST, runner protocol and Git over HTTP, use cases, background work.

pub mod app;
pub mod auth;
pub mod background;
pub mod bus;
pub mod clock;
pub mod config;
pub mod ctx;
pub mod egress;
pub mod error;
pub mod http;
pub mod metrics;
pub mod replicas;
pub mod server;

pub use config::Config;
pub use server::{Server, StartError};
