//! Masks secrets in a stream, whatever pieces it comes in.
//!
//! Three kinds of text are masked, as in gitlab-runner's `common/buildlogger`: the values of masked variables, what
//! follows the prefix of a token, and the values of sensitive URL parameters.

use crate::limits;

const MASK: &[u8] = b"[MASKED]";

/// URL parameters whose values are secrets. Source: gitlab-runner's `urlsanitizer`.
const URL_PARAMETERS: [&str; 6] = [
    "private_token",
    "authenticity_token",
    "rss_token",
    "x-amz-signature",
    "x-amz-credential",
    "x-amz-security-token",
];

/// What is masked after the text that starts a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tail {
    /// Letters, digits and `-._=`, at least one.
    Token,
    /// All up to the end of a URL parameter.
    Parameter,
}

impl Tail {
    fn contains(self, byte: u8) -> bool {
        match self {
            Self::Token => byte.is_ascii_alphanumeric() || b"-._=".contains(&byte),
            Self::Parameter => byte > b' ' && byte != 0x7f && byte != b'?' && byte != b'&',
        }
    }
}

/// A text that is a secret or starts one.
#[derive(Debug, Clone)]
struct Pattern {
    text: Vec<u8>,
    /// `None` for a secret as a whole; else the text stays readable and its tail is masked.
    tail: Option<Tail>,
}

enum Found {
    No,
    Yes,
    /// The bytes at hand do not decide it.
    Unknown,
}

impl Pattern {
    /// Whether the secret begins at the start of `bytes`; `last` says that nothing follows them.
    fn begins(&self, bytes: &[u8], last: bool) -> Found {
        let ignore_case = self.tail == Some(Tail::Parameter);
        let same = |a: &u8, b: &u8| a == b || (ignore_case && a.eq_ignore_ascii_case(b));
        if !self.text.iter().zip(bytes).all(|(a, b)| same(a, b)) {
            return Found::No;
        }
        match (self.tail, bytes.get(self.text.len())) {
            _ if bytes.len() < self.text.len() => Found::when_more(last),
            (None, _) => Found::Yes,
            (Some(Tail::Token), None) => Found::when_more(last),
            (Some(Tail::Token), Some(next)) if !Tail::Token.contains(*next) => Found::No,
            (Some(_), _) => Found::Yes,
        }
    }
}

impl Found {
    fn when_more(last: bool) -> Self {
        if last { Self::No } else { Self::Unknown }
    }
}

/// A filter that replaces secrets by `[MASKED]`.
///
/// Bytes that may belong to a secret are held back until the stream decides it, so the output does not depend on how
/// the input was cut. Occurrences that overlap become one mask.
#[derive(Debug, Clone)]
pub struct Masker {
    patterns: Vec<Pattern>,
    /// For each byte, whether a pattern starts with it.
    starts: Box<[bool; 256]>,
    held: Vec<u8>,
    /// How many of the bytes to come belong to the current mask.
    covered: usize,
    tail: Option<Tail>,
}

impl Default for Masker {
    fn default() -> Self {
        Self::new(std::iter::empty::<&str>(), std::iter::empty::<&str>())
    }
}

impl Masker {
    /// A filter for `secrets` and for the tokens that start with `prefixes` (`glpat-` always belongs to them).
    pub fn new<S, P>(secrets: S, prefixes: P) -> Self
    where
        S: IntoIterator,
        S::Item: AsRef<str>,
        P: IntoIterator,
        P::Item: AsRef<str>,
    {
        let mut patterns: Vec<Pattern> = secrets
            .into_iter()
            .map(|secret| Pattern { text: secret.as_ref().as_bytes().to_vec(), tail: None })
            .collect();
        let mut tokens: Vec<Vec<u8>> = std::iter::once(b"glpat-".to_vec())
            .chain(prefixes.into_iter().map(|prefix| prefix.as_ref().as_bytes().to_vec()))
            .collect();
        tokens.dedup();
        tokens.truncate(limits::TOKEN_PREFIXES);
        patterns.extend(tokens.into_iter().map(|text| Pattern { text, tail: Some(Tail::Token) }));
        for name in URL_PARAMETERS {
            for start in ["?", "&"] {
                let text = format!("{start}{name}=").into_bytes();
                patterns.push(Pattern { text, tail: Some(Tail::Parameter) });
            }
        }
        patterns.retain(|pattern| !pattern.text.is_empty());
        let mut starts = Box::new([false; 256]);
        for pattern in &patterns {
            if let Some(first) = pattern.text.first() {
                starts[usize::from(*first)] = true;
            }
        }
        Self { patterns, starts, held: Vec::new(), covered: 0, tail: None }
    }

    /// Takes the next piece of the stream and appends what is decided to `out`.
    pub fn write(&mut self, input: &[u8], out: &mut Vec<u8>) {
        if self.held.is_empty() {
            let rest = self.scan(input, false, out);
            self.held.extend_from_slice(&input[input.len() - rest..]);
        } else {
            let mut held = std::mem::take(&mut self.held);
            held.extend_from_slice(input);
            let rest = self.scan(&held, false, out);
            held.drain(..held.len() - rest);
            self.held = held;
        }
    }

