//! A tree as YAML text, in the form of Psych's `to_yaml`.

use std::fmt::Write as _;

use crate::{Mapping, Node, Value, scalar};

/// The tree as a document that starts with `---`.
pub fn write(root: &Node) -> String {
    let mut out = String::from("---");
    write_value(&mut out, &root.value, 0, false);
    out
}

/// Writes what stands after a key, a dash or the document's start, its newline included.
fn write_value(out: &mut String, value: &Value, indent: usize, in_sequence: bool) {
    match value {
        Value::Mapping(mapping) if !mapping.is_empty() => {
            if in_sequence {
                out.push(' ');
            } else {
                out.push('\n');
            }
            write_mapping(out, mapping, indent, in_sequence);
        }
        Value::Sequence(items) if !items.is_empty() => {
            if in_sequence {
                out.push(' ');
            } else {
                out.push('\n');
            }
            write_sequence(out, items, indent, in_sequence);
        }
        Value::Reference(inner) => {
            out.push_str(" !reference");
            write_value(out, inner, indent, false);
        }
        Value::String(text) => write_string(out, text, indent),
        other => {
            let text = match other {
                Value::Null => String::new(),
                Value::Mapping(_) => "{}".to_owned(),
                Value::Sequence(_) => "[]".to_owned(),
                Value::Symbol(name) => format!(":{name}"),
                Value::Float(number) if number.is_nan() => ".nan".to_owned(),
                Value::Float(number) if number.is_infinite() => {
                    if *number > 0.0 { ".inf" } else { "-.inf" }.to_owned()
                }
                other => other.to_text().unwrap_or_default(),
            };
            if !text.is_empty() {
                out.push(' ');
                out.push_str(&text);
            }
            out.push('\n');
        }
    }
}

fn write_mapping(out: &mut String, mapping: &Mapping, indent: usize, first_inline: bool) {
    for (index, entry) in mapping.iter().enumerate() {
        if index > 0 || !first_inline {
            push_indent(out, indent);
        }
        write_key(out, &entry.key);
        out.push(':');
        // Psych does not indent a list below its key.
        let deeper = if matches!(entry.value.value, Value::Sequence(_)) { indent } else { indent + 2 };
        write_value(out, &entry.value.value, deeper, false);
    }
}

fn write_sequence(out: &mut String, items: &[Node], indent: usize, first_inline: bool) {
    for (index, item) in items.iter().enumerate() {
        if index > 0 || !first_inline {
            push_indent(out, indent);
        }
        out.push('-');
        write_value(out, &item.value, indent + 2, true);
    }
}

fn write_key(out: &mut String, key: &Node) {
    match &key.value {
        Value::String(text) | Value::Symbol(text) if !text.contains('\n') && is_plain(text) => {
            out.push_str(text);
        }
        Value::String(text) | Value::Symbol(text) => out.push_str(&quoted(text)),
        other => out.push_str(&other.to_text().unwrap_or_else(|| "?".to_owned())),
    }
}

fn write_string(out: &mut String, text: &str, indent: usize) {
    let blockable = text.contains('\n')
        && !text.starts_with([' ', '\n', '\t'])
        && text.chars().all(|c| c == '\n' || !c.is_control());
    if !blockable {
        out.push(' ');
        out.push_str(&if is_plain(text) { text.to_owned() } else { quoted(text) });
        out.push('\n');
        return;
    }
    let body = text.trim_end_matches('\n');
    let chomping = match text.len() - body.len() {
        0 => "-",
        1 => "",
        _ => "+",
    };
    out.push_str(" |");
    out.push_str(chomping);
    out.push('\n');
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        if !line.is_empty() {
            push_indent(out, indent.max(2));
            out.push_str(line);
        }
        out.push('\n');
    }
}

fn push_indent(out: &mut String, indent: usize) {
    out.extend(std::iter::repeat_n(' ', indent));
}

/// Whether a text, written without quotes, is read back as the same text.
fn is_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    let hyphen_word = matches!(bytes, [b'-' | b'?' | b':', next, ..] if *next != b' ');
    let bad_start = b"-?:,[]{}#&*!|>'\"%@` ".contains(first) && (!hyphen_word || *first == b':');
    !bad_start
        && !matches!(last, b' ' | b':')
        && !text.contains(": ")
        && !text.contains(" #")
        && !matches!(text, "y" | "n" | "Y" | "N" | "<<" | "=" | "---" | "...")
        && !text.chars().any(|c| c.is_control() || c == '\u{feff}' || c == '\u{2028}' || c == '\u{2029}')
        && scalar::resolve(text) == Ok(Value::String(text.to_owned()))
}

fn quoted(text: &str) -> String {
    if text.chars().any(|c| c.is_control() || c == '\u{feff}' || c == '\u{2028}' || c == '\u{2029}') {
        let mut out = String::from("\"");
        for c in text.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\t' => out.push_str("\\t"),
                '\r' => out.push_str("\\r"),
                '\u{1b}' => out.push_str("\\e"),
                c if c.is_control() || "\u{feff}\u{2028}\u{2029}".contains(c) => {
                    let code = u32::from(c);
                    // Writing to a `String` cannot fail.
                    let _ =
                        if code > 0xff { write!(out, "\\u{code:04X}") } else { write!(out, "\\x{code:02X}") };
                }
                c => out.push(c),
            }
        }
        out.push('"');
        out
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}
