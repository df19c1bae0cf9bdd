//! Path globs as in Ruby's `File.fnmatch?` with `FNM_PATHNAME | FNM_DOTMATCH | FNM_EXTGLOB`.
//!
//! This is what `rules:changes` and `rules:exists` use; the runner's globs for artifacts and caches differ.
//! The algorithm is that of Ruby's `dir.c`: braces are expanded first, then a pattern is matched component by
//! component, where only the last `**/` and the last `*` are ever retried.

use crate::limits;

/// A path glob, its braces expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    alternatives: Vec<String>,
}

impl Glob {
    /// Reads a glob. None is wrong; one with an unclosed brace matches nothing, like one whose braces expand to
    /// more than [`limits::GLOB_ALTERNATIVES`] patterns.
    pub fn new(pattern: &str) -> Self {
        let mut alternatives = Vec::new();
        let mut pending = vec![pattern.to_owned()];
        while let Some(pattern) = pending.pop() {
            match braces(&pattern) {
                Braces::None => alternatives.push(pattern),
                Braces::Unclosed => {}
                Braces::Expanded(mut patterns) => pending.append(&mut patterns),
            }
            if alternatives.len() + pending.len() > limits::GLOB_ALTERNATIVES {
                return Self { alternatives: Vec::new() };
            }
        }
        Self { alternatives }
    }

    /// Whether the whole path matches.
    pub fn matches(&self, path: &str) -> bool {
        self.alternatives.iter().any(|pattern| path_matches(pattern.as_bytes(), path.as_bytes()))
    }
}

enum Braces {
    /// The pattern has no braces.
    None,
    /// A brace is open at the end.
    Unclosed,
    /// One pattern for each alternative of the first braces.
    Expanded(Vec<String>),
}

/// Expands the first outermost braces of a pattern.
fn braces(pattern: &str) -> Braces {
    let Some((open, close)) = first_braces(pattern) else { return Braces::None };
    let Some(close) = close else { return Braces::Unclosed };
    let (before, after) = (&pattern[..open], &pattern[close + 1..]);
    let inner = &pattern[open + 1..close];
    let mut alternatives = Vec::new();
    let (mut start, mut depth, mut escaped) = (0, 0_usize, false);
    for (at, c) in inner.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                alternatives.push(format!("{before}{}{after}", &inner[start..at]));
                start = at + 1;
            }
            _ => {}
        }
    }
    alternatives.push(format!("{before}{}{after}", &inner[start..]));
    Braces::Expanded(alternatives)
}

/// Where the first outermost braces open and, if they do, close.
fn first_braces(pattern: &str) -> Option<(usize, Option<usize>)> {
    let (mut open, mut depth, mut escaped) = (None, 0_usize, false);
    for (at, c) in pattern.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '{' => {
                open = open.or(Some(at));
                depth += 1;
            }
            '}' if open.is_some() => {
                depth -= 1;
                if depth == 0 {
                    return open.map(|open| (open, Some(at)));
                }
            }
            _ => {}
        }
    }
    open.map(|open| (open, None))
}

/// Matches all components, going back to the last `**/` when one fails.
fn path_matches(mut pattern: &[u8], mut path: &[u8]) -> bool {
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        if pattern.starts_with(b"**/") {
            while let Some(rest) = pattern.strip_prefix(b"**/") {
                pattern = rest;
            }
            retry = Some((pattern, path));
        }
        if let Some(rest) = component_matches(pattern, path) {
            let path_rest = from_slash(path);
            match (rest, path_rest) {
                ([], []) => return true,
                ([_, rest @ ..], [_, path_rest @ ..]) => {
                    (pattern, path) = (rest, path_rest);
                    continue;
                }
                _ => {}
            }
        }
        let Some((retry_pattern, retry_path)) = retry else { return false };
        let [_slash, rest @ ..] = from_slash(retry_path) else { return false };
        retry = Some((retry_pattern, rest));
        (pattern, path) = (retry_pattern, rest);
    }
}

/// The rest of a path from its first slash on.
fn from_slash(path: &[u8]) -> &[u8] {
    path.iter().position(|b| *b == b'/').map_or(&[], |at| &path[at..])
}

/// Whether nothing is left of a component.
fn at_end(text: &[u8]) -> bool {
    matches!(text, [] | [b'/', ..])
}

/// Skips a backslash: the next character stands for itself, and at the end it is nothing.
fn unescaped(pattern: &[u8]) -> &[u8] {
    pattern.strip_prefix(b"\\").unwrap_or(pattern)
}

/// The bytes of the first character.
fn first_char(text: &[u8]) -> &[u8] {
    let len = match text.first() {
        None => 0,
        Some(0xf0..) => 4,
        Some(0xe0..) => 3,
        Some(0xc0..) => 2,
        Some(_) => 1,
    };
    &text[..len.min(text.len())]
}

