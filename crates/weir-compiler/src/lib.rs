//! From `.gitlab-ci.yml` and facts about a pipeline to a plan of jobs and a list of diagnostics.
//!
//! The compiler does no I/O: it asks for what it needs ([`Step::Need`]) and the caller answers.

pub mod expr;
pub mod limits;
pub mod plan;
pub mod regexp;

pub use plan::Plan;
