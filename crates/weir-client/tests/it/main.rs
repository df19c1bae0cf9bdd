//! The client against a server that answers as the protocol says.

#![expect(clippy::unwrap_used, reason = "a helper that fails should fail its test")]

mod calls;
mod pages;
mod projects;
mod runner;
