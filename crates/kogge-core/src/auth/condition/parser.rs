//! Reads conditions.

use kogge_types::limits;

use crate::auth::condition::ConditionError;
use crate::auth::condition::expression::{ATTRIBUTE, Expression, SOURCE};
use crate::auth::condition::lexer::{Lexer, Token, TokenKind};
use crate::auth::condition::operator::{Operator, Quantifier, Value};

const OPERAND: &str = "'(', '!', ActionMatches, SubOperationMatches, Exists or \
                       @Request[Microsoft.ContainerRegistry/registries/repositories:name]";
const NAME: &str = "@Request[Microsoft.ContainerRegistry/registries/repositories:name]";
/// Characters of the condition that an error quotes.
const FOUND_CHARS_MAX: usize = 60;
const OPERATOR: &str = "a comparison of strings, such as StringEquals, StringStartsWith or StringLike, alone or after \
                        ForAnyOfAnyValues:";

/// Reads the whole of `text`.
pub(crate) fn parse(text: &str) -> Result<Expression, ConditionError> {
    let mut lexer = Lexer::new(text);
    let next = lexer.next();
    let mut parser = Parser { text, lexer, next, depth: 0 };
    let root = parser.expression()?;
    match parser.next.kind {
        TokenKind::End => Ok(root),
        _ => Err(parser.unexpected("AND, OR or the end")),
    }
}

struct Parser<'a> {
    text: &'a str,
    lexer: Lexer<'a>,
    next: Token<'a>,
    /// Parentheses and negations that are open; it bounds the recursion.
    depth: usize,
}