/// Matches one component and returns what is left of the pattern behind it, from its slash on.
///
/// Whoever calls skips the rest of the path's component: after a final `*` anything may be left of it.
fn component_matches<'p>(mut pattern: &'p [u8], mut path: &[u8]) -> Option<&'p [u8]> {
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        let advanced = match pattern {
            [b'*', ..] => {
                while let [b'*', rest @ ..] = pattern {
                    pattern = rest;
                }
                if at_end(unescaped(pattern)) {
                    return Some(unescaped(pattern));
                }
                if at_end(path) {
                    return None;
                }
                retry = Some((pattern, path));
                continue;
            }
            [b'?', rest @ ..] => {
                if at_end(path) {
                    return None;
                }
                Some((rest, first_char(path).len()))
            }
            [b'[', rest @ ..] => {
                if at_end(path) {
                    return None;
                }
                class_matches(rest, first_char(path)).map(|rest| (rest, first_char(path).len()))
            }
            _ => {
                let literal = unescaped(pattern);
                if at_end(path) {
                    return at_end(literal).then_some(literal);
                }
                let c = first_char(literal);
                (!at_end(literal) && path.starts_with(c)).then(|| (&literal[c.len()..], c.len()))
            }
        };
        if let Some((rest, len)) = advanced {
            pattern = rest;
            path = &path[len..];
            continue;
        }
        let (retry_pattern, retry_path) = retry?;
        let retry_path = &retry_path[first_char(retry_path).len()..];
        retry = Some((retry_pattern, retry_path));
        (pattern, path) = (retry_pattern, retry_path);
    }
}

/// Matches one character with the class whose `[` was just read; returns the pattern behind its `]`.
fn class_matches<'p>(mut pattern: &'p [u8], c: &[u8]) -> Option<&'p [u8]> {
    let negated = matches!(pattern, [b'!' | b'^', ..]);
    if negated {
        pattern = &pattern[1..];
    }
    let mut found = false;
    loop {
        if let [b']', rest @ ..] = pattern {
            return (found != negated).then_some(rest);
        }
        let low = class_char(&mut pattern)?;
        if let [b'-', rest @ ..] = pattern
            && !rest.starts_with(b"]")
        {
            pattern = rest;
            let high = class_char(&mut pattern)?;
            // UTF-8 sorts as its code points do.
            found |= (low..=high).contains(&c) || c == low || c == high;
        } else {
            found |= c == low;
        }
    }
}

