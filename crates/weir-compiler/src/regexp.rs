//! Regular expressions as GitLab runs them: RE2's dialect on the `regex` crate.
//!
//! Both engines take linear time, yet they read some patterns differently: RE2's `\d` is ASCII, a lone `{` is
//! a character, `a**` is an error. A pattern is therefore translated to one that means the same here.
//! See RE2's `parse.cc` and GitLab's `lib/gitlab/untrusted_regexp.rb`.

use crate::limits;
use regex::{Regex, RegexBuilder};
use std::fmt::Write as _;

/// A compiled regular expression in RE2's dialect.
#[derive(Debug, Clone)]
pub struct Regexp {
    source: String,
    regex: Regex,
}

impl PartialEq for Regexp {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Regexp {}

/// Why a pattern is not a regular expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegexpError {
    /// The text lacks the slashes of `/…/flags`.
    #[error("not of the form /pattern/flags with flags among i, s, m and U")]
    NotALiteral,
    /// A construct that RE2 does not have, or wrong syntax.
    #[error("invalid regular expression: {0}")]
    Syntax(String),
    /// The compiled pattern would need too much memory.
    #[error("the regular expression is too large; shorten its repetitions")]
    TooLarge,
}

impl Regexp {
    /// Compiles a pattern without slashes.
    pub fn new(pattern: &str) -> Result<Self, RegexpError> {
        let translated = Translator::new(pattern).translate()?;
        let regex =
            RegexBuilder::new(&translated).size_limit(limits::REGEXP_BYTES).build().map_err(|error| {
                match error {
                    regex::Error::CompiledTooBig(_) => RegexpError::TooLarge,
                    error => RegexpError::Syntax(last_line(&error.to_string())),
                }
            })?;
        Ok(Self { source: pattern.to_owned(), regex })
    }

    /// Compiles `/pattern/flags`; in a text of several lines the first line of that form counts.
    ///
    /// Slashes inside need no backslash. See `lib/gitlab/untrusted_regexp/ruby_syntax.rb`.
    pub fn from_literal(text: &str) -> Result<Self, RegexpError> {
        let (pattern, flags) = text.split('\n').find_map(literal_parts).ok_or(RegexpError::NotALiteral)?;
        if flags.is_empty() { Self::new(pattern) } else { Self::new(&format!("(?{flags}){pattern}")) }
    }

    /// The pattern as given, flags in front.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether the pattern occurs in the text.
    pub fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// What the last match captured: its last group, or all of it if the pattern has no group.
    ///
    /// None if nothing matches or that group took no part. This is how GitLab reads `coverage` from a line
    /// (`lib/gitlab/ci/trace/stream.rb`).
    pub fn last_capture<'t>(&self, text: &'t str) -> Option<&'t str> {
        let captures = self.regex.captures_iter(text).last()?;
        captures.get(captures.len() - 1).map(|group| group.as_str())
    }
}

/// The pattern and the flags of a line `/pattern/flags`.
fn literal_parts(line: &str) -> Option<(&str, &str)> {
    let (pattern, flags) = line.strip_prefix('/')?.rsplit_once('/')?;
    flags.bytes().all(|flag| b"ismU".contains(&flag)).then_some((pattern, flags))
}

/// The `regex` crate draws the pattern above its message; the message is the last line.
fn last_line(message: &str) -> String {
    message.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

fn syntax<T>(message: impl Into<String>) -> Result<T, RegexpError> {
    Err(RegexpError::Syntax(message.into()))
}

/// The names that may stand in `[:name:]`.
const POSIX_CLASSES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
    "upper", "word", "xdigit",
];

/// Walks a pattern as RE2's parser does and writes its equal for the `regex` crate.
struct Translator<'p> {
    rest: &'p str,
    out: String,
    /// The largest product of nested counts: of each open group so far, and of the last operand.
    groups: Vec<u64>,
    last: u64,
    /// Whether the last thing was a repetition, which may not be repeated again.
    repeated: bool,
}

