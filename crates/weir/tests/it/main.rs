//! The real binary from outside: processes, signals, git, the API.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends so")]

mod harness;

mod crash;
mod demo;
mod downstream;
mod git;
mod hostile;
mod python_gitlab;
mod serve;
