//! The value of an expression; see `evaluate` in `lib/gitlab/ci/pipeline/expression/lexeme/`.

use super::{Expr, ExprKind, Operator};
use crate::regexp::Regexp;
use std::borrow::Cow;

/// What an expression yields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'e> {
    /// `null`, or a variable that is not defined.
    Null,
    /// The result of a comparison, `true` or `false`.
    Boolean(bool),
    /// A string, or the value of a variable.
    String(Cow<'e, str>),
    /// A pattern written in the expression.
    Pattern(&'e Regexp),
}

impl Value<'_> {
    /// Whether a rule with this value holds: neither null nor false nor a blank string (Ruby's `present?`).
    pub fn is_truthful(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Boolean(value) => *value,
            Self::String(text) => !text.chars().all(char::is_whitespace),
            Self::Pattern(_) => true,
        }
    }

    /// Ruby's truth, which decides `&&` and `||`: an empty string is true.
    fn is_true(&self) -> bool {
        !matches!(self, Self::Null | Self::Boolean(false))
    }

    /// The text that `=~` looks into.
    fn text(&self) -> &str {
        match self {
            Self::String(text) => text,
            Self::Boolean(true) => "true",
            Self::Boolean(false) => "false",
            Self::Null | Self::Pattern(_) => "",
        }
    }

    /// `==`: strict about types, but a boolean equals the string that spells it.
    fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Boolean(_), Self::String(_)) | (Self::String(_), Self::Boolean(_)) => {
                self.text() == other.text()
            }
            _ => self == other,
        }
    }

    /// `=~` with something on the right that is not null.
    fn matches(&self, right: &Self) -> bool {
        match right {
            Self::Pattern(regexp) => regexp.is_match(self.text()),
            // A variable may hold a pattern with its slashes. Any other text is searched for the left side:
            // GitLab sends `scan` to whatever stands on the right.
            Self::String(text) => match Regexp::from_literal(&text.replace("\\/", "/")) {
                Ok(regexp) => regexp.is_match(self.text()),
                Err(_) => text.contains(self.text()),
            },
            Self::Null | Self::Boolean(_) => false,
        }
    }
}

impl Expr {
    /// The value of the expression.
    ///
    /// `lookup` gives the value of a variable, none if it is not defined or null. Inputs are looked up by
    /// `inputs.NAME`, which no variable can be called.
    pub fn eval<'e>(&'e self, lookup: &dyn Fn(&str) -> Option<String>) -> Value<'e> {
        let look_up = |name: &str| lookup(name).map_or(Value::Null, |value| Value::String(Cow::Owned(value)));
        match &self.kind {
            ExprKind::Variable(name) => look_up(name),
            ExprKind::Input(name) => look_up(&format!("inputs.{name}")),
            ExprKind::String(text) => Value::String(Cow::Borrowed(text)),
            ExprKind::Pattern(regexp) => Value::Pattern(regexp),
            ExprKind::Null => Value::Null,
            ExprKind::Boolean(value) => Value::Boolean(*value),
            ExprKind::Not(operand) => Value::Boolean(!operand.eval(lookup).is_truthful()),
            ExprKind::Binary(operator, left, right) => {
                let left = left.eval(lookup);
                let boolean = match operator {
                    Operator::And => return if left.is_true() { right.eval(lookup) } else { left },
                    Operator::Or => return if left.is_true() { left } else { right.eval(lookup) },
                    Operator::Equals => left.equals(&right.eval(lookup)),
                    Operator::NotEquals => !left.equals(&right.eval(lookup)),
                    Operator::Matches => left.matches(&right.eval(lookup)),
                    Operator::NotMatches => !left.matches(&right.eval(lookup)),
                };
                Value::Boolean(boolean)
            }
        }
    }

    /// Whether a rule with this expression holds.
    pub fn is_truthful(&self, lookup: &dyn Fn(&str) -> Option<String>) -> bool {
        self.eval(lookup).is_truthful()
    }
}

#[cfg(test)]
mod tests {
    use crate::expr::{SyntaxErrorKind, parse};
    use crate::limits;
    use proptest::prelude::*;

