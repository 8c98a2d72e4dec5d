//! Cuts a filter or a PATCH path into words, strings and brackets.

use super::Fault;
use crate::limits;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token<'a> {
    /// An attribute, an operator or a bare literal: only the place tells which.
    Word(&'a str),
    /// With its escapes undone.
    String(String),
    Open,
    Close,
    OpenBracket,
    CloseBracket,
}

/// A token and where it begins, in characters from 1.
#[derive(Debug, Clone)]
pub(super) struct Placed<'a> {
    pub(super) token: Token<'a>,
    pub(super) at: usize,
}

pub(super) fn tokens(text: &str) -> Result<Vec<Placed<'_>>, Fault> {
    if text.len() > limits::FILTER_LENGTH {
        return Err(Fault::new(limits::FILTER_LENGTH, format!("at most {} bytes", limits::FILTER_LENGTH)));
    }
    let mut tokens = Vec::new();
    let mut rest = text;
    let mut at = 1;
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            c if c.is_whitespace() => (None, c.len_utf8()),
            '(' => (Some(Token::Open), 1),
            ')' => (Some(Token::Close), 1),
            '[' => (Some(Token::OpenBracket), 1),
            ']' => (Some(Token::CloseBracket), 1),
            '"' => {
                let length = string_length(rest).ok_or_else(|| Fault::new(at, "a closing quote"))?;
                let inner = serde_json::from_str(&rest[..length])
                    .map_err(|_| Fault::new(at, "a string with valid JSON escapes"))?;
                (Some(Token::String(inner)), length)
            }
            _ => {
                let ends = |c: char| c.is_whitespace() || matches!(c, '(' | ')' | '[' | ']' | '"');
                let length = rest.find(ends).unwrap_or(rest.len());
                (Some(Token::Word(&rest[..length])), length)
            }
        };
        tokens.extend(token.map(|token| Placed { token, at }));
        at += rest[..length].chars().count();
        rest = &rest[length..];
    }
    Ok(tokens)
}

/// Length of the quoted string at the beginning of `text`, in bytes, both quotes included.
fn string_length(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}
