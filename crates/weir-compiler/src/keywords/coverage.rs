//! `coverage`. Source: `entry/coverage.rb`.

use crate::entry::{Entry, Findings};
use crate::regexp::Regexp;

/// The pattern between the slashes, flags in front.
pub(crate) fn parse(entry: &Entry<'_>, findings: &mut Findings) -> Option<String> {
    if let Some(Ok(regexp)) = entry.node.as_str().map(Regexp::from_literal) {
        return Some(regexp.source().to_owned());
    }
    findings.invalid(entry, "config", "must be a regular expression with re2 syntax");
    None
}

#[cfg(test)]
mod tests {
    use crate::testing::{compile, errors};

    #[test]
    fn coverage_is_a_pattern_between_slashes() {
        let plan = compile(r"rspec: {script: x, coverage: '/Code coverage: \d+\.\d+/'}");
        assert_eq!(plan.jobs[0].coverage.as_deref(), Some(r"Code coverage: \d+\.\d+"));
        for coverage in ["a", "1", "'/a(/'"] {
            let expected = "jobs:rspec:coverage config must be a regular expression with re2 syntax";
            assert_eq!(errors(&format!("script: x\ncoverage: {coverage}")), [expected], "{coverage}");
        }
    }
}
