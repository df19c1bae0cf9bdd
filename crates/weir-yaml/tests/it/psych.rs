//! The same texts read by Ruby's Psych: same values, same errors, to the letter.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use weir_yaml::{FileId, Node, Value, parse};

/// Reads texts, each with its length before it, and prints what GitLab's loader makes of each.
const LOADER: &str = r#"
require 'psych'
class Reference
  def init_with(coder)
    @data = coder.seq || coder.scalar || coder.map
  end
  attr_reader :data
end
Psych.add_tag('!reference', Reference)
def show(value)
  case value
  when nil then 'null'
  when true, false then value.to_s
  when Integer then "i#{value}"
  when Float then "f#{value}"
  when String then 's' + value.dump
  when Symbol then ':' + value.to_s.dump
  when Array then '[' + value.map { |item| show(item) }.join(',') + ']'
  when Hash then '{' + value.map { |key, item| show(key) + '=>' + show(item) }.join(',') + '}'
  when Reference then '!' + show(value.data)
  else "?#{value.class}"
  end
end
STDIN.binmode
while (line = STDIN.gets)
  text = STDIN.read(line.to_i).force_encoding('UTF-8')
  begin
    result = Psych.safe_load(text, permitted_classes: [Symbol, Reference], aliases: true)
    puts 'ok ' + show(result)
  rescue StandardError => error
    puts 'error ' + error.message.lines.first.to_s.chomp
  end
end
"#;

fn has_ruby() -> bool {
    let found =
        Command::new("ruby").args(["-ryaml", "-e", "exit"]).status().is_ok_and(|status| status.success());
    if !found {
        println!("skipped: there is no ruby to compare with");
    }
    found
}

fn ask_ruby(texts: &[String]) -> Vec<String> {
    let mut ruby = Command::new("ruby")
        .args(["-e", LOADER])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("ruby");
    let mut stdin = ruby.stdin.take().expect("a pipe");
    let input: Vec<u8> = texts
        .iter()
        .flat_map(|text| [text.len().to_string().as_bytes(), b"\n", text.as_bytes()].concat())
        .collect();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = ruby.wait_with_output().expect("ruby's answers");
    writer.join().expect("a thread").expect("ruby reads all");
    String::from_utf8(output.stdout).expect("UTF-8").lines().map(str::to_owned).collect()
}

/// As the loader above shows it.
fn ours(text: &str) -> String {
    match parse(FileId(0), text) {
        Ok(parsed) => format!("ok {}", show(&parsed.root.value)),
        Err(error) => format!("error {error}"),
    }
}

fn show(value: &Value) -> String {
    let list = |items: &[Node]| items.iter().map(|item| show(&item.value)).collect::<Vec<_>>().join(",");
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Int(number) => format!("i{number}"),
        Value::BigInt(digits) => format!("i{digits}"),
        Value::Float(_) => format!("f{}", value.to_text().unwrap_or_default()),
        Value::String(text) => format!("s{}", dump(text)),
        Value::Symbol(name) => format!(":{}", dump(name)),
        Value::Sequence(items) => format!("[{}]", list(items)),
        Value::Mapping(mapping) => {
            let entries: Vec<String> = mapping
                .iter()
                .map(|entry| format!("{}=>{}", show(&entry.key.value), show(&entry.value.value)))
                .collect();
            format!("{{{}}}", entries.join(","))
        }
        Value::Reference(inner) => format!("!{}", show(inner)),
    }
}

/// Ruby's `String#dump`.
fn dump(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{c}' => out.push_str("\\f"),
            '\u{b}' => out.push_str("\\v"),
            '\u{8}' => out.push_str("\\b"),
            '\u{7}' => out.push_str("\\a"),
            '\u{1b}' => out.push_str("\\e"),
            c if c.is_ascii_control() => out.extend(format!("\\x{:02X}", u32::from(c)).chars()),
            c if c.is_ascii() => out.push(c),
            c if u32::from(c) > 0xffff => out.extend(format!("\\u{{{:X}}}", u32::from(c)).chars()),
            c => out.extend(format!("\\u{:04X}", u32::from(c)).chars()),
        }
    }
    let out = out.replace("#{", "\\#{").replace("#$", "\\#$").replace("#@", "\\#@");
    out + "\""
}

