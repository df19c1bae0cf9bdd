//! `id_tokens`. Source: `entry/id_token.rb`.

use crate::entry::{Entry, Findings};

/// Checks a hash of names to hashes with `aud`.
pub(crate) fn check(entry: &Entry<'_>, findings: &mut Findings) {
    let Some(mapping) = entry.expect_mapping(findings) else { return };
    for item in mapping {
        let name = item.key.to_text().unwrap_or_default();
        let token = entry.within(&name, &item.value, item.key.span);
        if token.expect_mapping(findings).is_none() {
            continue;
        }
        token.allowed_keys(findings, &["aud"]);
        token.required_keys(findings, &["aud"]);
        token.string_or_strings(findings, "aud");
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::errors;

    #[test]
    fn a_token_has_an_audience_and_nothing_else() {
        assert!(errors("script: x\nid_tokens: {A: {aud: b}, C: {aud: [d, e]}}").is_empty());
        let at = "jobs:rspec:id_tokens";
        for (tokens, expected) in [
            ("x", " config should be a hash"),
            ("{A: {}}", ":a config missing required keys: aud"),
            ("{A: {aud: b, sub: c}}", ":a config contains unknown keys: sub"),
            ("{A: {aud: {b: c}}}", ":a aud should be an array of strings or a string"),
        ] {
            assert_eq!(
                errors(&format!("script: x\nid_tokens: {tokens}")),
                [format!("{at}{expected}")],
                "{tokens}"
            );
        }
    }
}