impl<'a> Parser<'a> {
    fn take(&mut self) -> Token<'a> {
        std::mem::replace(&mut self.next, self.lexer.next())
    }

    fn expression(&mut self) -> Result<Expression, ConditionError> {
        let first = self.operand()?;
        let joint = self.next.kind;
        if !matches!(joint, TokenKind::And | TokenKind::Or) {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.next.kind == joint {
            self.take();
            parts.push(self.operand()?);
        }
        match (self.next.kind, joint) {
            (TokenKind::Or, _) => Err(self.unexpected("AND, or parentheses around what AND joins")),
            (TokenKind::And, _) => Err(self.unexpected("OR, or parentheses around what OR joins")),
            (_, TokenKind::And) => Ok(Expression::And(parts)),
            _ => Ok(Expression::Or(parts)),
        }
    }

    fn operand(&mut self) -> Result<Expression, ConditionError> {
        match self.next.kind {
            TokenKind::Not => self.nested(|parser| {
                parser.take();
                // What is negated stands no deeper for its parentheses: they are always written.
                let inner = match parser.next.kind {
                    TokenKind::Open => parser.group()?,
                    _ => parser.operand()?,
                };
                Ok(Expression::Not(Box::new(inner)))
            }),
            TokenKind::Open => self.nested(Self::group),
            TokenKind::Attribute { .. } => {
                self.attribute()?;
                self.comparison()
            }
            TokenKind::Word(word) if word.eq_ignore_ascii_case("ActionMatches") => {
                self.take();
                self.action_matches()
            }
            TokenKind::Word(word) if word.eq_ignore_ascii_case("SubOperationMatches") => {
                self.take();
                self.expect(TokenKind::OpenList, "'{'")?;
                let text = self.literal()?;
                self.expect(TokenKind::CloseList, "'}'")?;
                Ok(Expression::SubOperationMatches(text.to_owned()))
            }
            TokenKind::Word(word) if word.eq_ignore_ascii_case("Exists") => {
                self.take();
                self.attribute()?;
                Ok(Expression::Exists)
            }
            _ => Err(self.unexpected(OPERAND)),
        }
    }

    fn nested(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<Expression, ConditionError>,
    ) -> Result<Expression, ConditionError> {
        if self.depth == limits::CONDITION_DEPTH_MAX {
            return Err(ConditionError::Depth { at: self.place(self.next.at) });
        }
        self.depth += 1;
        let expression = read(self)?;
        self.depth -= 1;
        Ok(expression)
    }

    fn group(&mut self) -> Result<Expression, ConditionError> {
        self.take();
        let inner = self.expression()?;
        self.expect(TokenKind::Close, "AND, OR or ')'")?;
        Ok(inner)
    }

    fn attribute(&mut self) -> Result<(), ConditionError> {
        match self.next.kind {
            TokenKind::Attribute { source, name }
                if source.eq_ignore_ascii_case(SOURCE) && name.eq_ignore_ascii_case(ATTRIBUTE) =>
            {
                self.take();
                Ok(())
            }
            _ => Err(self.unexpected(NAME)),
        }
    }

    fn action_matches(&mut self) -> Result<Expression, ConditionError> {
        self.expect(TokenKind::OpenList, "'{'")?;
        let place = self.next;
        let text = self.literal()?;
        let pattern = text.parse().map_err(|_| {
            self.unexpected_at(place, "an action, such as 'Microsoft.ContainerRegistry/registries/repositories/*'")
        })?;
        self.expect(TokenKind::CloseList, "'}'")?;
        Ok(Expression::ActionMatches(pattern))
    }

    fn comparison(&mut self) -> Result<Expression, ConditionError> {
        let TokenKind::Word(word) = self.next.kind else { return Err(self.unexpected(OPERATOR)) };
        let (quantifier, name) = match word.split_once(':') {
            Some((quantifier, name)) => {
                let known = Quantifier::named(quantifier).ok_or_else(|| self.unexpected(OPERATOR))?;
                (Some(known), name)
            }
            None => (None, word),
        };
        let operator = Operator::named(name).ok_or_else(|| self.unexpected(OPERATOR))?;
        self.take();
        let mut values = Vec::new();
        match (quantifier, self.next.kind) {
            (None, TokenKind::Text(_)) => values.push(Value::new(self.literal()?, operator)),
            (None, TokenKind::OpenList) => {
                self.take();
                values.push(Value::new(self.literal()?, operator));
                self.expect(TokenKind::CloseList, "'}': a list needs a prefix such as ForAnyOfAnyValues:")?;
            }
            (None, _) => return Err(self.unexpected("a text in single quotes")),
            (Some(_), _) => {
                self.expect(TokenKind::OpenList, "'{'")?;
                values.push(Value::new(self.literal()?, operator));
                while self.next.kind == TokenKind::Comma {
                    self.take();
                    values.push(Value::new(self.literal()?, operator));
                }
                self.expect(TokenKind::CloseList, "',' or '}'")?;
            }
        }
        Ok(Expression::Compare { quantifier, operator, values })
    }

    fn literal(&mut self) -> Result<&'a str, ConditionError> {
        let TokenKind::Text(text) = self.next.kind else { return Err(self.unexpected("a text in single quotes")) };
        self.take();
        Ok(text)
    }

    fn expect(&mut self, kind: TokenKind<'static>, expected: &'static str) -> Result<(), ConditionError> {
        if self.next.kind != kind {
            return Err(self.unexpected(expected));
        }
        self.take();
        Ok(())
    }

    fn unexpected(&self, expected: &'static str) -> ConditionError {
        self.unexpected_at(self.next, expected)
    }

    fn unexpected_at(&self, token: Token<'_>, expected: &'static str) -> ConditionError {
        let word = match token.kind {
            TokenKind::End => "the end",
            _ => &self.text[token.at..token.end],
        };
        let found = match word.char_indices().nth(FOUND_CHARS_MAX) {
            Some((end, _)) => format!("{}…", &word[..end]),
            None => word.to_owned(),
        };
        ConditionError::Syntax { at: self.place(token.at), expected, found }
    }

    fn place(&self, at: usize) -> usize {
        self.text[..at].chars().count() + 1
    }
}
