//! What a text is read as, without Ruby at hand.

use proptest::prelude::*;
use weir_yaml::{Error, ErrorKind, FileId, Node, Remark, Value, limits, parse, parse_at, write};

fn root(text: &str) -> Node {
    parse(FileId(0), text).expect("YAML").root
}

fn kind(text: &str) -> ErrorKind {
    parse(FileId(0), text).expect_err("no YAML").kind
}

#[test]
fn merge_keys_overwrite_what_stands_before_them() {
    for (text, expected) in [
        ("a: &a {x: 1}\nb: {x: 2, <<: *a}", "1"),
        ("a: &a {x: 1}\nb: {<<: *a, x: 2}", "2"),
        ("a: &a {x: 1}\nc: &c {x: 3}\nb: {<<: [*a, *c]}", "1"),
        ("a: &a {x: 1}\nc: &c {x: 3}\nb: {<<: *a, <<: *c}", "3"),
        ("a: &a {x: 1}\nb: {x: 2, '<<': *a}", "1"),
    ] {
        let root = root(text);
        let b = root.as_mapping().and_then(|root| root.get("b")).and_then(Node::as_mapping).expect("b");
        assert_eq!(b.get("x").and_then(Node::to_text).as_deref(), Some(expected), "{text}");
        assert_eq!(b.len(), 1, "{text}");
    }
    let plain = root("b: {<<: 1}");
    let b = plain.as_mapping().and_then(|root| root.get("b")).and_then(Node::as_mapping).expect("b");
    assert!(b.contains("<<"), "anything but mappings makes an ordinary key");
}

#[test]
fn a_duplicate_key_keeps_its_position_and_takes_the_last_value() {
    let parsed = parse(FileId(0), "a: 1\nb: 2\na: 3\n").expect("YAML");
    let entries: Vec<(String, String)> = parsed
        .root
        .as_mapping()
        .expect("a mapping")
        .iter()
        .map(|entry| (entry.key.to_text().unwrap_or_default(), entry.value.to_text().unwrap_or_default()))
        .collect();
    assert_eq!(entries, [("a".into(), "3".into()), ("b".into(), "2".into())]);
    let Remark::DuplicateKey { key, first, second } = &parsed.remarks[0];
    assert_eq!((key.as_str(), first.start, second.start), ("a", 0, 10));
}

#[test]
fn references_are_kept_and_other_tags_ignored() {
    let root = root("a: !reference [b, c]\nd: !foo e\nf: !reference g");
    let values: Vec<&Value> =
        root.as_mapping().expect("a mapping").iter().map(|entry| &entry.value.value).collect();
    assert!(matches!(values[0], Value::Reference(inner) if matches!(**inner, Value::Sequence(_))));
    assert_eq!(values[1], &Value::String("e".into()));
    assert!(matches!(values[2], Value::Reference(inner) if **inner == Value::String("g".into())));
}

#[test]
fn spans_count_bytes_from_the_start_of_the_file() {
    let text = "ü: [é, 'b c']\nd:\n  - e\n  - f\ng: h\n";
    let root = root(text);
    let mapping = root.as_mapping().expect("a mapping");
    let shown: Vec<(&str, &str)> = mapping
        .iter()
        .map(|entry| {
            let (key, value) = (entry.key.span, entry.value.span);
            (&text[key.start..key.end], &text[value.start..value.end])
        })
        .collect();
    assert_eq!(shown, [("ü", "[é, 'b c']"), ("d", "- e\n  - f"), ("g", "h")]);
    let shifted = parse_at(FileId(3), "a: b", 100).expect("YAML").root;
    assert_eq!((shifted.span.file, shifted.span.start), (FileId(3), 100));
}

#[test]
fn errors_are_psych_s_and_point_at_the_mistake() {
    let error = parse(FileId(0), "a: b: c\n").expect_err("no YAML");
    assert_eq!(
        error.to_string(),
        "(<unknown>): mapping values are not allowed in this context at line 1 column 5"
    );
    let error = parse(FileId(0), "job:\n  script:\n    - a\n   - b\n").expect_err("no YAML");
    assert_eq!(
        error.to_string(),
        "(<unknown>): did not find expected key while parsing a block mapping at line 2 column 3"
    );
    assert_eq!(error.offset, 26, "the dash of the last line, though the message names the second");
    for (text, message) in [
        ("a: *x", "Unknown alias: x"),
        ("a: 2024-01-01", "Tried to load unspecified class: Date"),
        ("a: !ruby/object:Foo {}", "Tried to load unspecified class: Foo"),
    ] {
        assert_eq!(parse(FileId(0), text).expect_err("no YAML").to_string(), message);
    }
}