    /// Ends the stream: what is held back was no secret.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let held = std::mem::take(&mut self.held);
        self.scan(&held, true, out);
        self.tail = None;
        self.covered = 0;
    }

    /// Goes over `bytes` and returns how many of them, at the end, are undecided.
    fn scan(&mut self, bytes: &[u8], last: bool, out: &mut Vec<u8>) -> usize {
        let mut at = 0;
        while at < bytes.len() {
            let byte = bytes[at];
            if self.covered == 0
                && let Some(tail) = self.tail
            {
                if tail.contains(byte) {
                    self.covered = 1;
                } else {
                    self.tail = None;
                }
            }
            if self.starts[usize::from(byte)] {
                let mut longest: Option<(usize, Option<Tail>)> = None;
                for pattern in &self.patterns {
                    match pattern.begins(&bytes[at..], last) {
                        Found::Unknown => return bytes.len() - at,
                        Found::Yes if longest.is_none_or(|(length, _)| pattern.text.len() > length) => {
                            longest = Some((pattern.text.len(), pattern.tail));
                        }
                        Found::Yes | Found::No => {}
                    }
                }
                match longest {
                    Some((length, None)) => {
                        if self.covered == 0 {
                            out.extend_from_slice(MASK);
                        }
                        self.covered = self.covered.max(length);
                    }
                    Some((length, tail)) if self.covered == 0 => {
                        out.extend_from_slice(&bytes[at..at + length]);
                        out.extend_from_slice(MASK);
                        self.covered = length;
                        self.tail = tail;
                    }
                    _ => {}
                }
            }
            if self.covered > 0 {
                self.covered -= 1;
                at += 1;
                continue;
            }
            let next = bytes[at + 1..].iter().position(|byte| self.starts[usize::from(*byte)]);
            let end = next.map_or(bytes.len(), |offset| at + 1 + offset);
            out.extend_from_slice(&bytes[at..end]);
            at = end;
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mask(masker: &Masker, pieces: &[&[u8]]) -> String {
        let mut masker = masker.clone();
        let mut out = Vec::new();
        for piece in pieces {
            masker.write(piece, &mut out);
        }
        masker.finish(&mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn secrets_tokens_and_url_parameters_are_masked() {
        let masker = Masker::new(["hunter22", "hunter22-long", "line one\nline two"], ["glcbt-"]);
        for (input, output) in [
            ("nothing here", "nothing here"),
            ("a hunter22 b", "a [MASKED] b"),
            ("hunter22-long", "[MASKED]"),
            ("hunter22-lon", "[MASKED]-lon"),
            ("hunter22hunter22", "[MASKED][MASKED]"),
            ("hunter2", "hunter2"),
            ("x line one\nline two y", "x [MASKED] y"),
            ("esseglpat-imperdiet=_-. end", "esseglpat-[MASKED] end"),
            ("glpat-impglpat-erdiet Lorem", "glpat-[MASKED] Lorem"),
            ("glpat- -imperdiet", "glpat- -imperdiet"),
            ("glcbt-64_abc", "glcbt-[MASKED]"),
            ("glpat-", "glpat-"),
            ("GET /a?private_token=abc&x=1", "GET /a?private_token=[MASKED]&x=1"),
            ("/a?b=1&X-Amz-Signature=0f0f HTTP", "/a?b=1&X-Amz-Signature=[MASKED] HTTP"),
        ] {
            assert_eq!(mask(&masker, &[input.as_bytes()]), output, "{input}");
        }
    }

    #[test]
    fn no_byte_of_overlapping_secrets_shows() {
        let masker = Masker::new(["abcd", "xab", "cdef"], Vec::<String>::new());
        assert_eq!(mask(&masker, &[b"-xabcdef-"]), "-[MASKED]-");
    }

    #[test]
    fn an_empty_secret_masks_nothing() {
        assert_eq!(mask(&Masker::new([""], [""]), &[b"text"]), "text");
    }

    #[test]
    fn a_secret_inside_a_token_ends_with_the_token() {
        let masker = Masker::new(["secret12"], Vec::<String>::new());
        assert_eq!(mask(&masker, &[b"glpat-secret12 x"]), "glpat-[MASKED] x");
    }

    proptest! {
        #[test]
        fn the_output_does_not_depend_on_how_the_input_is_cut(
            text in "(a|b|c|glpat-|\\?rss_token=| |abca|\n){0,24}",
            secrets in prop::collection::vec("[abc]{1,4}", 0..4),
            cuts in prop::collection::vec(0usize..80, 0..8),
        ) {
            let masker = Masker::new(&secrets, ["ab-"]);
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for cut in cuts {
                pieces.push(&bytes[from..cut]);
                from = cut;
            }
            pieces.push(&bytes[from..]);
            prop_assert_eq!(mask(&masker, &pieces), mask(&masker, &[bytes]));
        }

        #[test]
        fn no_secret_survives(
            before in "[a-d ]{0,12}", secret in "[x-z]{8,12}", after in "[a-d ]{0,12}",
        ) {
            let masker = Masker::new([&secret], Vec::<String>::new());
            let text = format!("{before}{secret}{after}");
            prop_assert_eq!(mask(&masker, &[text.as_bytes()]), format!("{before}[MASKED]{after}"));
        }
    }
}
