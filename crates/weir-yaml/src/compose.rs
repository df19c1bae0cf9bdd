//! Events to a tree, as Psych's `to_ruby.rb` does it.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use libyaml_safer::{Event, EventData, Parser, ScalarStyle};

use crate::limits::{MAX_DEPTH, MAX_PARSE_DEPTH, MAX_TEXT_BYTES, MAX_TREE_BYTES};
use crate::node::MappingBuilder;
use crate::{Error, ErrorKind, FileId, Mapping, Node, Span, Value, scalar};

/// A document that could be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// The tree; null for a text without content.
    pub root: Node,
    /// What is allowed but probably a mistake.
    pub remarks: Vec<Remark>,
}

/// Something that GitLab accepts silently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remark {
    /// A key that stands twice in one mapping: the later value wins.
    DuplicateKey {
        /// The key.
        key: String,
        /// The entry that is lost.
        first: Span,
        /// The key that wins.
        second: Span,
    },
}

/// Reads the first document of `text`.
pub fn parse(file: FileId, text: &str) -> Result<Parsed, Error> {
    parse_at(file, text, 0)
}

/// As [`parse`], for a text that stands at `base` bytes in its file: spans count from the file's start, the
/// line and column of a syntax error from the text's, as in GitLab.
pub fn parse_at(file: FileId, text: &str, base: usize) -> Result<Parsed, Error> {
    let fail = |kind| Error { kind, file, offset: base };
    if text.len() > MAX_TEXT_BYTES {
        return Err(fail(ErrorKind::TextTooBig));
    }
    // libyaml-safer 0.3 panics on some texts: `{!,x`, an escape at the end of input, a multi-byte character
    // in a tag, and the end of input within a block scalar. The last one is common, hence the newline.
    let mut bytes = text.as_bytes().to_vec();
    if bytes.last().is_some_and(|byte| *byte != b'\n') {
        bytes.push(b'\n');
    }
    catch_unwind(AssertUnwindSafe(|| compose(file, text, base, &bytes)))
        .unwrap_or_else(|_| Err(fail(ErrorKind::Unreadable)))
}

fn compose(file: FileId, text: &str, base: usize, bytes: &[u8]) -> Result<Parsed, Error> {
    let mut parser = Parser::<&[u8]>::new();
    parser.set_encoding(libyaml_safer::Encoding::Utf8);
    parser.set_input(bytes);
    let mut composer = Composer {
        events: parser,
        file,
        text,
        base,
        anchors: HashMap::new(),
        remarks: Vec::new(),
        bytes: 0,
        refused: None,
        offset: base,
    };
    let root = composer.document()?;
    match composer.refused {
        Some(error) => Err(error),
        None => Ok(Parsed { root, remarks: composer.remarks }),
    }
}

struct Composer<'a> {
    events: Parser<&'a [u8]>,
    file: FileId,
    text: &'a str,
    base: usize,
    anchors: HashMap<String, Anchor>,
    remarks: Vec<Remark>,
    /// What Ruby would need for the nodes so far.
    bytes: usize,
    /// The first error of the tree. Psych builds the tree after parsing, so a syntax error goes before it.
    refused: Option<Error>,
    offset: usize,
}

/// What `&name` stands for.
struct Anchor {
    /// None while the node itself is still being read.
    node: Option<Node>,
    bytes: usize,
}

