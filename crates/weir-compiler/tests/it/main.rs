//! The compiler against GitLab's own files.

#![expect(clippy::expect_used, reason = "a test that cannot read its files must fail")]

mod conformance;
mod diagnostics;
mod properties;
