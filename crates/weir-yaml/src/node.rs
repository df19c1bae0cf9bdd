//! The tree.

use std::collections::HashMap;

use crate::Span;

/// A value and where it is written.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Node {
    /// Where it is written; for an alias, where the anchored node is.
    pub span: Span,
    /// What it is.
    pub value: Value,
}

/// What Psych makes of a node.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value {
    /// `~`, `null` or nothing.
    #[default]
    Null,
    /// `true`, `yes`, `on` and their opposites.
    Bool(bool),
    /// An integer, as Ruby prints it when it does not fit 64 bits.
    Int(i64),
    /// An integer beyond 64 bits, in decimal digits.
    BigInt(String),
    /// A number with a dot.
    Float(f64),
    /// A text.
    String(String),
    /// `:name`, without its colon.
    Symbol(String),
    /// A list.
    Sequence(Vec<Node>),
    /// A mapping.
    Mapping(Mapping),
    /// A node tagged `!reference`, unresolved: a list of strings if it is valid.
    Reference(Box<Value>),
}

/// Keys and values in order, each key once.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Mapping {
    entries: Vec<Entry>,
}

/// One key with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key; nearly always a text.
    pub key: Node,
    /// The value.
    pub value: Node,
}

impl Node {
    /// A node at `span`.
    pub const fn new(span: Span, value: Value) -> Self {
        Self { span, value }
    }

    /// Whether the value is null.
    pub const fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The items, if it is a list.
    pub fn as_sequence(&self) -> Option<&[Node]> {
        match &self.value {
            Value::Sequence(items) => Some(items),
            _ => None,
        }
    }

    /// The mapping, if it is one.
    pub const fn as_mapping(&self) -> Option<&Mapping> {
        match &self.value {
            Value::Mapping(mapping) => Some(mapping),
            _ => None,
        }
    }

    /// The text of a scalar as Ruby's `to_s` gives it (`0777` is `511`, `1.10` is `1.1`, null is empty);
    /// none for lists, mappings and references.
    pub fn to_text(&self) -> Option<String> {
        self.value.to_text()
    }
}

impl Value {
    /// See [`Node::to_text`].
    pub fn to_text(&self) -> Option<String> {
        match self {
            Self::Null => Some(String::new()),
            Self::Bool(value) => Some(value.to_string()),
            Self::Int(value) => Some(value.to_string()),
            Self::BigInt(text) | Self::String(text) | Self::Symbol(text) => Some(text.clone()),
            Self::Float(value) => Some(crate::scalar::float_text(*value)),
            Self::Sequence(_) | Self::Mapping(_) | Self::Reference(_) => None,
        }
    }

    /// Whether two keys are the same key. A symbol and a text are: GitLab reads keys as symbols.
    fn same_key(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::String(a) | Self::Symbol(a), Self::String(b) | Self::Symbol(b)) => a == b,
            _ => self == other,
        }
    }
}

impl Mapping {
    /// The value at a text key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The value at a text key, to change it.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.entries.iter_mut().find(|entry| entry.name() == Some(key)).map(|entry| &mut entry.value)
    }

    /// Key and value at a text key.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name() == Some(key))
    }

    /// Whether a text key is there.
    pub fn contains(&self, key: &str) -> bool {
        self.entry(key).is_some()
    }

    /// Sets a key. One that is there keeps its position; the old entry is returned.
    pub fn insert(&mut self, key: Node, value: Node) -> Option<Entry> {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.key.value.same_key(&key.value)) {
            return Some(std::mem::replace(entry, Entry { key, value }));
        }
        self.entries.push(Entry { key, value });
        None
    }

    /// Removes a text key.
    pub fn remove(&mut self, key: &str) -> Option<Entry> {
        let index = self.entries.iter().position(|entry| entry.name() == Some(key))?;
        Some(self.entries.remove(index))
    }

    /// The entries in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Entry> {
        self.entries.iter()
    }

    /// The entries in order, to change them.
    pub fn iter_mut(&mut self) -> std::slice::IterMut<'_, Entry> {
        self.entries.iter_mut()
    }

    /// How many keys there are.
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no key.
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// A mapping under construction: names are looked up by hash, so that 50,000 of them are no matter.
#[derive(Debug, Default)]
pub(crate) struct MappingBuilder {
    entries: Vec<Entry>,
    names: HashMap<String, usize>,
}

impl MappingBuilder {
    /// As [`Mapping::insert`].
    pub(crate) fn insert(&mut self, key: Node, value: Node) -> Option<Entry> {
        // Other scalars get a mark in front, which keeps the number 1 and the text "1" apart.
        let name = match &key.value {
            Value::String(name) | Value::Symbol(name) => Some(format!("s{name}")),
            other => other.to_text().map(|text| format!("{}{text}", u8::from(matches!(other, Value::Null)))),
        };
        let index = match &name {
            Some(name) => self.names.get(name).copied(),
            None => self.entries.iter().position(|entry| entry.key.value == key.value),
        };
        if let Some(index) = index {
            return Some(std::mem::replace(&mut self.entries[index], Entry { key, value }));
        }
        if let Some(name) = name {
            self.names.insert(name, self.entries.len());
        }
        self.entries.push(Entry { key, value });
        None
    }

    /// How many keys there are.
    pub(crate) const fn len(&self) -> usize {
        self.entries.len()
    }

    /// The mapping.
    pub(crate) fn finish(self) -> Mapping {
        Mapping { entries: self.entries }
    }
}

impl<'a> IntoIterator for &'a Mapping {
    type Item = &'a Entry;
    type IntoIter = std::slice::Iter<'a, Entry>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a> IntoIterator for &'a mut Mapping {
    type Item = &'a mut Entry;
    type IntoIter = std::slice::IterMut<'a, Entry>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}

impl IntoIterator for Mapping {
    type Item = Entry;
    type IntoIter = std::vec::IntoIter<Entry>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

impl FromIterator<Entry> for Mapping {
    fn from_iter<T: IntoIterator<Item = Entry>>(entries: T) -> Self {
        let mut builder = MappingBuilder::default();
        for Entry { key, value } in entries {
            builder.insert(key, value);
        }
        builder.finish()
    }
}

impl Entry {
    /// The key as a text: strings and symbols have one.
    pub fn name(&self) -> Option<&str> {
        match &self.key.value {
            Value::String(text) | Value::Symbol(text) => Some(text),
            _ => None,
        }
    }
}
