//! Deep merge, as includes and `extends` do it: mappings merge key by key, all else is replaced.

use std::collections::HashMap;

use weir_yaml::{Entry, Mapping, Node, Value};

/// Puts `over` on top of `base`. Keys of `base` keep their position. Recursion is bounded by the depth of the
/// parsed trees.
pub(crate) fn deep_merge(base: &mut Mapping, over: Mapping) {
    if base.is_empty() {
        *base = over;
        return;
    }
    let mut entries: Vec<Entry> = std::mem::take(base).into_iter().collect();
    let places: HashMap<String, usize> = entries
        .iter()
        .enumerate()
        .filter_map(|(index, entry)| Some((entry.name()?.to_owned(), index)))
        .collect();
    for entry in over {
        match entry.name().and_then(|name| places.get(name)) {
            Some(index) => merge_entry(&mut entries[*index], entry),
            None => entries.push(entry),
        }
    }
    *base = entries.into_iter().collect();
}

fn merge_entry(below: &mut Entry, above: Entry) {
    match (&mut below.value, above.value) {
        (Node { value: Value::Mapping(below), span }, Node { value: Value::Mapping(above), span: place }) => {
            *span = place;
            deep_merge(below, above);
        }
        (value, above) => *value = above,
    }
    below.key = above.key;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(text: &str) -> Mapping {
        match weir_yaml::parse(weir_yaml::FileId(0), text).expect("YAML").root.value {
            Value::Mapping(mapping) => mapping,
            other => panic!("{other:?} is no mapping"),
        }
    }

    #[test]
    fn mappings_merge_and_all_else_is_replaced() {
        for (base, over, expected) in [
            ("{a: {b: 1, c: 1}}", "{a: {c: 2, d: 2}}", "{a: {b: 1, c: 2, d: 2}}"),
            ("{a: [1], b: 1}", "{a: [2]}", "{a: [2], b: 1}"),
            ("{a: {b: 1}}", "{a: null}", "{a: null}"),
            ("{a: 1}", "{a: {b: 1}}", "{a: {b: 1}}"),
            ("{1: a}", "{1: b}", "{1: b}"),
            ("{}", "{a: 1}", "{a: 1}"),
        ] {
            let mut merged = mapping(base);
            deep_merge(&mut merged, mapping(over));
            let shown =
                |mapping| weir_yaml::write(&Node { value: Value::Mapping(mapping), ..Node::default() });
            assert_eq!(shown(merged), shown(mapping(expected)), "{base} {over}");
        }
    }
}
