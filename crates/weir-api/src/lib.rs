//! The wire: types of GitLab's REST API v4, of v3 builds and of the runner protocol.
//!
//! Only shapes and their vocabulary live here; what a status *means* is the engine's business.

pub mod access;
pub mod id;
pub mod kind;
mod lenient;
pub mod runner;
mod secret;
pub mod status;
pub mod time;
mod word;

pub use access::{AccessLevel, TokenScope, Visibility};
pub use kind::{
    FeatureAccess, GitStrategy, NamespaceKind, RunnerAccessLevel, RunnerType, UserState, VariableType,
};
pub use secret::Secret;
pub use status::{FailureReason, JobStatus, PipelineSource};
pub use time::Timestamp;
pub use word::Word;