/// Takes one character, escaped or not, of a class; none at the end of the pattern.
fn class_char<'p>(pattern: &mut &'p [u8]) -> Option<&'p [u8]> {
    let literal = unescaped(pattern);
    let c = first_char(literal);
    *pattern = &literal[c.len()..];
    // Ruby gives up as soon as it reaches the end of the pattern.
    (!c.is_empty() && !pattern.is_empty()).then_some(c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::process::Command;

    #[test]
    fn globs_match_as_the_documentation_of_rules_changes_says() {
        for (pattern, yes, no) in [
            ("*", &["a", ".a", ""][..], &["a/b"][..]),
            ("**", &["a", ".a"], &["a/b"]),
            ("**/*", &["a", "a/b", ".a/.b/.c"], &[]),
            ("**/x.md", &["x.md", "a/x.md", "a/b/x.md"], &["ax.md"]),
            ("**.md", &["a.md"], &["d/a.md"]),
            ("docs/*", &["docs/a", "docs/.a"], &["docs/a/b", "docs"]),
            ("docs/**", &["docs/a"], &["docs/a/b", "docs"]),
            ("docs/**/*", &["docs/a", "docs/a/b"], &["docs"]),
            ("docs/**/*.md", &["docs/a.md", "docs/a/b/c.md"], &["docs/a.rb", "x/docs/a.md"]),
            ("*.{rb,md}", &["a.rb", "a.md"], &["a.rs", "d/a.rb"]),
            ("{a,b/{c,d}}/*", &["a/x", "b/c/x", "b/d/x"], &["b/x"]),
            ("a{,.md}", &["a", "a.md"], &["a,.md"]),
            ("[ab]?", &["ax", "b1", "aé"], &["a", "ax1", "a/", "cx"]),
            ("[a-c]", &["b", "c"], &["d", "-"]),
            ("[!a-c]", &["d"], &["a", "/"]),
            ("[^a]", &["b"], &["a"]),
            ("[é-ü]", &["ö"], &["a"]),
            ("./a", &["./a"], &["a"]),
            ("/a", &["/a"], &["a"]),
            ("A", &["A"], &["a"]),
            (r"\*", &["*"], &["a"]),
            (r"\{a,b\}", &["{a,b}"], &["a"]),
            ("{a,b", &[], &["a", "b"]),
            ("a,b}", &["a,b}"], &["a"]),
            ("[a", &[], &["a"]),
            ("", &[""], &["a"]),
            ("*a*b*c", &["xaxbxc"], &["xaxcxb"]),
        ] {
            let glob = Glob::new(pattern);
            for path in yes {
                assert!(glob.matches(path), "{pattern} should match {path}");
            }
            for path in no {
                assert!(!glob.matches(path), "{pattern} should not match {path}");
            }
        }
    }

    #[test]
    fn braces_expand_to_a_limited_number_of_patterns() {
        let pairs = limits::GLOB_ALTERNATIVES.ilog2() as usize;
        assert!(Glob::new(&"{a,b}".repeat(pairs)).matches(&"ab".repeat(pairs / 2)));
        assert!(!Glob::new(&"{a,b}".repeat(pairs + 1)).matches(&"a".repeat(pairs + 1)));
    }

    /// Asks Ruby about every pattern with every path.
    #[test]
    fn globs_match_exactly_as_in_ruby() {
        let patterns = [
            "",
            "*",
            "**",
            "**/",
            "**/*",
            "**/**",
            "**/**/*",
            "***",
            "**/a",
            "a/**",
            "a/**/",
            "a/**/b",
            "a/**/*",
            "**/a/**",
            "*/a",
            "*/*",
            "a*",
            "*a",
            "*a*",
            "a?",
            "?",
            "??",
            "?/?",
            "a/?",
            "[ab]",
            "[]a]",
            "[!]a]",
            r"[\]]",
            "[^a]",
            "[!a]",
            "[a-c]",
            "[c-a]",
            "[a-]",
            "[-a]",
            "[a",
            "[a-",
            "[",
            "[]",
            "[!]",
            "a[/]b",
            "[a/b]",
            "[é]",
            "é",
            "?.md",
            r"\*",
            r"\a",
            "\\",
            r"a\",
            r"[\",
            r"*\/",
            r"*\",
            "{a,b}",
            "{a,b",
            "a,b}",
            "{a}",
            "{}",
            "{,a}",
            "{a,}",
            "{a,{b,c}}",
            "{a,b}{c,d}",
            "{a/b,c}/d",
            r"\{a,b}",
            r"{a\,b,c}",
            "{a,b}}",
            "{{a,b}",
            "}{",
            "{**/,}a",
            "**a/b",
            "a**/b",
            ".*",
            ".a",
            "./a",
            "/a",
            "/*",
            "*/",
            "a/",
            "//",
            "a//b",
            "**//a",
            ".a/**/*",
            "*.md",
            "**.md",
            "**/*.md",
            "*a*b",
            "**/a/**/b",
            "**/*/b",
            "a/*/b/**/c",
            "[[:alpha:]]",
            "[a-é]",
            "{[a,b],c}",
            "*[!b]",
            "%",
            "#{a}",
        ];
        let paths = [
            "",
            "a",
            "b",
            "c",
            "ab",
            "ba",
            "aa",
            "aab",
            "a/b",
            "b/a",
            "a/b/c",
            "a/x/b",
            "a/x/b/c",
            "a/x/b/y/c",
            "x/a",
            "x/y/a",
            "x/a/y/b",
            ".a",
            ".a/b",
            "a/.b",
            ".a/.b/.c",
            "a/",
            "/a",
            "/",
            "//",
            "a//b",
            "./a",
            "a.md",
            "d/a.md",
            ".md",
            "é",
            "é.md",
            "[",
            "]",
            "[a",
            "{a,b}",
            "{a,b",
            "a,b}",
            "a,b",
            "*",
            "\\",
            "-",
            "ac",
            "bd",
            "a/b/d",
            "c/d",
            "a}",
            "{a",
            "{}",
            "**",
            "%",
            "[]",
            "[]a]",
            "!",
            "#{a}",
            "#a",
        ];
        let script = r#"
            flags = File::FNM_PATHNAME | File::FNM_DOTMATCH | File::FNM_EXTGLOB
            patterns, paths = STDIN.read.force_encoding("UTF-8").split("\x01", -1).map { |list| list.split("\x02", -1) }
            patterns.each { |glob| puts paths.map { |path| File.fnmatch?(glob, path, flags) ? "1" : "0" }.join }
        "#;
        let input = format!("{}\x01{}", patterns.join("\x02"), paths.join("\x02"));
        let ruby = Command::new("ruby")
            .args(["-Eutf-8", "-e", script])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn();
        let Ok(mut ruby) = ruby else {
            println!("skipped: ruby is not installed");
            return;
        };
        std::io::Write::write_all(&mut ruby.stdin.take().unwrap(), input.as_bytes()).unwrap();
        let answer = String::from_utf8(ruby.wait_with_output().unwrap().stdout).unwrap();
        let mut differences = Vec::new();
        for (pattern, row) in patterns.iter().zip(answer.lines()) {
            let glob = Glob::new(pattern);
            for (path, expected) in paths.iter().zip(row.chars()) {
                if glob.matches(path) != (expected == '1') {
                    differences.push(format!("{pattern:?} {path:?}: Ruby says {}", expected == '1'));
                }
            }
        }
        assert_eq!(answer.lines().count(), patterns.len());
        assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
    }

    proptest! {
        #[test]
        fn any_glob_meets_any_path(pattern in r"([*?\[\]{},/!^\\.a-c-]|\PC){0,32}", path in r"([/.a-c]|\PC){0,32}") {
            Glob::new(&pattern).matches(&path);
        }

        #[test]
        fn a_path_matches_itself_when_escaped(path in r"[^\\{}]{0,24}") {
            let escaped: String =
                path.chars().flat_map(|c| ['\\', c]).collect::<String>().replace("\\/", "/");
            prop_assert!(Glob::new(&escaped).matches(&path));
        }
    }
}
