//! A typed, asynchronous client of GitLab's CI/CD API and of its runner protocol.

mod action;
mod call;
mod client;
mod error;
mod path;
pub mod runner;
mod stream;

pub use action::{Action, List, Page};
pub use client::{Client, ClientBuilder};
pub use error::{Attempt, Error, Result};
pub use path::{GroupRef, ProjectRef};
pub use stream::Download;
pub use weir_api as types;
