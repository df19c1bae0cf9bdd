//! The compiler against GitLab's own files.

mod conformance;
mod properties;
