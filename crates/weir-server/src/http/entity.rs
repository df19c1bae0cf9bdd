//! From rows to the entities of the API: one place for each, whoever answers with it.

pub mod branches;
pub mod commit_statuses;
pub mod commits;
pub mod environments;
pub mod groups;
pub mod hooks;
pub mod jobs;
pub mod members;
pub mod merge_requests;
pub mod metadata;
pub mod namespaces;
pub mod pipeline_schedules;
pub mod pipelines;
pub mod projects;
pub mod protected_refs;
pub mod resource_groups;
pub mod tags;
pub mod tokens;
pub mod triggers;
pub mod users;
