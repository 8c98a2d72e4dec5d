//! Reads a YAML text into a tree, with duplicate keys and broken syntax as problems.

use std::collections::HashMap;

use serde_json::Number;
use serde_saphyr::granit_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, StrInput};

use super::problem::{Place, Report};
use super::quote::{Extent, Text, hides_a_secret, holds_secrets};
use super::secrets::is_reference;
use super::tree::{Entry, Node, Origin, Value};

/// Aliases repeat what they name; a small text must not become an endless tree.
const MOST_NODES: usize = 100_000;

/// A parsed text: the tree, and where its scalars and secrets are. A text that is no YAML is reported and gives no tree.
pub(super) fn parse<'a>(source: &'a str, report: &mut Report<'_>) -> (Option<Node>, Text<'a>) {
    let mut text = Text { source, scalars: Some(Vec::new()), secrets: Vec::new() };
    let mut builder = Builder {
        events: Parser::new_from_str(source),
        anchors: HashMap::new(),
        nodes: 0,
        report,
        scalars: Vec::new(),
        secrets: Vec::new(),
    };
    match builder.document() {
        Ok(root) => {
            (text.scalars, text.secrets) = (Some(builder.scalars), builder.secrets);
            (Some(root), text)
        }
        Err(Stop { place, what }) => {
            // What was found before the syntax error is not certain; the error is.
            report.problems.clear();
            let mut problem = report.problem(place, "this is not YAML");
            problem.causes.push(what);
            report.push(problem);
            text.scalars = None;
            (None, text)
        }
    }
}

/// Why a text cannot be read any further.
struct Stop {
    place: Place,
    what: String,
}

impl From<ScanError> for Stop {
    fn from(error: ScanError) -> Self {
        let (line, column) = (error.marker().line().max(1), error.marker().col() + 1);
        Self { place: Place::Text { line, column, length: 1 }, what: error.kind().to_string() }
    }
}

struct Builder<'a, 'r, 'f> {
    events: Parser<'a, StrInput<'a>>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    report: &'r mut Report<'f>,
    scalars: Vec<Extent>,
    secrets: Vec<Extent>,
}

/// The context that a value is read in.
#[derive(Clone)]
struct Owner {
    /// Whether any key above holds secrets.
    secret: bool,
    /// Where a list or mapping is said to stand.
    origin: Option<Origin>,
}

impl<'a> Builder<'a, '_, '_> {
    fn next(&mut self) -> Result<Option<(Event<'a>, Extent)>, Stop> {
        let Some(event) = self.events.next() else { return Ok(None) };
        let (event, span) = event?;
        Ok(Some((event, extent(&span))))
    }

    /// The one document of the text; an empty text is an empty mapping.
    fn document(&mut self) -> Result<Node, Stop> {
        let start = Origin::Text(Extent { from: (1, 1), to: (1, 2) });
        let mut root = None;
        while let Some((event, extent)) = self.next()? {
            match event {
                Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
                Event::DocumentStart(..) if root.is_none() => {}
                Event::DocumentStart(..) => {
                    let place = Origin::Text(extent).place();
                    return Err(Stop { place, what: "a second document begins here, but a file is one".to_owned() });
                }
                event => {
                    let owner = Owner { secret: false, origin: Some(start.clone()) };
                    root = Some(self.node(event, extent, &owner)?);
                }
            }
        }
        let empty = || Node { value: Value::Map(Vec::new()), origin: start };
        Ok(root.filter(|node| node.value != Value::Null).unwrap_or_else(empty))
    }

