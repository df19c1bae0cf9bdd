//! All that lasts: one SQL text on SQLite and PostgreSQL, objects in files or S3.
//!
//! Every query is a synchronous function over [`Tx`]; [`Db::read`] and [`Db::write`] give it a transaction. So
//! a use case composes queries freely and they commit together, whatever the engine.
//!
//! What makes one text possible:
//! - Column types are `BIGINT`, `TEXT`, `BOOLEAN`, `{{blob}}`, `DOUBLE PRECISION`, and `{{id}}` for identities.
//! - Times are microseconds in `BIGINT`, vocabularies and JSON are `TEXT`.
//! - Parameters are `$1`, `$2`, …. PostgreSQL infers their types from the context; where there is none, write
//!   `CAST($1 AS BIGINT)`. `sum` and `avg` of a `BIGINT` need a cast of their result.
//! - `lower` and the order of texts know ASCII only, on SQLite as in a PostgreSQL database with the collation `C`.
//! - No constraint is deferred: one that fails at the commit would fail every write of its group.
//! - The only hooks are [`Tx::for_update`] and [`Tx::for_update_skip_locked`].

pub mod artifacts;
mod bulk;
mod columns;
pub mod commit_statuses;
pub mod db;
pub mod deployments;
pub mod digest;
pub mod environments;
pub mod error;
mod filter;
pub mod groups;
pub mod job_messages;
pub mod jobs;
pub mod members;
pub mod merge_requests;
pub mod namespaces;
pub mod object_deletions;
pub mod objects;
pub mod outbox;
mod page;
pub mod pipeline_schedules;
pub mod pipelines;
pub mod projects;
pub mod protected_refs;
pub mod pushes;
pub mod queue;
pub mod resource_groups;
pub mod runners;
pub mod secrets;
pub mod settings;
mod sql;
pub mod tag_sets;
#[cfg(feature = "testing")]
pub mod testing;
pub mod timers;
pub mod tokens;
pub mod traces;
pub mod triggers;
pub mod users;
pub mod variables;
pub mod web_sessions;
pub mod webhooks;

pub use db::{
    DatabaseUrl, Db, Durability, Engine, FromValue, Options, Row, ToValue, Tx, Value, Wake, placeholders,
};
pub use error::{Error, Result};
pub use objects::{Objects, ObjectsUrl};
pub use page::{Page, Sort};
pub use secrets::{Keyring, Secret, TokenDigest, TokenKind};