impl Composer<'_> {
    fn document(&mut self) -> Result<Node, Error> {
        loop {
            let event = self.next()?;
            match event.data {
                EventData::StreamStart { .. } | EventData::DocumentStart { .. } => {}
                EventData::StreamEnd | EventData::DocumentEnd { .. } => return Ok(Node::default()),
                _ => {
                    let root = self.node(event, 0)?;
                    // The end of the document may hold a mistake, too.
                    self.next()?;
                    return Ok(root);
                }
            }
        }
    }

    fn next(&mut self) -> Result<Event, Error> {
        self.events.parse().map_err(|error| self.syntax_error(&error))
    }

    fn syntax_error(&self, error: &libyaml_safer::Error) -> Error {
        use libyaml_safer::ErrorKind::{Parser, Scanner};
        let problem_mark = error.problem_mark();
        // libyaml leaves the context mark at the start where a parser error has no context.
        let mark = match error.kind() {
            Scanner => error.context_mark().or(problem_mark),
            Parser => error.context_mark(),
            _ => None,
        }
        .unwrap_or_default();
        let message = match error.context() {
            Some(context) => format!("{} {context}", error.problem()),
            None => error.problem().to_owned(),
        };
        let kind = ErrorKind::Syntax { message, line: mark.line + 1, column: mark.column + 1 };
        let offset = problem_mark.map_or(self.offset, |mark| self.place(mark.index));
        Error { kind, file: self.file, offset }
    }

    /// The offset in the file of an index in the text.
    fn place(&self, index: u64) -> usize {
        let index = usize::try_from(index).unwrap_or(usize::MAX).min(self.text.len());
        self.base + self.text.floor_char_boundary(index)
    }

    /// Whether a block scalar that ends here took the newline that [`parse_at`] has added to its last line.
    fn ends_open(&self, end: u64) -> bool {
        let last_line = self.text.rsplit('\n').next().unwrap_or_default();
        usize::try_from(end).is_ok_and(|end| end > self.text.len()) && !last_line.trim().is_empty()
    }

    fn span(&self, start: u64, end: u64) -> Span {
        let start = self.place(start);
        Span::new(self.file, start, self.place(end).max(start))
    }

    fn refuse(&mut self, kind: ErrorKind, offset: usize) {
        let file = self.file;
        self.refused.get_or_insert(Error { kind, file, offset });
    }

    /// Counts `bytes` of Ruby's memory; beyond the limit the tree is refused.
    fn weigh(&mut self, bytes: usize, offset: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > MAX_TREE_BYTES {
            self.refuse(ErrorKind::TreeTooBig, offset);
        }
    }

    /// Reads the node that starts with `event`. After a refusal only the grammar is looked at.
    fn node(&mut self, event: Event, depth: usize) -> Result<Node, Error> {
        let span = self.span(event.start_mark.index, event.end_mark.index);
        self.offset = span.start;
        let before = self.bytes;
        let (anchor, node) = match event.data {
            EventData::Alias { anchor } => return Ok(self.alias(&anchor, span)),
            EventData::Scalar { anchor, tag, mut value, style, .. } => {
                let quoted = !matches!(style, ScalarStyle::Plain | ScalarStyle::Any);
                let block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                if block && self.ends_open(event.end_mark.index) && value.ends_with('\n') {
                    value.pop();
                }
                (anchor, self.scalar(tag.as_deref(), value, quoted, span))
            }
            EventData::SequenceStart { anchor, tag, .. } => {
                self.begin(anchor.as_deref());
                (anchor, self.sequence(tag.as_deref(), span, depth + 1)?)
            }
            EventData::MappingStart { anchor, tag, .. } => {
                self.begin(anchor.as_deref());
                (anchor, self.mapping(tag.as_deref(), span, depth + 1)?)
            }
            // The grammar puts no other event here.
            _ => (None, Node::new(span, Value::Null)),
        };
        if let Some(anchor) = anchor
            && self.refused.is_none()
        {
            let bytes = self.bytes - before;
            self.anchors.insert(anchor, Anchor { node: Some(node.clone()), bytes });
        }
        Ok(node)
    }

    fn begin(&mut self, anchor: Option<&str>) {
        if let Some(anchor) = anchor {
            self.anchors.insert(anchor.to_owned(), Anchor { node: None, bytes: 0 });
        }
    }

    fn alias(&mut self, name: &str, span: Span) -> Node {
        if self.refused.is_some() {
            return Node::default();
        }
        match self.anchors.get(name) {
            None => {
                self.refuse(ErrorKind::UnknownAlias(name.to_owned()), span.start);
                Node::default()
            }
            // A node within itself has no end, so it is too big.
            Some(Anchor { node: None, .. }) => {
                self.refuse(ErrorKind::TreeTooBig, span.start);
                Node::default()
            }
            Some(Anchor { node: Some(_), bytes }) => {
                let bytes = *bytes;
                self.weigh(bytes.max(1), span.start);
                match self.anchors.get(name) {
                    Some(Anchor { node: Some(node), .. }) if self.refused.is_none() => node.clone(),
                    _ => Node::default(),
                }
            }
        }
    }

    fn scalar(&mut self, tag: Option<&str>, text: String, quoted: bool, span: Span) -> Node {
        let value = match tagged_scalar(tag, text, quoted) {
            Ok(value) => value,
            Err(kind) => {
                self.refuse(kind, span.start);
                Value::Null
            }
        };
        self.weigh(memory_of(&value), span.start);
        Node::new(span, value)
    }

    fn sequence(&mut self, tag: Option<&str>, mut span: Span, depth: usize) -> Result<Node, Error> {
        self.check_depth(depth, span)?;
        let mut items = Vec::new();
        loop {
            let event = self.next()?;
            if matches!(event.data, EventData::SequenceEnd) {
                span = self.close(span, items.last().map(|item: &Node| item.span), &event);
                break;
            }
            let item = self.node(event, depth)?;
            if self.refused.is_none() {
                items.push(item);
            }
        }
        self.weigh(list_memory(items.len()), span.start);
        let value = Value::Sequence(items);
        Ok(Node::new(span, self.tagged(tag, value, span)))
    }

    fn mapping(&mut self, tag: Option<&str>, mut span: Span, depth: usize) -> Result<Node, Error> {
        self.check_depth(depth, span)?;
        let mut mapping = MappingBuilder::default();
        let mut last = None;
        loop {
            let event = self.next()?;
            if matches!(event.data, EventData::MappingEnd) {
                span = self.close(span, last, &event);
                break;
            }
            let string_tag = matches!(&event.data,
                EventData::Scalar { tag: Some(tag), .. } if tag == libyaml_safer::STR_TAG);
            let key = self.node(event, depth)?;
            let event = self.next()?;
            let alias = matches!(event.data, EventData::Alias { .. });
            let value = self.node(event, depth)?;
            last = Some(if alias || value.span.end < key.span.end { key.span } else { value.span });
            if self.refused.is_some() {
                continue;
            }
            if key.as_str() == Some("<<") && !string_tag {
                merge(&mut mapping, key, value);
                continue;
            }
            let second = key.span;
            if let Some(old) = mapping.insert(key, value) {
                let key = old.key.to_text().unwrap_or_default();
                self.remarks.push(Remark::DuplicateKey { key, first: old.key.span, second });
            }
        }
        self.weigh(hash_memory(mapping.len()), span.start);
        let value = Value::Mapping(mapping.finish());
        Ok(Node::new(span, self.tagged(tag, value, span)))
    }

    /// The span of a collection: to its end mark if that is a bracket, to its last child if it is a block,
    /// whose end mark lies at the next token.
    fn close(&self, span: Span, last: Option<Span>, event: &Event) -> Span {
        let end = if event.end_mark.index > event.start_mark.index {
            self.place(event.end_mark.index)
        } else {
            last.filter(|last| last.file == span.file).map_or(span.end, |last| last.end)
        };
        Span { end: end.max(span.start), ..span }
    }

    fn check_depth(&mut self, depth: usize, span: Span) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            self.refuse(ErrorKind::TreeTooBig, span.start);
        }
        if depth > MAX_PARSE_DEPTH {
            return Err(Error { kind: ErrorKind::TreeTooBig, file: self.file, offset: span.start });
        }
        Ok(())
    }

    /// Tags on collections: `!reference` is kept, classes of Ruby are refused, all else is ignored.
    fn tagged(&mut self, tag: Option<&str>, value: Value, span: Span) -> Value {
        match tag {
            Some("!reference") => Value::Reference(Box::new(value)),
            Some(tag) => {
                if let Some(class) = refused_class(tag) {
                    self.refuse(ErrorKind::UnspecifiedClass(class), span.start);
                }
                value
            }
            None => value,
        }
    }
}

