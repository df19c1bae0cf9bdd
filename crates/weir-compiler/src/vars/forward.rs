//! What a bridge gives to its downstream pipeline. Source: `lib/gitlab/ci/variables/downstream/`.

use super::expand::references;
use super::{References, Variable, Variables, expand};

/// The variables of a downstream pipeline: `forwarded` ones of the bridge, later ones before earlier ones of the same
/// name, with references replaced by what `all` says.
///
/// A reference to a file variable stays, and the file goes along: its content must not end in a value.
pub fn forward(forwarded: &[Variable], all: &Variables) -> Vec<Variable> {
    let mut found: Vec<Variable> = Vec::new();
    for variable in forwarded {
        if variable.raw {
            found.push(Variable { file: false, ..variable.clone() });
            continue;
        }
        let text = variable.text();
        let files: Vec<&Variable> =
            references(text).filter_map(|name| all.get(name)).filter(|named| named.file).collect();
        let kept: Vec<Variable> =
            files.iter().map(|file| Variable::private(&file.key, format!("${{{}}}", file.key))).collect();
        let value = expand(text, References::Blank, |name| {
            kept.iter().find(|file| file.key == name).or_else(|| all.get(name))
        });
        found.push(Variable::private(&variable.key, value));
        found.extend(files.into_iter().map(|file| Variable { masked: false, raw: false, ..file.clone() }));
    }
    let mut unique: Vec<Variable> = Vec::new();
    for variable in found.into_iter().rev() {
        if !unique.iter().any(|later| later.key == variable.key) {
            unique.push(variable);
        }
    }
    unique.reverse();
    unique
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vars::Level;

    fn variables(list: &[(&str, &str)]) -> Vec<Variable> {
        list.iter().map(|(key, value)| Variable::public(*key, *value)).collect()
    }

    #[test]
    fn values_are_replaced_once_and_the_last_of_a_name_counts() {
        let mut all = Variables::new();
        all.extend(Level::Project, variables(&[("A", "a"), ("B", "<$A>")]));
        for (forwarded, expected) in [
            (&[("X", "1")][..], &[("X", "1")][..]),
            (&[("X", "$A-${B}-$GONE")], &[("X", "a-<$A>-")]),
            (&[("X", "1"), ("Y", "2"), ("X", "3")], &[("Y", "2"), ("X", "3")]),
        ] {
            let forwarded = forward(&variables(forwarded), &all);
            let found: Vec<_> = forwarded.iter().map(|it| (it.key.as_str(), it.text())).collect();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_raw_value_goes_as_it_is_and_a_file_goes_as_a_file() {
        let mut all = Variables::new();
        all.push(Level::Project, Variable { file: true, ..Variable::secret("KEY", "content") });
        let raw = Variable { raw: true, ..Variable::public("R", "$KEY") };
        let found = forward(&[raw, Variable::public("PATH_TO", "at ${KEY}x")], &all);
        let flags: Vec<_> = found.iter().map(|it| (it.key.as_str(), it.text(), it.raw, it.file)).collect();
        assert_eq!(
            flags,
            [
                ("R", "$KEY", true, false),
                ("PATH_TO", "at ${KEY}x", false, false),
                ("KEY", "content", false, true)
            ]
        );
    }
}
