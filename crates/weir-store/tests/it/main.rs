//! The store's suite: every case runs on SQLite and on PostgreSQL.

mod transactions;
