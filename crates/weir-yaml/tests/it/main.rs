//! Reading YAML against Ruby's Psych, against hostile texts and against the writer.

#![expect(clippy::expect_used, reason = "a test that cannot read its files must fail")]

mod psych;
mod reading;
