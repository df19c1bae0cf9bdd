//! From `.gitlab-ci.yml` and facts about a pipeline to a plan of jobs and a list of diagnostics.
//!
//! The compiler does no I/O: it asks for what it needs ([`Step::Need`]) and the caller answers.

pub mod compile;
pub mod context;
pub mod diagnostic;
pub mod duration;
pub mod expr;
pub mod fnmatch;
pub mod limits;
pub mod plan;
pub mod regexp;
pub mod vars;

mod entry;
mod extends;
mod graph;
mod include;
mod inputs;
mod interpolation;
mod keywords;
mod matrix;
mod merge;
mod policy;
mod reference;
mod rules;
mod seed;
#[cfg(test)]
mod testing;

pub use compile::{Answer, Compilation, Compiled, FileId, Refusal, Request, Step};
pub use context::Context;
pub use diagnostic::{Diagnostic, Label, Severity, SourceFile, Sources};
pub use plan::Plan;
