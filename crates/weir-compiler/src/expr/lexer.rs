//! Text to tokens; see the `PATTERN`s in `lib/gitlab/ci/pipeline/expression/lexeme/`.

use super::{Operator, SyntaxError, SyntaxErrorKind};
use crate::limits;
use std::ops::Range;

/// One token; texts are slices of the expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'t> {
    Open,
    Close,
    Input(&'t str),
    Variable(&'t str),
    String(&'t str),
    /// With its slashes and flags.
    Pattern(&'t str),
    Null,
    Boolean(bool),
    Not,
    Operator(Operator),
}

/// The tokens of an expression with their places.
pub(super) fn tokens(text: &str) -> Result<Vec<(Token<'_>, Range<usize>)>, SyntaxError> {
    let mut tokens = Vec::new();
    let mut at = 0;
    loop {
        at += text[at..].find(|c: char| !is_space(c)).unwrap_or(text.len() - at);
        if at == text.len() {
            return Ok(tokens);
        }
        let rest = &text[at..];
        let Some((token, len)) = token(rest) else {
            return Err(unknown(rest, at));
        };
        let span = at..at + len;
        // GitLab's loop looks for the end of the text before each of its hundred rounds.
        if tokens.len() + 1 >= limits::EXPRESSION_TOKENS {
            return Err(SyntaxError { span, kind: SyntaxErrorKind::TooManyTokens });
        }
        tokens.push((token, span));
        at += len;
    }
}

/// Ruby's `\s`.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n' | '\x0b' | '\x0c')
}

/// Ruby's `\w`.
fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The token at the start of the text and its length.
fn token(text: &str) -> Option<(Token<'_>, usize)> {
    const FIXED: [(&str, Token<'_>); 10] = [
        ("(", Token::Open),
        (")", Token::Close),
        ("null", Token::Null),
        ("==", Token::Operator(Operator::Equals)),
        ("=~", Token::Operator(Operator::Matches)),
        ("!=", Token::Operator(Operator::NotEquals)),
        ("!~", Token::Operator(Operator::NotMatches)),
        ("&&", Token::Operator(Operator::And)),
        ("||", Token::Operator(Operator::Or)),
        ("!", Token::Not),
    ];
    match text.as_bytes().first()? {
        b'$' => input(text).or_else(|| {
            let name = word(&text[1..]);
            (!name.is_empty()).then_some((Token::Variable(name), name.len() + 1))
        }),
        quote @ (b'"' | b'\'') => {
            let end = 1 + text[1..].bytes().position(|b| b == *quote || b == b'\n')?;
            (text.as_bytes()[end] == *quote).then(|| (Token::String(&text[1..end]), end + 1))
        }
        b'/' => pattern(text).map(|len| (Token::Pattern(&text[..len]), len)),
        b't' | b'f' => {
            let word = word(text);
            (word == "true" || word == "false").then_some((Token::Boolean(word == "true"), word.len()))
        }
        _ => FIXED
            .iter()
            .find(|(fixed, _)| text.starts_with(fixed))
            .map(|(fixed, token)| (*token, fixed.len())),
    }
}

fn word(text: &str) -> &str {
    &text[..text.find(|c| !is_word(c)).unwrap_or(text.len())]
}

/// `$[[ inputs.NAME ]]`.
fn input(text: &str) -> Option<(Token<'_>, usize)> {
    let inner = text.strip_prefix("$[[")?.trim_start_matches(is_space).strip_prefix("inputs.")?;
    let name = word(inner);
    let rest = inner[name.len()..].trim_start_matches(is_space).strip_prefix("]]")?;
    (!name.is_empty()).then_some((Token::Input(name), text.len() - rest.len()))
}

/// The length of the pattern with its flags at the start of the text, as GitLab's `PATTERN` finds it:
/// `/([^/]|\\/)+[^\\]/[ismU]*`.
fn pattern(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut from = 1;
    loop {
        let slash = from + text[from..].find('/')?;
        let end = if slash > 1 && bytes.get(slash + 1) == Some(&b'/') {
            // `[^\\]` takes this slash, so that the pattern ends with one.
            slash + 1
        } else if bytes[slash - 1] == b'\\' {
            from = slash + 1;
            continue;
        } else if text[1..slash].chars().nth(1).is_some() {
            slash
        } else {
            return None;
        };
        return Some(end + 1 + text[end + 1..].bytes().take_while(|flag| b"ismU".contains(flag)).count());
    }
}

/// The error for text that is no token.
fn unknown(rest: &str, at: usize) -> SyntaxError {
    let line = rest.find('\n').unwrap_or(rest.len());
    let (kind, len) = match rest.as_bytes().first() {
        Some(b'"' | b'\'') => (SyntaxErrorKind::UnclosedString, line),
        Some(b'/') => (SyntaxErrorKind::IncompletePattern, line),
        Some(b'$') if rest.starts_with("${") => {
            (SyntaxErrorKind::VariableForm, rest.find('}').map_or(line, |end| end + 1))
        }
        Some(b'%') => (SyntaxErrorKind::VariableForm, 1 + word(&rest[1..]).len()),
        _ => {
            let word = word(rest).len();
            let first = rest.chars().next().map_or(0, char::len_utf8);
            (SyntaxErrorKind::UnknownToken, word.max(first))
        }
    };
    SyntaxError { span: at..at + len, kind }
}
