//! Who is calling, and what they may do.

pub mod password;
pub mod policy;
pub mod token;

pub use policy::{Action, Standing};
pub use token::Caller;