impl<'p> Translator<'p> {
    fn new(pattern: &'p str) -> Self {
        Self {
            rest: pattern,
            out: String::with_capacity(pattern.len() + 16),
            groups: vec![1],
            last: 1,
            repeated: false,
        }
    }

    fn translate(mut self) -> Result<String, RegexpError> {
        while let Some(c) = self.rest.chars().next() {
            if matches!(c, '*' | '+' | '?') {
                self.rest = &self.rest[1..];
                self.repeat(None)?;
                self.out.push(c);
                self.lazy();
                continue;
            }
            if let Some((least, most, len)) = (c == '{').then(|| repeat_count(self.rest)).flatten() {
                let text = &self.rest[..len];
                if least > limits::REGEXP_REPEAT
                    || most.is_some_and(|most| most > limits::REGEXP_REPEAT || most < least)
                {
                    return syntax(format!(
                        "invalid repetition count {text}; at most {} is allowed",
                        limits::REGEXP_REPEAT
                    ));
                }
                self.rest = &self.rest[len..];
                self.repeat(Some(most.unwrap_or(least)))?;
                self.out.push_str(text);
                self.lazy();
                continue;
            }
            self.repeated = false;
            self.rest = &self.rest[c.len_utf8()..];
            match c {
                '(' => self.open_group()?,
                ')' => {
                    let inner = self.groups.pop().unwrap_or(1);
                    if self.groups.is_empty() {
                        return syntax("unexpected )");
                    }
                    self.operand(inner);
                    self.out.push(')');
                }
                '[' => {
                    self.operand(1);
                    self.class()?;
                }
                '\\' => self.escape()?,
                '|' | '^' | '$' | '.' => {
                    self.operand(1);
                    self.out.push(c);
                }
                c => {
                    self.operand(1);
                    push_literal(&mut self.out, c);
                }
            }
        }
        Ok(self.out)
    }

    /// Notes an operand whose nested counts multiply to `product`.
    fn operand(&mut self, product: u64) {
        self.last = product;
        if let Some(group) = self.groups.last_mut() {
            *group = (*group).max(product);
        }
    }

    fn repeat(&mut self, count: Option<u64>) -> Result<(), RegexpError> {
        if self.repeated {
            return syntax("a repetition cannot be repeated; put it in a group");
        }
        self.repeated = true;
        if let Some(count) = count {
            let product = self.last.saturating_mul(count.max(1));
            if product > limits::REGEXP_REPEAT {
                return syntax(format!(
                    "nested repetition counts multiply to more than {}",
                    limits::REGEXP_REPEAT
                ));
            }
            self.operand(product);
        }
        Ok(())
    }

    fn lazy(&mut self) {
        if let Some(rest) = self.rest.strip_prefix('?') {
            self.rest = rest;
            self.out.push('?');
        }
    }

