//! `retry`. Source: `entry/retry.rb`.

use weir_api::FailureReason;
use weir_yaml::Value;

use crate::entry::{Entry, Findings, strings_of};
use crate::limits::RETRIES;
use crate::plan::{Retry, RetryWhen};

/// `retry`: a number or a hash. Its messages start with `retry`, wherever it stands.
pub(crate) fn parse(entry: &Entry<'_>, findings: &mut Findings) -> Option<Retry> {
    let entry = &Entry { node: entry.node, location: "retry".to_owned(), key: entry.key };
    let before = findings.count();
    match &entry.node.value {
        Value::Int(_) | Value::Float(_) => {
            let max = number(entry, findings, "config", &entry.node.value)?;
            Some(Retry { max, when: vec![RetryWhen::Always], exit_codes: Vec::new() })
        }
        Value::Mapping(_) => {
            entry.allowed_keys(findings, &["max", "when", "exit_codes"]);
            let max = entry.value("max").and_then(|node| number(entry, findings, "max", &node.value));
            let when = entry.value("when").map(|_| when(entry, findings));
            let exit_codes =
                entry.value("exit_codes").map(|_| exit_codes(entry, findings)).unwrap_or_default();
            let always = if exit_codes.is_empty() { vec![RetryWhen::Always] } else { Vec::new() };
            (findings.count() == before).then(|| Retry {
                max: max.unwrap_or(0),
                when: when.unwrap_or(always),
                exit_codes,
            })
        }
        _ => {
            findings.invalid(entry, "config", "has to be either an integer or a hash");
            None
        }
    }
}

fn number(entry: &Entry<'_>, findings: &mut Findings, attribute: &str, value: &Value) -> Option<u8> {
    let text = match value {
        Value::Int(number) if *number < 0 => "must be greater than or equal to 0".to_owned(),
        Value::Int(number) => match u8::try_from(*number) {
            Ok(number) if number <= RETRIES => return Some(number),
            _ => format!("must be less than or equal to {RETRIES}"),
        },
        Value::Float(_) => "must be an integer".to_owned(),
        _ => "is not a number".to_owned(),
    };
    findings.invalid(entry, attribute, &text);
    None
}

fn when(entry: &Entry<'_>, findings: &mut Findings) -> Vec<RetryWhen> {
    let Some(node) = entry.value("when") else { return Vec::new() };
    let Some(words) = node.as_str().map(|word| vec![word.to_owned()]).or_else(|| strings_of(node)) else {
        findings.invalid(entry, "when", "should be an array of strings or a string");
        return Vec::new();
    };
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for word in &words {
        match word.parse::<FailureReason>() {
            _ if word == "always" => known.push(RetryWhen::Always),
            Ok(reason) => known.push(RetryWhen::Reason(reason)),
            Err(_) => unknown.push(word.as_str()),
        }
    }
    if !unknown.is_empty() {
        let text = match node.value {
            Value::String(_) => "is not included in the list".to_owned(),
            _ => format!("contains unknown values: {}", unknown.join(", ")),
        };
        findings.invalid(entry, "when", &text);
    }
    known
}

/// `exit_codes`: an integer or a list of them.
pub(crate) fn exit_codes(entry: &Entry<'_>, findings: &mut Findings) -> Vec<i32> {
    let code = |value: &Value| match value {
        Value::Int(number) => i32::try_from(*number).ok(),
        _ => None,
    };
    let codes = match entry.value("exit_codes").map(|node| &node.value) {
        Some(Value::Sequence(items)) => items.iter().map(|item| code(&item.value)).collect(),
        Some(value) => code(value).map(|code| vec![code]),
        None => Some(Vec::new()),
    };
    codes.unwrap_or_else(|| {
        findings.invalid(entry, "exit codes", "should be an array of integers or an integer");
        Vec::new()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{compile, errors};

    #[test]
    fn a_hash_without_max_never_retries() {
        for (retry, max, when, codes) in [
            ("2", 2, vec![RetryWhen::Always], vec![]),
            ("{when: always}", 0, vec![RetryWhen::Always], vec![]),
            (
                "{max: 1, when: script_failure}",
                1,
                vec![RetryWhen::Reason(FailureReason::ScriptFailure)],
                vec![],
            ),
            ("{max: 1, exit_codes: 137}", 1, vec![], vec![137]),
            ("{max: 1, exit_codes: [1, 2], when: [always]}", 1, vec![RetryWhen::Always], vec![1, 2]),
        ] {
            let plan = compile(&format!("rspec: {{script: x, retry: {retry}}}"));
            assert_eq!(plan.jobs[0].retry, Some(Retry { max, when, exit_codes: codes }), "{retry}");
        }
    }

    #[test]
    fn other_values_are_refused() {
        for (retry, expected) in [
            ("10", "retry config must be less than or equal to 2"),
            ("-1", "retry config must be greater than or equal to 0"),
            ("invalid", "retry config has to be either an integer or a hash"),
            ("{max: 10}", "retry max must be less than or equal to 2"),
            ("{max: 1, key: value}", "retry config contains unknown keys: key"),
            ("{when: x}", "retry when is not included in the list"),
            ("{when: [x, always]}", "retry when contains unknown values: x"),
            ("{exit_codes: a}", "retry exit codes should be an array of integers or an integer"),
        ] {
            assert_eq!(errors(&format!("script: x\nretry: {retry}")), [expected], "{retry}");
        }
    }
}