    fn node(&mut self, event: Event<'a>, extent: Extent, owner: &Owner) -> Result<Node, Stop> {
        self.nodes += 1;
        let here = || owner.origin.clone().unwrap_or(Origin::Text(extent));
        let too_many = Stop { place: Origin::Text(extent).place(), what: "too many values".to_owned() };
        if self.nodes > MOST_NODES {
            return Err(too_many);
        }
        let (anchor, node) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.scalars.push(extent);
                if owner.secret && !is_reference(&text) && !text.is_empty() {
                    self.secrets.push(extent);
                }
                let plain = style == ScalarStyle::Plain && tag.is_none();
                let value = if plain { resolve(&text) } else { Value::Text(text.into_owned()) };
                (anchor, Node { value, origin: Origin::Text(extent) })
            }
            Event::SequenceStart(_, anchor, _) => {
                let mut items = Vec::new();
                while let Some((event, extent)) = self.next()? {
                    if matches!(event, Event::SequenceEnd) {
                        break;
                    }
                    items.push(self.node(event, extent, &Owner { origin: None, ..owner.clone() })?);
                }
                (anchor, Node { value: Value::List(items), origin: here() })
            }
            Event::MappingStart(_, anchor, _) => {
                let entries = self.entries(owner.secret)?;
                (anchor, Node { value: Value::Map(entries), origin: here() })
            }
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).cloned();
                let mut node = node.ok_or(Stop { what: "an alias within what it names".to_owned(), ..too_many })?;
                self.nodes += size(&node);
                if let Origin::Text(named) = node.origin
                    && owner.secret
                {
                    self.secrets.push(named);
                }
                node.origin = Origin::Text(extent);
                (0, node)
            }
            // Nothing else stands where a value does.
            _ => return Err(Stop { what: "a value is missing".to_owned(), ..too_many }),
        };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn entries(&mut self, secret: bool) -> Result<Vec<Entry>, Stop> {
        let mut entries: Vec<Entry> = Vec::new();
        while let Some((event, extent)) = self.next()? {
            let key = match event {
                Event::MappingEnd => break,
                Event::Scalar(text, ..) => text.into_owned(),
                _ => return Err(Stop { place: Origin::Text(extent).place(), what: "a key is one word".to_owned() }),
            };
            self.scalars.push(extent);
            if secret || hides_a_secret(&key) {
                // Somebody wrote a mapping where a secret belongs, or a key that has swallowed its value.
                self.secrets.push(extent);
            }
            let Some((event, value_extent)) = self.next()? else { break };
            let key_origin = Origin::Text(extent);
            let owner = Owner { secret: secret || holds_secrets(&key), origin: Some(key_origin.clone()) };
            let node = self.node(event, value_extent, &owner)?;
            match entries.iter().find(|entry| entry.key == key) {
                Some(Entry { key_origin: Origin::Text(first), .. }) => {
                    let problem = self.report.problem(key_origin.place(), format!("duplicate key `{key}`"));
                    let help = format!("keep one of the two; the other is in line {}", first.from.0);
                    self.report.push(problem.help(help));
                }
                _ => entries.push(Entry { key, key_origin, node }),
            }
        }
        Ok(entries)
    }
}

fn size(node: &Node) -> usize {
    1 + node.items().iter().map(size).sum::<usize>() + node.entries().iter().map(|e| size(&e.node)).sum::<usize>()
}

fn extent(span: &Span) -> Extent {
    let at = |marker: &Marker| (marker.line().max(1), marker.col() + 1);
    Extent { from: at(&span.start), to: at(&span.end) }
}

/// What a plain scalar means (YAML 1.2.2 §10.3.2, core schema).
fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let radix = |prefix, base| text.strip_prefix(prefix).and_then(|digits| u64::from_str_radix(digits, base).ok());
    let number = radix("0x", 16)
        .or_else(|| radix("0o", 8))
        .map(Number::from)
        .or_else(|| text.parse::<u64>().ok().map(Number::from))
        .or_else(|| text.parse::<i64>().ok().map(Number::from))
        .or_else(|| {
            text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c))
                .then(|| text.parse::<f64>().ok())?
                .and_then(Number::from_f64)
        });
    number.map_or_else(|| Value::Text(text.to_owned()), Value::Number)
}
