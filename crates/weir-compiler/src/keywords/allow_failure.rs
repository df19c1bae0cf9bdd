//! `allow_failure`. Source: `entry/allow_failure.rb`.

use weir_yaml::Value;

use crate::entry::{Entry, Findings};
use crate::keywords::retry::exit_codes;
use crate::plan::AllowFailure;

/// `allow_failure: {exit_codes: …}` or a boolean, whose type the job has checked.
pub(crate) fn parse(entry: &Entry<'_>, findings: &mut Findings) -> Option<AllowFailure> {
    match entry.node.value {
        Value::Bool(true) => Some(AllowFailure::Yes),
        Value::Bool(false) => Some(AllowFailure::No),
        _ => {
            let before = findings.count();
            entry.allowed_keys(findings, &["exit_codes"]);
            let codes = exit_codes(entry, findings);
            (findings.count() == before).then_some(AllowFailure::ExitCodes(codes))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{compile, errors};

    #[test]
    fn manual_jobs_may_fail_unless_they_say_otherwise() {
        for (yaml, expected) in [
            ("", AllowFailure::No),
            (", allow_failure: true", AllowFailure::Yes),
            (", allow_failure: {exit_codes: 137}", AllowFailure::ExitCodes(vec![137])),
            (", when: manual", AllowFailure::Yes),
            (", when: manual, allow_failure: false", AllowFailure::No),
            (", when: manual, allow_failure: {exit_codes: [1]}", AllowFailure::ExitCodes(vec![1])),
            (", rules: [{when: manual}]", AllowFailure::No),
            (", when: manual, rules: [{if: '\"a\"'}]", AllowFailure::Yes),
            (", rules: [{when: manual, allow_failure: true}]", AllowFailure::Yes),
            (", allow_failure: {exit_codes: 1}, rules: [{allow_failure: false}]", AllowFailure::No),
        ] {
            let plan = compile(&format!("rspec: {{script: x{yaml}}}"));
            assert_eq!(plan.jobs[0].allow_failure, expected, "{yaml}");
        }
    }

    #[test]
    fn other_values_are_refused() {
        for (value, expected) in [
            ("x", "jobs:rspec allow failure should be a hash or a boolean value"),
            (
                "{exit_codes: a}",
                "jobs:rspec:allow_failure exit codes should be an array of integers or an integer",
            ),
            ("{codes: 1}", "jobs:rspec:allow_failure config contains unknown keys: codes"),
        ] {
            assert_eq!(errors(&format!("script: x\nallow_failure: {value}")), [expected], "{value}");
        }
    }
}
