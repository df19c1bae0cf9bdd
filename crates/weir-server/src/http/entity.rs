//! From rows to the entities of the API: one place for each, whoever answers with it.

pub mod jobs;
pub mod metadata;
pub mod pipelines;
pub mod tokens;
pub mod users;
