//! `release`: its form. Source: `entry/release.rb`.

use crate::entry::{Entry, Findings, is_blank};

/// Checks `release`.
pub(crate) fn check(entry: &Entry<'_>, findings: &mut Findings) {
    if entry.expect_mapping(findings).is_none() {
        return;
    }
    let keys =
        ["tag_name", "tag_message", "name", "description", "ref", "released_at", "milestones", "assets"];
    entry.allowed_keys(findings, &keys);
    for key in ["tag_name", "description"] {
        if entry.get(key).is_none_or(is_blank) {
            findings.invalid(entry, &key.replace('_', " "), "can't be blank");
        }
    }
    for key in ["tag_name", "description", "tag_message", "name", "ref"] {
        entry.string(findings, key);
    }
    entry.string_or_strings(findings, "milestones");
}

#[cfg(test)]
mod tests {
    use crate::testing::errors;

    #[test]
    fn a_release_has_a_tag_and_a_description() {
        assert!(errors("script: x\nrelease: {tag_name: v1, description: text}").is_empty());
        let at = "jobs:rspec:release";
        for (release, expected) in [
            ("x", "config should be a hash"),
            ("{description: a}", "tag name can't be blank"),
            ("{tag_name: a}", "description can't be blank"),
            ("{tag_name: a, description: b, x: y}", "config contains unknown keys: x"),
        ] {
            assert_eq!(
                errors(&format!("script: x\nrelease: {release}")),
                [format!("{at} {expected}")],
                "{release}"
            );
        }
    }
}
