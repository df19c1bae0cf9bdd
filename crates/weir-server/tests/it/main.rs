//! The server's contract: the real router, in process, on SQLite and on PostgreSQL.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

/// Makes two tests of each case `async fn name(world: World)`: `on_sqlite::name` and `on_postgres::name`.
macro_rules! on_each_database {
    ($($case:ident),* $(,)?) => {
        mod on_sqlite {
            $(#[tokio::test]
            async fn $case() {
                crate::harness::on(weir_store::Engine::Sqlite, super::$case).await;
            })*
        }

        mod on_postgres {
            $(#[tokio::test]
            async fn $case() {
                crate::harness::on(weir_store::Engine::Postgres, super::$case).await;
            })*
        }
    };
}

mod actions;
mod branches;
mod browser;
mod commit_statuses;
mod commits;
mod downstream;
mod environments;
mod files;
mod forks;
mod git;
mod groups;
mod harness;
mod hooks;
mod includes;
mod inputs;
mod members;
mod merge_requests;
mod metadata;
mod namespaces;
mod pipeline_schedules;
mod projects;
mod protected_refs;
mod replicas;
mod rerun;
mod resource_groups;
mod scene;
mod tags;
mod timers;
mod tokens;
mod traces;
mod triggers;
mod trust;
mod users;
mod web;
