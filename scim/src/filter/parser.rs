//! Reads the grammar of RFC 7644 §3.4.2.2 and of PATCH paths (§3.5.2). What comes out has its places in the text and no meaning
//! yet.

use serde_json::Number;

use super::lexer::{Placed, Token, tokens};
use super::{Comparison, Fault, Literal};
use crate::limits;
use crate::schema::{ENTERPRISE, GROUP, USER};

/// An attribute as written: `urn:…:User:name.givenName`. Nothing is known yet of whether it exists.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Written {
    /// Where it begins, in characters from 1.
    pub(crate) at: usize,
    /// Canonical where the schema is known.
    pub(crate) urn: Option<String>,
    /// Absent where a schema URN stands alone.
    pub(crate) name: Option<String>,
    pub(crate) sub: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expression {
    Test {
        attribute: Written,
        test: Test,
    },
    /// `emails[type eq "work"]`, or with a sub-attribute and a test of it behind the brackets. The latter is in no grammar, but
    /// Entra filters by it; it is one more condition on the same value.
    Values {
        attribute: Written,
        inner: Box<Expression>,
        behind: Option<(Written, Test)>,
    },
    And(Vec<Expression>),
    Or(Vec<Expression>),
    Not(Box<Expression>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Test {
    Present,
    Compare {
        op: Comparison,
        op_at: usize,
        /// `None` is null.
        value: Option<Literal>,
        value_at: usize,
    },
}

pub(super) fn filter(text: &str) -> Result<Expression, Fault> {
    let mut parser = Parser::new(text)?;
    let filter = parser.disjunction()?;
    parser.end()?;
    Ok(filter)
}

/// An attribute and nothing else.
pub(super) fn attribute(text: &str) -> Result<Written, Fault> {
    let mut parser = Parser::new(text)?;
    let written = parser.attribute()?;
    parser.end()?;
    Ok(written)
}

/// A PATCH path: an attribute with the filter in its brackets.
pub(super) fn path(text: &str) -> Result<(Written, Option<Expression>), Fault> {
    let mut parser = Parser::new(text)?;
    let mut written = parser.attribute()?;
    let filter = parser.brackets(&written).map_err(Fault::within_brackets)?;
    if filter.is_some() {
        written.sub = parser.dotted()?.map(|(sub, _)| sub);
    }
    parser.end()?;
    Ok((written, filter))
}

struct Parser<'a> {
    tokens: std::iter::Peekable<std::vec::IntoIter<Placed<'a>>>,
    /// Where the text ends, in characters from 1.
    end: usize,
    depth: usize,
    comparisons: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Result<Self, Fault> {
        let tokens = tokens(text)?.into_iter().peekable();
        Ok(Self { tokens, end: text.chars().count() + 1, depth: 0, comparisons: 0 })
    }

    fn at(&mut self) -> usize {
        self.tokens.peek().map_or(self.end, |placed| placed.at)
    }

    fn fault<T>(&mut self, expected: impl Into<String>) -> Result<T, Fault> {
        Err(Fault::new(self.at(), expected))
    }

    fn take(&mut self, token: &Token<'_>) -> bool {
        self.tokens.next_if(|placed| placed.token == *token).is_some()
    }

    fn word(&mut self) -> Option<&'a str> {
        match self.tokens.peek()?.token {
            Token::Word(word) => {
                self.tokens.next();
                Some(word)
            }
            _ => None,
        }
    }

    /// Takes the word if it is this one, in any case.
    fn keyword(&mut self, keyword: &str) -> bool {
        let is = |placed: &Placed<'_>| matches!(placed.token, Token::Word(word) if word.eq_ignore_ascii_case(keyword));
        self.tokens.next_if(is).is_some()
    }

    fn end(&mut self) -> Result<(), Fault> {
        match self.tokens.peek() {
            None => Ok(()),
            Some(_) => self.fault("the end"),
        }
    }

    /// `or` binds least, then `and`, then `not`.
    fn disjunction(&mut self) -> Result<Expression, Fault> {
        let mut any = vec![self.conjunction()?];
        while self.keyword("or") {
            any.push(self.conjunction()?);
        }
        if let Some(Placed { token: Token::Word(_), .. }) = self.tokens.peek() {
            return self.fault("`and` or `or`");
        }
        Ok(if any.len() == 1 { any.remove(0) } else { Expression::Or(any) })
    }

    fn conjunction(&mut self) -> Result<Expression, Fault> {
        let mut all = vec![self.term()?];
        while self.keyword("and") {
            all.push(self.term()?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Expression::And(all) })
    }

    /// A comparison, a filter in parentheses, or the negation of one.
    fn term(&mut self) -> Result<Expression, Fault> {
        if self.take(&Token::Open) {
            return self.group();
        }
        // `not` may also be the name of an attribute, although none is known.
        if matches!(self.tokens.peek(), Some(Placed { token: Token::Word(word), .. }) if word.eq_ignore_ascii_case("not"))
        {
            let at = self.at();
            self.tokens.next();
            return match self.take(&Token::Open) {
                true => Ok(Expression::Not(Box::new(self.group()?))),
                false => Err(Fault::new(at, "parentheses after `not`")),
            };
        }
        self.comparison()
    }

    /// What stands behind an opening parenthesis.
    fn group(&mut self) -> Result<Expression, Fault> {
        let inner = self.nested(Self::disjunction)?;
        if self.take(&Token::Close) { Ok(inner) } else { self.fault("`)`") }
    }

    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        if self.depth == limits::FILTER_DEPTH {
            return self.fault(format!("at most {} levels of brackets", limits::FILTER_DEPTH));
        }
        self.depth += 1;
        let inner = read(self)?;
        self.depth -= 1;
        Ok(inner)
    }

    fn comparison(&mut self) -> Result<Expression, Fault> {
        let attribute = self.attribute()?;
        let Some(inner) = self.brackets(&attribute)? else {
            return Ok(Expression::Test { attribute, test: self.test()? });
        };
        let behind = match self.dotted()? {
            None => None,
            Some((sub, at)) => Some((Written { at, urn: None, name: Some(sub), sub: None }, self.test()?)),
        };
        Ok(Expression::Values { attribute, inner: Box::new(inner), behind })
    }

    fn test(&mut self) -> Result<Test, Fault> {
        self.comparisons += 1;
        if self.comparisons > limits::FILTER_COMPARISONS {
            return self.fault(format!("at most {} comparisons; send several requests", limits::FILTER_COMPARISONS));
        }
        let op_at = self.at();
        let word = self.word().unwrap_or_default();
        if word.eq_ignore_ascii_case("pr") {
            return Ok(Test::Present);
        }
        let Some(op) = Comparison::named(word) else {
            return Err(Fault::new(op_at, "one of eq, ne, co, sw, ew, gt, ge, lt, le and pr"));
        };
        let value_at = self.at();
        Ok(Test::Compare { op, op_at, value: self.literal()?, value_at })
    }

    /// A JSON string, number, truth value or null. Words are taken in any case, as some providers write `True`.
    fn literal(&mut self) -> Result<Option<Literal>, Fault> {
        let at = self.at();
        let token = self.tokens.next().map(|placed| placed.token);
        match token {
            Some(Token::String(text)) => Ok(Some(Literal::String(text))),
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("true") => Ok(Some(Literal::Boolean(true))),
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("false") => Ok(Some(Literal::Boolean(false))),
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("null") => Ok(None),
            Some(Token::Word(word)) => match serde_json::from_str::<Number>(word) {
                Ok(number) => Ok(Some(Literal::Number(number))),
                Err(_) => Err(Fault::new(at, "a string in double quotes, a number, true, false or null")),
            },
            _ => Err(Fault::new(at, "a string in double quotes, a number, true, false or null")),
        }
    }

    fn attribute(&mut self) -> Result<Written, Fault> {
        let at = self.at();
        let Some(word) = self.word() else { return self.fault("an attribute") };
        let (urn, rest) = split_urn(word);
        let (name, sub) = match rest.split_once('.') {
            Some((name, sub)) => (name, Some(sub)),
            None => (rest, None),
        };
        let schema_alone = urn.is_some() && rest.is_empty();
        if !(schema_alone || is_name(name)) || !sub.is_none_or(is_name) {
            return Err(Fault::new(at, "an attribute"));
        }
        Ok(Written { at, urn, name: (!name.is_empty()).then(|| name.to_owned()), sub: sub.map(str::to_owned) })
    }

    /// The filter in brackets behind `attribute`, if there are any.
    fn brackets(&mut self, attribute: &Written) -> Result<Option<Expression>, Fault> {
        if attribute.name.is_none() || attribute.sub.is_some() || !self.take(&Token::OpenBracket) {
            return Ok(None);
        }
        let inner = self.nested(Self::disjunction)?;
        if self.take(&Token::CloseBracket) { Ok(Some(inner)) } else { self.fault("`]`") }
    }

    /// `.sub` behind brackets, and where it stands.
    fn dotted(&mut self) -> Result<Option<(String, usize)>, Fault> {
        let dotted = |placed: &Placed<'_>| matches!(placed.token, Token::Word(word) if word.starts_with('.'));
        match self.tokens.next_if(dotted) {
            Some(Placed { token: Token::Word(word), at }) => {
                let sub = word.strip_prefix('.').filter(|sub| is_name(sub));
                Ok(Some((sub.ok_or_else(|| Fault::new(at, "a sub-attribute"))?.to_owned(), at)))
            }
            _ => Ok(None),
        }
    }
}

/// ATTRNAME of RFC 7644 §3.4.2.2, and `$ref`.
fn is_name(text: &str) -> bool {
    let name = text.strip_prefix('$').unwrap_or(text);
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
}

/// Splits a schema URN off. Known URNs go first, as the dot of `2.0` is no separator, and some providers write a dot
/// where RFC 7644 has a colon; an unknown URN ends at the last colon.
fn split_urn(word: &str) -> (Option<String>, &str) {
    for known in [USER, GROUP, ENTERPRISE] {
        if word.get(..known.len()).is_some_and(|start| start.eq_ignore_ascii_case(known)) {
            let rest = &word[known.len()..];
            match rest.strip_prefix([':', '.']) {
                Some(name) if !name.is_empty() => return (Some(known.to_owned()), name),
                None if rest.is_empty() => return (Some(known.to_owned()), ""),
                _ => {}
            }
        }
    }
    if word.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("urn:"))
        && let Some((urn, rest)) = word.rsplit_once(':')
        && !rest.is_empty()
    {
        return (Some(urn.to_owned()), rest);
    }
    (None, word)
}