#[test]
fn a_syntax_error_goes_before_an_error_of_the_tree() {
    assert!(matches!(kind("a: *x\nb: ["), ErrorKind::Syntax { .. }));
    assert!(matches!(
        kind(&format!("{}\nb: ]", "- ".repeat(limits::MAX_DEPTH + 1))),
        ErrorKind::Syntax { .. }
    ));
}

#[test]
fn texts_that_the_parser_stumbles_over_end_in_an_error() {
    for text in ["{!,x", "\"\\", "a: \"\\", ">\n ,", "a: |", "a: >-\n  b", "!%", "a: !<tag:%C3%A9> b"] {
        let _: Result<_, Error> = parse(FileId(0), text);
    }
    assert_eq!(
        root("a: |\n  b").as_mapping().and_then(|root| root.get("a")).and_then(Node::as_str),
        Some("b")
    );
}

#[test]
fn limits_end_what_would_grow_without_bound() {
    let laughs = (1..12).fold("a0: &a0 [x, x]\n".to_owned(), |text, n| {
        let before = n - 1;
        let aliases = vec![format!("*a{before}"); 9].join(", ");
        format!("{text}a{n}: &a{n} [{aliases}]\n")
    });
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    for (text, expected) in [
        (laughs, ErrorKind::TreeTooBig),
        ("a: &a [*a]".to_owned(), ErrorKind::TreeTooBig),
        (deep(limits::MAX_DEPTH + 1), ErrorKind::TreeTooBig),
        ("[".repeat(200_000), ErrorKind::TreeTooBig),
        ("- ".repeat(200_000), ErrorKind::TreeTooBig),
        ("{a: ".repeat(100_000), ErrorKind::TreeTooBig),
        ("x\n".repeat(limits::MAX_TEXT_BYTES), ErrorKind::TextTooBig),
    ] {
        assert_eq!(kind(&text), expected, "{text:.40}");
    }
    assert!(parse(FileId(0), &deep(limits::MAX_DEPTH)).is_ok());
}

#[test]
fn merged_trees_are_written_as_psych_writes_them() {
    let text = "
job:
  script: [a, 'b: c', \"two\\nlines\\n\", '', '010', 'yes', ' x', '-x', '*y', \"tab\\t\"]
  variables: {A: 1, B: 1.5, C: true, D: null, ':e': x, 'on': {}}
  nested: [[a, [b]], {k: v, l: [m]}]
  block: |-
    no
    newline
  rules: !reference [.x, rules]
";
    insta::assert_snapshot!(write(&root(text)));
}

/// Trees without floats: those print as Ruby does, which need not read back as the same bits.
fn tree() -> impl Strategy<Value = Node> {
    let text = prop_oneof![
        "[ -~]{0,12}",
        "[a-z0-9:#'\"{}\\[\\],&*!|>%@`?. \n\t-]{0,10}",
        "(0x|0|1_|12:30|yes|~|null|2024-01-01|<<|---|=|:a)[0-9]{0,2}",
        "\\PC{0,6}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        text.clone().prop_map(Value::String),
    ];
    leaf.prop_recursive(4, 40, 5, move |inner| {
        let node = inner.prop_map(|value| Node { value, ..Node::default() });
        prop_oneof![
            prop::collection::vec(node.clone(), 0..5).prop_map(Value::Sequence),
            prop::collection::vec((text.clone(), node), 0..5).prop_map(|entries| {
                let key = |name| Node { value: Value::String(name), ..Node::default() };
                Value::Mapping(
                    entries
                        .into_iter()
                        .filter(|(name, _)| name != "<<")
                        .map(|(name, value)| weir_yaml::Entry { key: key(name), value })
                        .collect(),
                )
            }),
        ]
    })
    .prop_map(|value| Node { value, ..Node::default() })
}

/// Takes the places off.
fn bare(node: Node) -> Node {
    let value = match node.value {
        Value::Sequence(items) => Value::Sequence(items.into_iter().map(bare).collect()),
        Value::Mapping(mapping) => Value::Mapping(
            mapping
                .into_iter()
                .map(|entry| weir_yaml::Entry { key: bare(entry.key), value: bare(entry.value) })
                .collect(),
        ),
        other => other,
    };
    Node { value, ..Node::default() }
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC*") {
        let _ = parse(FileId(0), &text);
    }

    #[test]
    fn any_signs_are_read_or_refused(text in "[a-c:&*!\\[\\]{}#|>'\"%, \n\t\\\\-]{0,40}") {
        if let Err(error) = parse(FileId(0), &text) {
            prop_assert!(error.offset <= text.len());
        }
    }

    #[test]
    fn what_is_written_reads_back(tree in tree()) {
        let text = write(&tree);
        let parsed = parse(FileId(0), &text).map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
        prop_assert_eq!(bare(parsed.root), tree, "{}", text);
    }
}
