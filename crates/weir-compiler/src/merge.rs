//! Deep merge, as includes and `extends` do it: mappings merge key by key, all else is replaced.

use weir_yaml::{Mapping, Node, Value};

/// Puts `over` on top of `base`. Recursion is bounded by the depth of the parsed trees.
pub(crate) fn deep_merge(base: &mut Mapping, over: Mapping) {
    for entry in over {
        let name = entry.name().map(str::to_owned);
        match name.as_deref().and_then(|name| base.get_mut(name)) {
            Some(Node { value: Value::Mapping(below), span }) if entry.value.as_mapping().is_some() => {
                *span = entry.value.span;
                if let Value::Mapping(above) = entry.value.value {
                    deep_merge(below, above);
                }
            }
            _ => {
                base.insert(entry.key, entry.value);
            }
        }
    }
}