fn compare(texts: &[String]) {
    let theirs = ask_ruby(texts);
    assert_eq!(theirs.len(), texts.len());
    let mut different = Vec::new();
    for (text, theirs) in texts.iter().zip(&theirs) {
        let ours = ours(text);
        // What overwhelms or breaks our parser may be fine for Ruby; those texts have tests of their own.
        if ours != *theirs && !ours.ends_with("too big") && ours != "error Invalid YAML syntax" {
            different.push(format!("{text:?}\n  ruby: {theirs}\n  ours: {ours}"));
        }
    }
    println!("{} texts compared", texts.len());
    assert!(
        different.is_empty(),
        "{} differ:\n{}",
        different.len(),
        different[..different.len().min(20)].join("\n")
    );
}

#[test]
fn scalars_are_the_same() {
    if !has_ruby() {
        return;
    }
    let signs =
        ["0", "1", "8", "_", ",", ".", ":", "-", "+", "e", "x", "b", "o", "~", "y", "n", "=", "<", "/", "é"];
    let mut scalars: Vec<String> = [
        "yes",
        "No",
        "oN",
        "oFF",
        "TRUE",
        "false",
        "null",
        "Null",
        "~",
        "y",
        "n",
        "010",
        "0777",
        "0x1F",
        "0b11",
        "1_000",
        "1,000",
        "1.10",
        "1.0e+3",
        "1e3",
        ".inf",
        "-.INF",
        "+.inf",
        ".NaN",
        "12:30",
        "12:30:45",
        "1:30.5",
        "1:60",
        "190:20:30",
        "2024-01-01",
        "2024-02-30",
        "2024-13-01",
        "2024-1-1 10:10:10",
        "2001-12-14t21:59:43.10-05:00",
        ":sym",
        ":'a b'",
        "99999999999999999999",
        "-0x8000000000000000000",
        "0.1",
        "1e-7",
        "100000000000000000.0",
        "1.5e+300",
        "1__0",
        "1_",
        "_1",
        "0_",
        "0x_",
        "0b_1",
        "1_2:30",
        "12:3_0",
        "Infinity",
        "<<",
        "=",
        "a:b",
        "1 2",
        "--1",
        "+-1",
        "0.",
        "-.5",
        "._5",
        "5._",
    ]
    .map(str::to_owned)
    .to_vec();
    for a in signs {
        for b in signs {
            scalars.push(format!("{a}{b}"));
            for c in signs {
                scalars.push(format!("{a}{b}{c}"));
                scalars.push(format!("1{a}{b}{c}0"));
            }
        }
    }
    let texts: Vec<String> = scalars.iter().map(|scalar| format!("a: {scalar}\n")).collect();
    compare(&texts);
}

#[test]
fn conformance_files_and_their_mutations_are_the_same() {
    let root = std::env::var_os("WEIR_CONFORMANCE").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance"),
        PathBuf::from,
    );
    if !root.is_dir() {
        println!("skipped: there are no conformance files");
        return;
    }
    if !has_ruby() {
        return;
    }
    let mut texts = Vec::new();
    read_all(&root, &mut texts);
    // A fixed sequence of pseudo-random numbers, so that every run sees the same mutations.
    let mut seed = 1_u64;
    let mut next = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap_or(0) % below.max(1)
    };
    let inserts = [
        ":", " ", "-", "\n", "\t", "[", "]", "{", "}", "&a", "*a", "!x ", "'", "\"", "|", ">", "#", ",", "%",
        "@", "? ",
    ];
    for text in texts.clone() {
        for _ in 0..20 {
            let mut mutated = text.clone();
            for _ in 0..=next(2) {
                let at = mutated.floor_char_boundary(next(mutated.len()));
                match next(3) {
                    0 => mutated.insert_str(at, inserts[next(inserts.len())]),
                    1 if at < mutated.len() => drop(mutated.remove(at)),
                    _ => mutated.truncate(at),
                }
            }
            texts.push(mutated);
        }
    }
    compare(&texts);
}

fn read_all(folder: &Path, texts: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            read_all(&path, texts);
        } else if path.extension().is_some_and(|extension| extension == "yml") {
            texts.extend(std::fs::read_to_string(&path));
        }
    }
}
