//! The limits of reading YAML. Source: `lib/gitlab/config/loader/yaml.rb` and the instance settings
//! `max_yaml_size_bytes` and `max_yaml_depth`.

/// Largest text, in bytes.
pub const MAX_TEXT_BYTES: usize = 2 * 1024 * 1024;

/// Largest tree, in the bytes that Ruby would use for it, aliases counted at every use.
pub const MAX_TREE_BYTES: usize = 2 * 1024 * 1024;

/// Deepest nesting of lists and mappings.
pub const MAX_DEPTH: usize = 100;

/// The nesting at which parsing stops at once. Below it a tree that is too deep is still read to its end,
/// so that a syntax error further down is reported first, as Psych does. libyaml's cost is quadratic in the
/// depth of flow collections, and the composer recurses.
pub const MAX_PARSE_DEPTH: usize = 250;

/// Most documents in one text: a header and the content.
pub const MAX_DOCUMENTS: usize = 2;