/// `<<`: the keys of the value overwrite those before it; in a list the first mapping wins. Anything but
/// mappings makes `<<` an ordinary key.
fn merge(mapping: &mut MappingBuilder, key: Node, value: Node) {
    let mut extend = |merged: Mapping| {
        for entry in merged {
            mapping.insert(entry.key, entry.value);
        }
    };
    match value.value {
        Value::Mapping(merged) => extend(merged),
        Value::Sequence(items) if items.iter().all(|item| item.as_mapping().is_some()) => {
            let maps = items.into_iter().rev().filter_map(|item| match item.value {
                Value::Mapping(merged) => Some(merged),
                _ => None,
            });
            extend(maps.flatten().collect());
        }
        other => {
            mapping.insert(key, Node::new(value.span, other));
        }
    }
}

fn tagged_scalar(tag: Option<&str>, text: String, quoted: bool) -> Result<Value, ErrorKind> {
    match tag {
        Some("!reference") => Ok(Value::Reference(Box::new(Value::String(text)))),
        _ if quoted => Ok(Value::String(text)),
        None => scalar::resolve(&text),
        Some("!str" | "tag:yaml.org,2002:str" | "!ruby/string") => Ok(Value::String(text)),
        Some("!float" | "tag:yaml.org,2002:float") => match scalar::resolve(&text)? {
            #[expect(clippy::cast_precision_loss, reason = "that is what Ruby's Float() does")]
            Value::Int(number) => Ok(Value::Float(number as f64)),
            Value::Float(number) => Ok(Value::Float(number)),
            _ => Err(ErrorKind::InvalidNumber { class: "Float", text }),
        },
        Some(tag) if tag.starts_with("!ruby/sym") => Ok(Value::Symbol(text)),
        Some(tag) => match refused_class(tag) {
            Some(class) => Err(ErrorKind::UnspecifiedClass(class)),
            None => scalar::resolve(&text),
        },
    }
}

