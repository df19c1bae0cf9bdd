//! The rules of processing, one table or scenario a rule.
//!
//! They hold without GitLab's own cases (`conformance`), whose rules each have a test here, too.

mod bridges;
mod cancel;
mod effects;
mod manual;
mod retry;
mod runner;
mod transitions;
mod when;
