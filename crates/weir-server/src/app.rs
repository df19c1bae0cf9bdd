//! Use cases: what a request or a background task does, in one place each, named as its noun.

pub mod access;
pub mod instance;
pub mod users;
