//! The expression language of `rules:if`: `$CI_COMMIT_BRANCH == "main" && $DEPLOY =~ /^(yes|on)$/i`.
//!
//! See GitLab's `lib/gitlab/ci/pipeline/expression/` and `doc/ci/jobs/job_rules.md`. An expression is parsed
//! once and evaluated as often as needed; evaluation cannot fail.

mod eval;
mod lexer;
mod parser;

pub use eval::Value;
pub use parser::parse;

use crate::regexp::{Regexp, RegexpError};
use std::ops::Range;

/// A parsed expression with its place in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Bytes of the text that it covers; parentheses around it are not part of it.
    pub span: Range<usize>,
}

/// What an expression is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExprKind {
    /// `$NAME`.
    Variable(String),
    /// `$[[ inputs.NAME ]]`.
    Input(String),
    /// `"text"` or `'text'`.
    String(String),
    /// `/pattern/flags`.
    Pattern(Regexp),
    /// `null`.
    Null,
    /// `true` or `false`.
    Boolean(bool),
    /// `!operand`.
    Not(Box<Expr>),
    /// Two operands with an operator between them.
    Binary(Operator, Box<Expr>, Box<Expr>),
}

/// An operator with two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `==`.
    Equals,
    /// `!=`.
    NotEquals,
    /// `=~`.
    Matches,
    /// `!~`.
    NotMatches,
    /// `&&`.
    And,
    /// `||`.
    Or,
}

/// Why a text is no expression, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct SyntaxError {
    /// The offending bytes; empty at the end of the text.
    pub span: Range<usize>,
    /// What is wrong there.
    pub kind: SyntaxErrorKind,
}

/// What is wrong in an expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxErrorKind {
    /// Nothing but white space.
    #[error("the expression is empty")]
    Empty,
    /// No token starts here.
    #[error(
        "unknown text; expected a variable, a string in quotes, a /pattern/, null, true, false or an operator"
    )]
    UnknownToken,
    /// A quote that no other one closes on the same line.
    #[error("this string has no closing quote")]
    UnclosedString,
    /// A slash that starts no pattern.
    #[error("this pattern has no closing slash, or fewer than two characters between its slashes")]
    IncompletePattern,
    /// `${NAME}` and `%NAME%` are for other keywords.
    #[error("write $NAME: expressions know no other form of a variable")]
    VariableForm,
    /// More tokens than GitLab takes.
    #[error("the expression has too many tokens; at most {} are allowed", crate::limits::EXPRESSION_TOKENS - 1)]
    TooManyTokens,
    /// The text between the slashes is no regular expression.
    #[error(transparent)]
    Pattern(#[from] RegexpError),
    /// An operator or parenthesis where a value must stand.
    #[error("a value is missing here")]
    MissingOperand,
    /// A value follows a value.
    #[error("an operator is missing here")]
    MissingOperator,
    /// `(` without `)`.
    #[error("this parenthesis is not closed")]
    UnclosedParenthesis,
    /// `)` without `(`.
    #[error("this parenthesis closes nothing")]
    UnexpectedParenthesis,
}
