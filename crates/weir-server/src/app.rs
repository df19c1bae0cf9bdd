//! Use cases: what a request or a background task does, in one place each, named as its noun.

pub mod access;
pub mod artifacts;
pub mod changes;
pub mod commits;
pub mod facts;
pub mod git_access;
pub mod groups;
pub mod instance;
pub mod job_requests;
pub mod job_updates;
pub mod jobs;
pub mod members;
pub mod namespaces;
pub mod overdue;
pub mod paths;
pub mod payloads;
pub mod pipelines;
pub mod projects;
pub mod protected_refs;
pub mod protection;
pub mod pushes;
pub mod runners;
pub mod tokens;
pub mod traces;
pub mod users;