/// The Ruby class that a tag asks for and GitLab does not load.
fn refused_class(tag: &str) -> Option<String> {
    let named = |prefix: &str| tag.strip_prefix(prefix).filter(|name| !name.is_empty()).map(str::to_owned);
    match tag {
        "!ruby/regexp" => Some("Regexp".into()),
        "!ruby/range" => Some("Range".into()),
        "!ruby/object" => Some("Object".into()),
        "!ruby/struct" => Some("Struct".into()),
        "!ruby/exception" => Some("Exception".into()),
        "!ruby/object:Hash" => None,
        _ => ["!ruby/object:", "!ruby/struct:", "!ruby/exception:", "!ruby/array:", "!ruby/hash:"]
            .into_iter()
            .chain(["!ruby/string:", "!str:", "!seq:", "!map:", "!ruby/marshalable:"])
            .find_map(named),
    }
}

/// What Ruby's `ObjectSpace.memsize_of` says of a value, about.
fn memory_of(value: &Value) -> usize {
    match value {
        Value::String(text) if text.len() > 23 => 41 + text.len(),
        Value::String(_) | Value::BigInt(_) => 40,
        _ => 0,
    }
}

const fn list_memory(items: usize) -> usize {
    if items <= 3 { 40 } else { 40 + 8 * items }
}

const fn hash_memory(entries: usize) -> usize {
    match entries {
        0 => 40,
        1..=8 => 168,
        _ => 168 + 24 * entries,
    }
}
