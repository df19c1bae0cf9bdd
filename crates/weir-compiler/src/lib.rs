//! From `.gitlab-ci.yml` and facts about a pipeline to a plan of jobs and a list of diagnostics.
//!
//! The compiler does no I/O: it asks for what it needs ([`Step::Need`]) and the caller answers.

pub mod plan;

pub use plan::Plan;
