//! `tags`. Source: `entry/tags.rb`.

use crate::entry::{Entry, Findings};
use crate::limits::TAGS;

/// `tags`: a list of texts, unexpanded.
pub(crate) fn parse(entry: &Entry<'_>, findings: &mut Findings) -> Option<Vec<String>> {
    let tags = entry.as_strings(findings)?;
    if tags.len() >= TAGS {
        findings.invalid(entry, "config", &format!("must be less than the limit of {TAGS} tags"));
        return None;
    }
    Some(tags)
}

#[cfg(test)]
mod tests {
    use crate::testing::{compile, errors};

    #[test]
    fn tags_are_expanded_sorted_and_each_there_once() {
        let plan = compile("variables: {T: b}\nrspec: {script: x, tags: [c, $T, a, $UNKNOWN, c]}");
        assert_eq!(plan.jobs[0].tags, ["$UNKNOWN", "a", "b", "c"]);
    }

    #[test]
    fn other_values_are_refused() {
        let many: Vec<String> = (0..50).map(|n| format!("t{n}")).collect();
        for (tags, expected) in [
            ("a".to_owned(), "jobs:rspec:tags config should be an array of strings"),
            ("[1]".to_owned(), "jobs:rspec:tags config should be an array of strings"),
            (
                format!("[{}]", many.join(", ")),
                "jobs:rspec:tags config must be less than the limit of 50 tags",
            ),
        ] {
            assert_eq!(errors(&format!("script: x\ntags: {tags}")), [expected], "{tags}");
        }
    }
}
