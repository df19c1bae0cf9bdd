//! The store's suite: every case runs on SQLite and on PostgreSQL.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod commit_statuses;
mod environments;
mod family;
mod files;
mod histories;
mod merge_requests;
mod objects;
mod people;
mod pipelines;
mod queue;
mod resource_groups;
mod starts;
mod timers;
mod transactions;
mod values;
mod wakes;
mod webhooks;
mod world;
