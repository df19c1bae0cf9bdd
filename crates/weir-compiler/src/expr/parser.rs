//! Tokens to a tree, by precedence: `!`, then comparisons, then `&&`, then `||`; all from the left.

use super::lexer::{self, Token};
use super::{Expr, ExprKind, Operator, SyntaxError, SyntaxErrorKind};
use crate::regexp::Regexp;
use std::ops::Range;

/// Parses an expression.
///
/// Patterns are compiled here, so that evaluation only runs them.
pub fn parse(text: &str) -> Result<Expr, SyntaxError> {
    let tokens = lexer::tokens(text)?;
    if tokens.is_empty() {
        return Err(SyntaxError { span: 0..text.len(), kind: SyntaxErrorKind::Empty });
    }
    let mut parser = Parser { tokens: &tokens, at: 0, end: text.len() };
    let expr = parser.binary(LOOSEST)?;
    match parser.peek() {
        None => Ok(expr),
        Some((Token::Close, span)) => Err(error(span, SyntaxErrorKind::UnexpectedParenthesis)),
        Some((_, span)) => Err(error(span, SyntaxErrorKind::MissingOperator)),
    }
}

const LOOSEST: u8 = 1;

impl Operator {
    /// How tightly it binds, from [`LOOSEST`] up.
    fn precedence(self) -> u8 {
        match self {
            Self::Or => LOOSEST,
            Self::And => 2,
            Self::Equals | Self::NotEquals | Self::Matches | Self::NotMatches => 3,
        }
    }
}

fn error(span: Range<usize>, kind: SyntaxErrorKind) -> SyntaxError {
    SyntaxError { span, kind }
}

/// Recursion is bounded by the number of tokens that the lexer lets through.
struct Parser<'t> {
    tokens: &'t [(Token<'t>, Range<usize>)],
    at: usize,
    /// The length of the text.
    end: usize,
}

impl<'t> Parser<'t> {
    fn peek(&self) -> Option<(Token<'t>, Range<usize>)> {
        self.tokens.get(self.at).cloned()
    }

    /// Operators that bind at least as tightly as `least`, and their operands.
    fn binary(&mut self, least: u8) -> Result<Expr, SyntaxError> {
        let mut left = self.unary()?;
        while let Some((Token::Operator(operator), _)) = self.peek() {
            if operator.precedence() < least {
                break;
            }
            self.at += 1;
            let right = self.binary(operator.precedence() + 1)?;
            let span = left.span.start..right.span.end;
            left = Expr { kind: ExprKind::Binary(operator, Box::new(left), Box::new(right)), span };
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Expr, SyntaxError> {
        let Some((token, span)) = self.peek() else {
            return Err(error(self.end..self.end, SyntaxErrorKind::MissingOperand));
        };
        self.at += 1;
        let kind = match token {
            Token::Open => return self.parenthesised(span),
            Token::Not => {
                let operand = self.unary()?;
                let span = span.start..operand.span.end;
                return Ok(Expr { kind: ExprKind::Not(Box::new(operand)), span });
            }
            Token::Variable(name) => ExprKind::Variable(name.to_owned()),
            Token::Input(name) => ExprKind::Input(name.to_owned()),
            Token::String(text) => ExprKind::String(text.to_owned()),
            Token::Pattern(literal) => match Regexp::from_literal(&literal.replace("\\/", "/")) {
                Ok(regexp) => ExprKind::Pattern(regexp),
                Err(wrong) => return Err(error(span, wrong.into())),
            },
            Token::Null => ExprKind::Null,
            Token::Boolean(value) => ExprKind::Boolean(value),
            Token::Operator(_) | Token::Close => return Err(error(span, SyntaxErrorKind::MissingOperand)),
        };
        Ok(Expr { kind, span })
    }

    /// Behind `(`, which stands at `open`.
    fn parenthesised(&mut self, open: Range<usize>) -> Result<Expr, SyntaxError> {
        let inner = self.binary(LOOSEST)?;
        match self.peek() {
            Some((Token::Close, _)) => {
                self.at += 1;
                Ok(inner)
            }
            Some((_, span)) => Err(error(span, SyntaxErrorKind::MissingOperator)),
            None => Err(error(open, SyntaxErrorKind::UnclosedParenthesis)),
        }
    }
}
