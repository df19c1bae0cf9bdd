//! The schema: numbered migrations, embedded in the binary.

use crate::db::migrate::Migration;

/// Every migration, in order. One that was released never changes; a new one is appended.
pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration { file: "0001_init.sql", sql: include_str!("sql/0001_init.sql") },
    Migration { file: "0002_web_sessions.sql", sql: include_str!("sql/0002_web_sessions.sql") },
    Migration { file: "0003_outbox.sql", sql: include_str!("sql/0003_outbox.sql") },
    Migration { file: "0004_resource_groups.sql", sql: include_str!("sql/0004_resource_groups.sql") },
    Migration { file: "0005_environments.sql", sql: include_str!("sql/0005_environments.sql") },
    Migration {
        file: "0006_triggers_and_schedules.sql",
        sql: include_str!("sql/0006_triggers_and_schedules.sql"),
    },
    Migration { file: "0007_merge_requests.sql", sql: include_str!("sql/0007_merge_requests.sql") },
    Migration { file: "0008_webhooks.sql", sql: include_str!("sql/0008_webhooks.sql") },
    Migration { file: "0009_commit_statuses.sql", sql: include_str!("sql/0009_commit_statuses.sql") },
    Migration { file: "0010_downstream.sql", sql: include_str!("sql/0010_downstream.sql") },
];
