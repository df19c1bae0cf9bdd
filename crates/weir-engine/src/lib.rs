//! The pipeline state machine: state, event and time in; changes and effects out.
//!
//! Pure: no clock, no database. The server, local runs and simulation use the same code.

pub mod effect;
pub mod event;
pub mod state;

pub use effect::{Changes, Effect};
pub use event::{Event, Outcome, Refused};
pub use state::{JobIndex, JobState, PipelineState, StageState};