    /// Behind `(`.
    fn open_group(&mut self) -> Result<(), RegexpError> {
        self.out.push('(');
        if let Some(rest) = self.rest.strip_prefix('?') {
            self.rest = rest;
            self.out.push('?');
            let named = rest.strip_prefix("P<").or_else(|| rest.strip_prefix('<'));
            if let Some(named) = named {
                let Some((name, rest)) = named.split_once('>') else {
                    return syntax("invalid named capture group");
                };
                if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || c == '_') {
                    return syntax(format!("invalid name of a capture group: {name:?}"));
                }
                let _ = write!(self.out, "P<{name}>");
                self.rest = rest;
            } else {
                let end = self.rest.find([':', ')']).unwrap_or(self.rest.len());
                let flags = &self.rest[..end];
                if !flags.bytes().all(|flag| b"imsU-".contains(&flag)) {
                    return syntax(format!("(?{flags} is not supported"));
                }
                self.out.push_str(flags);
                self.rest = &self.rest[end..];
                if let Some(rest) = self.rest.strip_prefix(')') {
                    self.rest = rest;
                    if flags.is_empty() {
                        self.out.truncate(self.out.len() - "(?".len());
                    } else {
                        self.out.push(')');
                    }
                    return Ok(());
                }
                if let Some(rest) = self.rest.strip_prefix(':') {
                    self.rest = rest;
                    self.out.push(':');
                }
            }
        }
        self.groups.push(1);
        Ok(())
    }

    /// Behind a backslash, outside of a class.
    fn escape(&mut self) -> Result<(), RegexpError> {
        let Some(c) = self.rest.chars().next() else { return syntax("trailing backslash") };
        if c == 'Q' {
            let quoted = &self.rest[1..];
            let (quoted, rest) = quoted.split_once("\\E").unwrap_or((quoted, ""));
            for c in quoted.chars() {
                self.operand(1);
                push_literal(&mut self.out, c);
            }
            self.rest = rest;
            return Ok(());
        }
        self.operand(1);
        let translated = match c {
            'b' => "(?-u:\\b)",
            'B' => "(?-u:\\B)",
            'A' => "\\A",
            'z' => "\\z",
            'C' => return syntax("\\C (one byte) is not supported"),
            _ => {
                if let Some(class) = self.perl_class(c) {
                    self.out.push('[');
                    self.out.push_str(class);
                    self.out.push(']');
                } else if matches!(c, 'p' | 'P') {
                    self.unicode_class()?;
                } else {
                    let c = self.escaped_char()?;
                    push_literal(&mut self.out, c);
                }
                return Ok(());
            }
        };
        self.rest = &self.rest[1..];
        self.out.push_str(translated);
        Ok(())
    }

    /// `\d` and its kin, as the inside of a class; consumes the letter.
    fn perl_class(&mut self, c: char) -> Option<&'static str> {
        let class = match c {
            'd' => "0-9",
            'D' => "^0-9",
            'w' => "0-9A-Za-z_",
            'W' => "^0-9A-Za-z_",
            's' => "\\t\\n\\f\\r ",
            'S' => "^\\t\\n\\f\\r ",
            _ => return None,
        };
        self.rest = &self.rest[1..];
        Some(class)
    }

    /// `\pN`, `\p{Greek}`, `\p{^Greek}`, at the `p`.
    fn unicode_class(&mut self) -> Result<(), RegexpError> {
        let mut negated = self.rest.starts_with('P');
        let rest = &self.rest[1..];
        let (name, rest) = if let Some(braced) = rest.strip_prefix('{') {
            let Some((name, rest)) = braced.split_once('}') else {
                return syntax("invalid character class range: \\p{");
            };
            (name, rest)
        } else {
            let len = rest.chars().next().map_or(0, char::len_utf8);
            rest.split_at(len)
        };
        let bare = name.strip_prefix('^');
        negated ^= bare.is_some();
        let name = bare.unwrap_or(name);
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_') {
            return syntax(format!("unknown Unicode class: {name:?}"));
        }
        let _ = write!(self.out, "\\{}{{{name}}}", if negated { 'P' } else { 'p' });
        self.rest = rest;
        Ok(())
    }

    /// One character behind a backslash.
    fn escaped_char(&mut self) -> Result<char, RegexpError> {
        let rest = self.rest;
        let Some(c) = rest.chars().next() else { return syntax("trailing backslash") };
        let bad = || syntax(format!("invalid escape sequence: \\{c}"));
        let (value, len) = match c {
            'a' => (0x07, 1),
            'f' => (0x0c, 1),
            'n' => (0x0a, 1),
            'r' => (0x0d, 1),
            't' => (0x09, 1),
            'v' => (0x0b, 1),
            '0'..='7' => {
                let digits = rest.bytes().take(3).take_while(|b| (b'0'..=b'7').contains(b)).count();
                if c != '0' && digits == 1 {
                    return bad();
                }
                (u32::from_str_radix(&rest[..digits], 8).unwrap_or(u32::MAX), digits)
            }
            'x' => {
                let hex = &rest[1..];
                let (digits, len) = if let Some(braced) = hex.strip_prefix('{') {
                    let Some((digits, _)) = braced.split_once('}') else { return bad() };
                    (digits, digits.len() + 3)
                } else {
                    let Some(digits) = hex.get(..2) else { return bad() };
                    (digits, 3)
                };
                if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
                    return bad();
                }
                (u32::from_str_radix(digits, 16).unwrap_or(u32::MAX), len)
            }
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => (u32::from(c), 1),
            _ => return bad(),
        };
        let Some(value) = char::from_u32(value) else { return bad() };
        self.rest = &rest[len..];
        Ok(value)
    }

    /// Behind `[`.
    fn class(&mut self) -> Result<(), RegexpError> {
        self.out.push('[');
        if let Some(rest) = self.rest.strip_prefix('^') {
            self.rest = rest;
            self.out.push('^');
        }
        let mut first = true;
        loop {
            let Some(c) = self.rest.chars().next() else { return syntax("missing closing ]") };
            if c == ']' && !first {
                self.rest = &self.rest[1..];
                self.out.push(']');
                return Ok(());
            }
            first = false;
            if let Some((name, rest)) = self.rest.strip_prefix("[:").and_then(|named| named.split_once(":]"))
            {
                let bare = name.strip_prefix('^').unwrap_or(name);
                if !POSIX_CLASSES.contains(&bare) {
                    return syntax(format!("invalid character class range: [:{name}:]"));
                }
                let _ = write!(self.out, "[:{name}:]");
                self.rest = rest;
                continue;
            }
            if c == '\\' {
                let escape = self.rest[1..].chars().next().unwrap_or('\0');
                if matches!(escape, 'p' | 'P') {
                    self.rest = &self.rest[1..];
                    self.unicode_class()?;
                    continue;
                }
                if matches!(escape, 'd' | 'D' | 'w' | 'W' | 's' | 'S') {
                    self.rest = &self.rest[1..];
                    let class = self.perl_class(escape).unwrap_or_default();
                    let _ = write!(self.out, "[{class}]");
                    continue;
                }
            }
            let low = self.class_char()?;
            push_literal(&mut self.out, low);
            let range = self.rest.strip_prefix('-').filter(|rest| !rest.is_empty() && !rest.starts_with(']'));
            if let Some(rest) = range {
                self.rest = rest;
                let high = self.class_char()?;
                if high < low {
                    return syntax(format!("invalid character class range: {low}-{high}"));
                }
                self.out.push('-');
                push_literal(&mut self.out, high);
            }
        }
    }

    fn class_char(&mut self) -> Result<char, RegexpError> {
        let Some(c) = self.rest.chars().next() else { return syntax("missing closing ]") };
        self.rest = &self.rest[c.len_utf8()..];
        if c == '\\' { self.escaped_char() } else { Ok(c) }
    }
}

