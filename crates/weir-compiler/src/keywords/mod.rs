//! Keywords: what each one accepts, and its typed value. One file a keyword, named by it.
//!
//! Sources: `lib/gitlab/ci/config/entry/`.

pub(crate) mod allow_failure;
pub(crate) mod artifacts;
pub(crate) mod cache;
pub(crate) mod coverage;
pub(crate) mod default;
pub(crate) mod environment;
pub(crate) mod id_tokens;
pub(crate) mod image;
pub(crate) mod inherit;
pub(crate) mod job;
pub(crate) mod needs;
pub(crate) mod only;
pub(crate) mod pages;
pub(crate) mod parallel;
pub(crate) mod release;
pub(crate) mod retry;
pub(crate) mod root;
pub(crate) mod rules;
pub(crate) mod script;
pub(crate) mod services;
pub(crate) mod stages;
pub(crate) mod tags;
pub(crate) mod trigger;
pub(crate) mod variables;
pub(crate) mod workflow;