    /// Evaluates with variables written as `NAME=value`.
    fn holds(text: &str, variables: &[&str]) -> bool {
        let lookup = |name: &str| {
            variables.iter().find_map(|variable| {
                let (key, value) = variable.split_once('=')?;
                (key == name).then(|| value.to_owned())
            })
        };
        parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).is_truthful(&lookup)
    }

    #[test]
    fn undefined_empty_and_set_variables_differ() {
        for (text, undefined, empty, x) in [
            ("$A", false, false, true),
            ("$A == null", true, false, false),
            ("$A == \"\"", false, true, false),
            ("$A != null", false, true, true),
            ("$A != ''", true, false, true),
            ("$A =~ /x./", false, false, false),
            ("$A !~ /xx/", true, true, true),
            ("$A =~ /.*/s", true, true, true),
            ("!$A", true, true, false),
            ("$A || $B == \"1\"", true, false, true),
            ("$A && $B == \"1\"", false, true, true),
            ("\"abc\" =~ $A", false, false, false),
            ("\"abc\" !~ $A", true, true, true),
            ("$A =~ null", false, false, false),
            ("$A !~ null", true, true, true),
        ] {
            assert_eq!(holds(text, &["B=1"]), undefined, "{text}, A undefined");
            assert_eq!(holds(text, &["A=", "B=1"]), empty, "{text}, A empty");
            assert_eq!(holds(text, &["A=x", "B=1"]), x, "{text}, A is x");
        }
    }

    #[test]
    fn values_compare_strictly_by_type() {
        for (text, expected) in [
            ("'a' == \"a\"", true),
            ("'a' == 'A'", false),
            ("null == ''", false),
            ("null == null", true),
            ("null == false", false),
            ("true == 'true'", true),
            ("'false' == false", true),
            ("'true' == false", false),
            ("true != 'true'", false),
            ("/ab/ == /ab/", true),
            ("/ab/ == 'ab'", false),
            ("$TRUE == true", true),
        ] {
            assert_eq!(holds(text, &["TRUE=true"]), expected, "{text}");
        }
    }

    #[test]
    fn blank_results_do_not_hold() {
        for (text, expected) in [
            ("''", false),
            ("'  '", false),
            ("'false'", true),
            ("'0'", true),
            ("null", false),
            ("true", true),
            ("false", false),
            ("/ab/", true),
            ("$BLANK", false),
            ("$BLANK && true", true),
            ("$BLANK || true", false),
            ("!$BLANK", true),
        ] {
            assert_eq!(holds(text, &["BLANK= \t"]), expected, "{text}");
        }
    }

    #[test]
    fn patterns_match_anywhere_and_may_come_from_variables() {
        let variables = [
            "V=v1.2",
            "PATTERN=/^V\\d/i",
            "ONE=/1/",
            "SLASH=/a\\/b/",
            "PATH=xa/b",
            "BROKEN=/(v1.2/",
            "WORDS=v1.2 v1.3",
        ];
        for (text, expected) in [
            ("$V =~ /1\\.2/", true),
            ("$V =~ /^1/", false),
            ("$V =~ /^V1/", false),
            ("$V =~ /^V1/i", true),
            ("$V =~ $PATTERN", true),
            ("$V =~ $ONE", true),
            ("$PATH =~ /a\\/b/", true),
            ("$PATH =~ $SLASH", true),
            ("$V =~ $BROKEN", true),
            ("$V =~ $WORDS", true),
            ("$WORDS =~ $V", false),
            ("$V =~ 'v1.2'", true),
            ("$V =~ '/^v/'", true),
            ("$V !~ $PATTERN", false),
            ("$V =~ $MISSING", false),
            ("$V !~ $MISSING", true),
            ("true =~ /true/", true),
            ("'x/' =~ /x//", true),
        ] {
            assert_eq!(holds(text, &variables), expected, "{text}");
        }
    }

    #[test]
    fn operators_bind_as_in_ruby() {
        for (text, expected) in [
            ("true || false && false", true),
            ("(true || false) && false", false),
            ("'a' == 'b' || 'c' == 'c'", true),
            ("!'x' == 'x'", false),
            ("!('a' == 'x')", true),
            ("!!'x'", true),
            ("! ( $A )", true),
            ("'a' == 'a' == true", true),
            ("'a'=='a'&&'b'=='b'", true),
            ("((($A == null)))", true),
        ] {
            assert_eq!(holds(text, &[]), expected, "{text}");
        }
    }

    #[test]
    fn inputs_are_looked_up_by_their_full_name() {
        assert!(holds("$[[ inputs.env ]] == 'prod'", &["inputs.env=prod"]));
        assert!(holds("$[[inputs.env]] == null", &["env=prod"]));
    }

    #[test]
    fn errors_point_at_the_offending_bytes() {
        use SyntaxErrorKind as E;
        for (text, offending, kind) in [
            ("", "", E::Empty),
            (" \n ", " \n ", E::Empty),
            ("$A == abc", "abc", E::UnknownToken),
            ("$A == 5", "5", E::UnknownToken),
            ("$A < $B", "<", E::UnknownToken),
            ("$A and $B", "and", E::UnknownToken),
            ("$A = 'x'", "=", E::UnknownToken),
            ("$A & $B", "&", E::UnknownToken),
            ("trueish", "trueish", E::UnknownToken),
            ("$", "$", E::UnknownToken),
            ("é", "é", E::UnknownToken),
            ("$A == \"x", "\"x", E::UnclosedString),
            ("$A == 'x\n'", "'x", E::UnclosedString),
            ("$A =~ /x", "/x", E::IncompletePattern),
            ("$A =~ /x/", "/x/", E::IncompletePattern),
            ("$A =~ /é/", "/é/", E::IncompletePattern),
            ("$A =~ //", "//", E::IncompletePattern),
            ("${A} == 'x'", "${A}", E::VariableForm),
            ("%A% == 'x'", "%A", E::VariableForm),
            ("$A $B", "$B", E::MissingOperator),
            ("($A $B)", "$B", E::MissingOperator),
            ("nullx", "x", E::UnknownToken),
            ("$A ==", "", E::MissingOperand),
            ("== $A", "==", E::MissingOperand),
            ("$A && || $B", "||", E::MissingOperand),
            ("()", ")", E::MissingOperand),
            ("!", "", E::MissingOperand),
            ("($A", "(", E::UnclosedParenthesis),
            ("$A)", ")", E::UnexpectedParenthesis),
        ] {
            let error = parse(text).expect_err(text);
            assert_eq!((&text[error.span.clone()], &error.kind), (offending, &kind), "{text}");
        }
        let error = parse("$A =~ /(ab/").unwrap_err();
        assert_eq!(error.span, 6..11);
        insta::assert_snapshot!(error, @"invalid regular expression: unclosed group");
    }

    #[test]
    fn spans_cover_the_operands() {
        let text = "  !($A) == 'x'";
        let expr = parse(text).unwrap();
        assert_eq!(&text[expr.span], "!($A) == 'x'".trim_start());
    }

    #[test]
    fn the_number_of_tokens_is_limited() {
        let tokens = |values: usize| vec!["$A"; values].join(" || ");
        let values = limits::EXPRESSION_TOKENS / 2;
        assert!(parse(&tokens(values)).is_ok(), "{} tokens", 2 * values - 1);
        assert_eq!(parse(&format!("!{}", tokens(values))).unwrap_err().kind, SyntaxErrorKind::TooManyTokens);
    }

    proptest! {
        #[test]
        fn any_text_parses_or_not(
            text in r#"(\$A|"x"|'|"|/ab/|/|\\|==|=~|!=|!~|&&|\|\||!|[()]|null|true| |\n|é|\PC){0,40}"#,
            value in proptest::option::of(".{0,8}"),
        ) {
            match parse(&text) {
                Ok(expr) => { expr.is_truthful(&|_| value.clone()); }
                Err(error) => prop_assert!(text.get(error.span).is_some()),
            }
        }
    }
}