/// Writes a character so that it stands for itself, inside and outside of classes.
fn push_literal(out: &mut String, c: char) {
    if c.is_ascii_alphanumeric() || !c.is_ascii() {
        out.push(c);
    } else {
        let _ = write!(out, "\\x{:02X}", u32::from(c));
    }
}

/// The bounds and the length of `{n}`, `{n,}` or `{n,m}` at the start of the text.
///
/// None for anything else: then the brace is a character, as it is before a number with leading zeros or of
/// more than eight digits.
fn repeat_count(text: &str) -> Option<(u64, Option<u64>, usize)> {
    let inner = &text[1..text.find('}')?];
    let (least, most) = inner
        .split_once(',')
        .map_or((inner, Some(inner)), |(least, most)| (least, (!most.is_empty()).then_some(most)));
    let most = match most {
        Some(most) => Some(count(most)?),
        None => None,
    };
    Some((count(least)?, most, inner.len() + 2))
}

fn count(digits: &str) -> Option<u64> {
    let plain = !digits.is_empty()
        && digits.len() <= 8
        && digits.bytes().all(|b| b.is_ascii_digit())
        && (digits.len() == 1 || !digits.starts_with('0'));
    plain.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Regexp::new(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}")).is_match(text)
    }

    #[test]
    fn patterns_mean_what_they_mean_in_re2() {
        for (pattern, yes, no) in [
            (r"^\d$", &["7"][..], &["٣", "a"][..]),
            (r"^\D$", &["٣", "a", "\n"], &["7"]),
            (r"^\w+$", &["aZ_9"], &["é"]),
            (r"^\W$", &["é", "-"], &["a"]),
            (r"^\s$", &[" ", "\t", "\n"], &["\u{a0}", "\u{b}"]),
            (r"^\S$", &["\u{a0}"], &[" "]),
            (r"\bcaf\b", &["café"], &["cafe"]),
            (r"a\Bb", &["ab"], &["a b"]),
            (r"^[\d-]+$", &["1-2"], &["1/2"]),
            (r"^[^\D5]$", &["4"], &["5", "x"]),
            (r"^\Qa.b*\E+$", &["a.b*", "a.b**"], &["axb"]),
            (r"\Qa|b", &["xa|b"], &["a"]),
            (r"^a{,3}$", &["a{,3}"], &["aaa"]),
            (r"a{2", &["a{2"], &["aa"]),
            (r"^{$", &["{"], &["x"]),
            (r"^a{01}$", &["a{01}"], &["a"]),
            (r"^}$", &["}"], &[""]),
            (r"^a{2,3}$", &["aa", "aaa"], &["a", "aaaa"]),
            (r"^\07\0$", &["\x07\0"], &["70"]),
            (r"^\101$", &["A"], &["101"]),
            (r"^\x41\x{42}$", &["AB"], &["ab"]),
            (r"^[a&&b]$", &["a", "&", "b"], &["c"]),
            (r"^[a-c--b]$", &["a", "b", "c", "-"], &["d"]),
            (r"^[[a]b]$", &["[b]", "ab]"], &["a", "b"]),
            (r"^[a~~b]$", &["~"], &["c"]),
            (r"^[]a]$", &["]", "a"], &["b"]),
            (r"^[^]a]$", &["b"], &["]", "a"]),
            (r"^[[:alpha:]]$", &["x"], &["1", "é"]),
            (r"^[[:^digit:]]$", &["x"], &["1"]),
            (r"^[[:x]$", &[":", "["], &["y"]),
            (r"^\<a\>\_$", &["<a>_"], &["a_"]),
            (r"^a b#$", &["a b#"], &["ab"]),
            (r"(?i)^gitlab$", &["GitLab"], &["gitlab!"]),
            (r"(?s)^a.b$", &["a\nb"], &["ab"]),
            (r"(?m)^b$", &["a\nb"], &["ab"]),
            (r"^a.b$", &["axb"], &["a\nb"]),
            (r"a$", &["ba"], &["a\n"]),
            (r"^\p{Greek}\pL$", &["αa"], &["aα"]),
            (r"^\p{^Greek}$", &["a"], &["α"]),
            (r"^\P{Greek}$", &["a"], &["α"]),
            (r"^(?P<major>\d)\.(?<minor>\d)$", &["1.2"], &["1,2"]),
            (r"^(?:a|b)c$", &["ac"], &["c"]),
            (r"a+?b*?c??", &["a"], &["b"]),
            (r"^a(?)b$", &["ab"], &["a"]),
        ] {
            for text in yes {
                assert!(matches(pattern, text), "{pattern} should match {text:?}");
            }
            for text in no {
                assert!(!matches(pattern, text), "{pattern} should not match {text:?}");
            }
        }
    }

    #[test]
    fn what_re2_refuses_is_refused() {
        for pattern in [
            "a**",
            "a++",
            "a+*",
            "a{2}{3}",
            "a{2}*",
            "a{1001}",
            "a{1,1001}",
            "a{3,2}",
            "((a{100}){100}){100}",
            "(a{100}){11}",
            "*a",
            "a|*",
            "(",
            ")",
            "a)",
            "[a",
            "[",
            "[z-a]",
            "[a-\\d]",
            "[[:nope:]]",
            "\\",
            r"\8",
            r"\1",
            r"\y",
            r"\é",
            r"\u263a",
            r"\Z",
            r"\C",
            r"[\b]",
            r"\x1",
            r"\x{}",
            r"\x{110000}",
            r"\p{Nope}",
            r"\p{",
            "(?x)a",
            "(?=a)",
            "(?!a)",
            "(?<=a)",
            "(?<!a)",
            "(?>a)",
            "(?P=n)",
            "(?P<n>a)(?P<n>b)",
            "(?P<>a)",
            "(?P<a-b>c)",
            "(?i",
        ] {
            assert!(
                matches!(Regexp::new(pattern), Err(RegexpError::Syntax(_))),
                "{pattern}: {:?}",
                Regexp::new(pattern)
            );
        }
    }

    #[test]
    fn a_pattern_that_compiles_to_too_much_is_refused() {
        assert_eq!(Regexp::new(r"(\pL{10}){100}"), Err(RegexpError::TooLarge));
    }

    #[test]
    fn literals_have_slashes_and_flags() {
        for (literal, source) in [
            ("/ab/", "ab"),
            ("/a/", "a"),
            ("//", ""),
            ("/ab/i", "(?i)ab"),
            ("/a.b/ismU", "(?ismU)a.b"),
            ("/a/b/", "a/b"),
            ("first\n/ab/m\nlast", "(?m)ab"),
        ] {
            assert_eq!(Regexp::from_literal(literal).unwrap().source(), source, "{literal}");
        }
        for text in ["", "/", "ab", "/ab", "ab/", "/ab/x", " /ab/", "/a\nb/"] {
            assert_eq!(Regexp::from_literal(text), Err(RegexpError::NotALiteral), "{text:?}");
        }
    }

    #[test]
    fn the_last_capture_is_the_last_group_of_the_last_match() {
        for (pattern, text, expected) in [
            (r"\d+%", "10% 20%", Some("20%")),
            (r"(\d+)%", "10% 20%", Some("20")),
            (r"(\d+)\.(\d+)", "1.2 3.4", Some("4")),
            (r"(a)|(b)", "ba", None),
            ("x", "abc", None),
        ] {
            assert_eq!(Regexp::new(pattern).unwrap().last_capture(text), expected, "{pattern}");
        }
    }

    #[test]
    fn errors_say_what_is_wrong() {
        insta::assert_snapshot!(Regexp::new("a(?=b)").unwrap_err(), @"invalid regular expression: (?=b is not supported");
        insta::assert_snapshot!(Regexp::new("(a").unwrap_err(), @"invalid regular expression: unclosed group");
    }

    proptest! {
        #[test]
        fn any_text_compiles_or_is_refused(pattern in r"([\\\[\](){}|*+?^$.,:<>PQEdDwWbBpx0-9a-z&~-]|\PC){0,24}", text in ".{0,16}") {
            if let Ok(regexp) = Regexp::new(&pattern) {
                let _ = (regexp.is_match(&text), regexp.last_capture(&text));
            }
            let _ = Regexp::from_literal(&pattern);
        }

        #[test]
        fn escaped_text_matches_itself(text in r"\PC{0,16}") {
            let quoted = format!(r"^\Q{text}\E$");
            prop_assume!(!text.contains("\\E") && !text.ends_with('\\'));
            prop_assert!(matches(&quoted, &text));
        }
    }
}
