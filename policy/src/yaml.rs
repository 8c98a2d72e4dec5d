//! YAML as a tree in which every node knows where it is written.
//!
//! Deserializing into structs would stop at the first problem; a tree can be read to its end and every problem reported.

use std::ops::Range;

use serde_json::{Map, Number, Value};
use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, ScanError, Span};

use crate::place::{Place, locate};
use crate::problem::Problem;

#[derive(Debug)]
pub(crate) enum Content {
    Scalar { text: String, style: ScalarStyle },
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

#[derive(Debug)]
pub(crate) struct Node {
    pub content: Content,
    pub place: Place,
    /// Where the node is written, in bytes; the opening only of a list or a map.
    raw: Range<usize>,
}

impl Node {
    /// The text of a scalar, whatever type YAML would give it.
    pub fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar { text, .. } if !self.is_null() => Some(text),
            _ => None,
        }
    }

    pub fn is_null(&self) -> bool {
        matches!(&self.content, Content::Scalar { text, style: ScalarStyle::Plain } if matches!(text.as_str(), "" | "~" | "null"))
    }

    /// The place of these characters of a scalar's text.
    pub fn within(&self, source: &str, characters: Range<usize>) -> Place {
        let Content::Scalar { text, style } = &self.content else { return self.place };
        let raw = &source[self.raw.clone()];
        let start = locate(raw, *style, text, characters.start);
        // From the last character meant, since a range may end where the text does.
        let last = locate(raw, *style, text, characters.end.saturating_sub(1).max(characters.start));
        let end = last + raw[last..].chars().next().map_or(0, char::len_utf8);
        Place::of(source, self.raw.start + start..self.raw.start + end)
    }

    /// The same value as JSON, by the core schema of YAML 1.2 (10.3): only plain scalars have a type other than text.
    pub fn to_json(&self) -> Value {
        match &self.content {
            Content::List(items) => items.iter().map(Node::to_json).collect(),
            Content::Map(entries) => Value::Object(
                entries
                    .iter()
                    .map(|(key, value)| (key.text().unwrap_or_default().to_owned(), value.to_json()))
                    .collect::<Map<_, _>>(),
            ),
            Content::Scalar { text, style: ScalarStyle::Plain } => plain(text),
            Content::Scalar { text, .. } => Value::from(text.as_str()),
        }
    }
}

fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" => Value::Null,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        // The numbers that JSON has too; what only YAML calls a number (0x1F, .inf) stays text.
        _ => text.parse::<Number>().map_or_else(|_| Value::from(text), Value::Number),
    }
}

/// Reads one document; `None` where there is none.
pub(crate) fn parse(source: &str) -> Result<Option<Node>, Box<Problem>> {
    let mut events = Events { source, parser: Parser::new_from_str(source) };
    let mut root = None;
    while let Some((event, span)) = events.next()? {
        match event {
            Event::DocumentStart(..) if root.is_some() => {
                return Err(Box::new(Problem::new(events.place(&span), "a second document in one file")));
            }
            Event::Scalar(..) | Event::SequenceStart(..) | Event::MappingStart(..) | Event::Alias(_) => {
                root = Some(events.node(event, span)?);
            }
            _ => {}
        }
    }
    Ok(root)
}

struct Events<'s> {
    source: &'s str,
    parser: Parser<'s, serde_saphyr::granit_parser::StrInput<'s>>,
}

impl<'s> Events<'s> {
    fn next(&mut self) -> Result<Option<(Event<'s>, Span)>, Box<Problem>> {
        self.parser.next().transpose().map_err(|error| self.unreadable(&error))
    }

    fn place(&self, span: &Span) -> Place {
        Place::of(self.source, span.byte_range().unwrap_or_default())
    }

    fn unreadable(&self, error: &ScanError) -> Box<Problem> {
        let at = error.marker().byte_offset().unwrap_or(self.source.len());
        Box::new(Problem::new(Place::of(self.source, at..at), format!("this is not YAML: {}", error.info())))
    }

    fn refuse<T>(&self, span: &Span, message: &str) -> Result<T, Box<Problem>> {
        Err(Box::new(Problem::new(self.place(span), message)))
    }

    /// The node that `event` opens. The parser bounds how deep nodes nest.
    fn node(&mut self, event: Event<'s>, span: Span) -> Result<Node, Box<Problem>> {
        let content = match event {
            Event::Alias(_) => return self.refuse(&span, "aliases are not read here: write the value out"),
            Event::Scalar(.., Some(_)) | Event::SequenceStart(.., Some(_)) | Event::MappingStart(.., Some(_)) => {
                return self.refuse(&span, "tags are not read here: write the value without one");
            }
            Event::Scalar(text, style, ..) => {
                // An absent value is read as `~` with nothing written.
                let absent = span.byte_range().is_some_and(|bytes| bytes.is_empty()) && style == ScalarStyle::Plain;
                Content::Scalar { text: if absent { String::new() } else { text.into_owned() }, style }
            }
            Event::SequenceStart(..) => {
                let mut items = Vec::new();
                while let Some(item) = self.child()? {
                    items.push(item);
                }
                Content::List(items)
            }
            _ => {
                let mut entries = Vec::new();
                while let Some(key) = self.child()? {
                    let Some(value) = self.child()? else { break };
                    entries.push((key, value));
                }
                Content::Map(entries)
            }
        };
        Ok(Node { content, place: self.place(&span), raw: span.byte_range().unwrap_or_default() })
    }

    /// The next node inside a list or a map, `None` at its end.
    fn child(&mut self) -> Result<Option<Node>, Box<Problem>> {
        while let Some((event, span)) = self.next()? {
            match event {
                Event::SequenceEnd | Event::MappingEnd => return Ok(None),
                Event::Scalar(..) | Event::SequenceStart(..) | Event::MappingStart(..) | Event::Alias(_) => {
                    return self.node(event, span).map(Some);
                }
                _ => {}
            }
        }
        Ok(None)
    }
}
