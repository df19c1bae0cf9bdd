//! The pipeline state machine: state, event and time in; changes and effects out.
//!
//! Pure: no clock, no database. The server, local runs and simulation use the same code. [`create`] makes the
//! state of a new pipeline from its plan, [`apply`] is the only way to change it, and the other modules are
//! the decisions around it: who may run what, until when, and with which payload.

mod apply;
pub mod auto_cancel;
mod cancel;
pub mod coverage;
mod create;
pub mod cron;
mod delayed;
pub mod dependencies;
mod downstream;
pub mod effect;
pub mod environment;
pub mod event;
pub mod external;
mod jobs;
pub mod limits;
pub mod manual;
pub mod payload;
mod process;
pub mod queue;
pub mod rerun;
pub mod resource_group;
pub mod retry;
pub mod state;
pub mod status;
mod step;
pub mod timeout;
pub mod trace;
pub mod trust;

pub use apply::apply;
pub use create::create;
pub use effect::{Changes, Effect};
pub use event::{Event, Outcome, Refused};
pub use jobs::Jobs;
pub use state::{JobIndex, JobKind, JobState, PipelineState, StageState};
