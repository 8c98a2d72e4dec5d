//! Reads the grammar of RFC 7644 §3.4.2.2 as far as it is supported: `eq`, `and`, grouping, and value paths.

use super::lexer::{Placed, Token, tokens};
use super::{Fault, Filter, FilterValue};
use crate::limits;
use crate::schema::{ENTERPRISE, GROUP, USER};

/// An attribute as written: `urn:…:User:emails[type eq "work"].value`. Nothing is known yet of whether it exists.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Written {
    /// Where it begins, in characters from 1.
    pub(crate) at: usize,
    /// Canonical where the schema is known.
    pub(crate) urn: Option<String>,
    /// Absent where the path is a schema URN and nothing else.
    pub(crate) name: Option<String>,
    /// Its attributes are plain names of sub-attributes.
    pub(crate) filter: Option<Filter<String>>,
    pub(crate) sub: Option<String>,
}

pub(super) fn filter(text: &str) -> Result<Filter<Written>, Fault> {
    let mut parser = Parser::new(text)?;
    let filter = parser.conjunction()?;
    parser.end()?;
    Ok(filter)
}

/// A PATCH path (RFC 7644 §3.5.2).
pub(crate) fn path(text: &str) -> Result<Written, Fault> {
    let mut parser = Parser::new(text)?;
    let written = parser.attribute()?;
    parser.end()?;
    Ok(written)
}

struct Parser<'a> {
    tokens: std::iter::Peekable<std::vec::IntoIter<Placed<'a>>>,
    /// Where the text ends, in characters from 1.
    end: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Result<Self, Fault> {
        let tokens = tokens(text)?.into_iter().peekable();
        Ok(Self { tokens, end: text.chars().count() + 1, depth: 0 })
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

    fn end(&mut self) -> Result<(), Fault> {
        match self.tokens.peek() {
            None => Ok(()),
            Some(_) => self.fault("the end"),
        }
    }

    fn conjunction(&mut self) -> Result<Filter<Written>, Fault> {
        let mut all = vec![self.term()?];
        while let Some(Placed { token: Token::Word(word), .. }) = self.tokens.peek() {
            if !word.eq_ignore_ascii_case("and") {
                return self.fault("`and`: no other logical operator is supported");
            }
            self.tokens.next();
            all.push(self.term()?);
        }
        Ok(Filter::and(all))
    }

    /// A comparison, or a filter in parentheses.
    fn term(&mut self) -> Result<Filter<Written>, Fault> {
        if !self.take(&Token::Open) {
            return self.comparison();
        }
        let inner = self.nested(Self::conjunction)?;
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

    fn comparison(&mut self) -> Result<Filter<Written>, Fault> {
        let attribute = self.attribute()?;
        let at = self.at();
        match self.word() {
            Some(operator) if operator.eq_ignore_ascii_case("eq") => {}
            _ => return Err(Fault::new(at, "`eq`: no other comparison is supported")),
        }
        Ok(Filter::Eq { attribute, value: self.literal()? })
    }

    fn literal(&mut self) -> Result<FilterValue, Fault> {
        let at = self.at();
        match self.tokens.next().map(|placed| placed.token) {
            Some(Token::String(text)) => Ok(FilterValue::String(text)),
            // JSON literals, so in lower case only.
            Some(Token::Word("true")) => Ok(FilterValue::Boolean(true)),
            Some(Token::Word("false")) => Ok(FilterValue::Boolean(false)),
            _ => Err(Fault::new(at, "a string in double quotes, true or false")),
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
        let mut written = Written {
            at,
            urn,
            name: (!name.is_empty()).then(|| name.to_owned()),
            filter: None,
            sub: sub.map(str::to_owned),
        };
        if written.name.is_some() && written.sub.is_none() && self.take(&Token::OpenBracket) {
            written.filter = Some(self.nested(Self::conjunction)?.try_map(&mut plain_name)?);
            if !self.take(&Token::CloseBracket) {
                return self.fault("`]`");
            }
            let dotted = |placed: &Placed<'_>| matches!(placed.token, Token::Word(word) if word.starts_with('.'));
            if let Some(Placed { token: Token::Word(word), at }) = self.tokens.next_if(dotted) {
                let sub = word.strip_prefix('.').filter(|sub| is_name(sub));
                written.sub = Some(sub.ok_or_else(|| Fault::new(at, "a sub-attribute"))?.to_owned());
            }
        }
        Ok(written)
    }
}

/// Inside brackets only sub-attributes of the bracketed attribute can stand.
fn plain_name(written: Written) -> Result<String, Fault> {
    match written {
        Written { urn: None, name: Some(name), filter: None, sub: None, .. } => Ok(name),
        Written { at, .. } => Err(Fault::new(at, "a sub-attribute")),
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
