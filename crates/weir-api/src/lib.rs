//! The wire: types of GitLab's REST API v4, of v3 builds and of the runner protocol.
//!
//! Only shapes and their vocabulary live here; what a status *means* is the engine's business. One file per
//! noun; a field's name, order, type and nullability are GitLab's. A member that GitLab always writes is
//! always written, as null if need be; one that it writes only sometimes is left out when it is `None`.
//!
//! An entity that extends another, as Grape's entities do, holds it in a field and dereferences to it:
//! `job.name` is `job.basic.name`.

pub mod access;
pub mod artifacts;
pub mod branches;
pub mod commit_statuses;
pub mod commits;
mod date;
pub mod detailed_status;
pub mod environments;
pub mod error;
pub mod files;
pub mod groups;
pub mod hooks;
pub mod id;
pub mod jobs;
pub mod kind;
mod lenient;
pub mod lint;
pub mod members;
pub mod merge_requests;
pub mod metadata;
pub mod namespaces;
pub mod page;
pub mod pipeline_schedules;
pub mod pipelines;
pub mod projects;
pub mod resource_groups;
pub mod runner;
pub mod runners;
mod secret;
pub mod status;
pub mod tags;
pub mod test_reports;
pub mod time;
pub mod tokens;
pub mod tree;
pub mod triggers;
pub mod users;
pub mod v3;
pub mod variables;
mod word;

pub use access::{AccessLevel, TokenScope, Visibility};
pub use date::Date;
pub use kind::{
    FeatureAccess, GitStrategy, NamespaceKind, ProcessMode, RunnerAccessLevel, RunnerType, UserState,
    VariableType,
};
pub use merge_requests::{MergeMethod, MergeRequestState, MergeStatus};
pub use secret::Secret;
pub use status::{FailureReason, JobStatus, PipelineSource};
pub use time::Timestamp;
pub use word::Word;

/// Members of an answer that this version has no field for.
pub type Extra = serde_json::Map<String, serde_json::Value>;

/// Lets an entity be read like the one that it extends.
macro_rules! inherits {
    ($($entity:ty => $field:ident: $base:ty),* $(,)?) => {$(
        impl std::ops::Deref for $entity {
            type Target = $base;

            fn deref(&self) -> &$base {
                &self.$field
            }
        }
    )*};
}
use inherits;
