//! The names that expressions may use: variables, their fields, the words that fields can hold, functions.

use lifecycle::account::{IdentityKind, Profile};
use lifecycle::{EventType, State};

/// What is known of a value before anything is evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Identity,
    Event,
    Group,
    Account,
    /// Text, a number or a boolean, or null.
    Plain,
    /// Text that is always one of a few words.
    Word(Words),
    /// A list of such words.
    WordList(Words),
    /// Whatever a source or an operator put there.
    Free,
    /// Computed inside the expression.
    Computed,
}

/// The closed lists of words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Words {
    EventTypes,
    States,
    IdentityKinds,
    ChangedFields,
}

impl Words {
    /// What one of them is called in a message.
    pub fn noun(self) -> &'static str {
        match self {
            Words::EventTypes => "event type",
            Words::States => "state",
            Words::IdentityKinds => "kind",
            Words::ChangedFields => "changed field",
        }
    }

    pub fn all(self) -> Vec<&'static str> {
        match self {
            Words::EventTypes => EventType::ALL.iter().map(|event| event.as_str()).collect(),
            Words::States => {
                use State::{Active, Departed, Erased, Merged, Staged, Suspended};
                [Staged, Active, Suspended, Departed, Merged, Erased].map(State::as_str).to_vec()
            }
            Words::IdentityKinds => {
                use IdentityKind::{Agent, Human, Service, Workload};
                [Human, Service, Workload, Agent].map(IdentityKind::as_str).to_vec()
            }
            Words::ChangedFields => Profile::default().fields().map(|(name, _)| name).to_vec(),
        }
    }
}

/// Which variables there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// `when` of a rule.
    Rule,
    /// The subject of a downstream.
    Subject,
    /// A name under which subscribers are told of somebody.
    Publish,
}

const VARIABLES: [(&str, Kind); 4] =
    [("event", Kind::Event), ("identity", Kind::Identity), ("group", Kind::Group), ("credential", Kind::Free)];

impl Scope {
    pub fn variables(self) -> Vec<&'static str> {
        let all = VARIABLES.iter().map(|(name, _)| *name);
        all.filter(|name| self == Scope::Rule || *name == "identity").collect()
    }

    pub fn variable(self, name: &str) -> Option<Kind> {
        self.variables()
            .contains(&name)
            .then(|| VARIABLES.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind))?
    }

    /// Functions called as `f(x)`.
    pub fn functions(self) -> Vec<&'static str> {
        let keyed = (self == Scope::Publish).then_some(HMAC);
        FUNCTIONS.iter().copied().chain(keyed).collect()
    }
}

const IDENTITY: &[(&str, Kind)] = &[
    ("id", Kind::Plain),
    ("userName", Kind::Plain),
    ("email", Kind::Plain),
    ("employeeNumber", Kind::Plain),
    ("department", Kind::Plain),
    ("manager", Kind::Plain),
    ("displayName", Kind::Plain),
    ("state", Kind::Word(Words::States)),
    ("kind", Kind::Word(Words::IdentityKinds)),
    ("generation", Kind::Plain),
];
const EVENT: &[(&str, Kind)] =
    &[("type", Kind::Word(Words::EventTypes)), ("changed", Kind::WordList(Words::ChangedFields)), ("data", Kind::Free)];
const GROUP: &[(&str, Kind)] = &[("id", Kind::Plain), ("name", Kind::Plain), ("privileged", Kind::Plain)];
const ACCOUNT: &[(&str, Kind)] = &[
    ("id", Kind::Plain),
    ("userName", Kind::Plain),
    ("externalId", Kind::Plain),
    ("email", Kind::Plain),
    ("attributes", Kind::Free),
];

impl Kind {
    /// The fields of a record that always has the same ones; `None` of anything else.
    pub fn fields(self) -> Option<&'static [(&'static str, Kind)]> {
        match self {
            Kind::Identity => Some(IDENTITY),
            Kind::Event => Some(EVENT),
            Kind::Group => Some(GROUP),
            Kind::Account => Some(ACCOUNT),
            _ => None,
        }
    }
}

/// The function that hides a value behind a key.
pub(crate) const HMAC: &str = "hmac";

/// Functions called as `f(x)`. The interpreter's own, without those that read its types as values.
pub(crate) const FUNCTIONS: &[&str] = &[
    "account",
    "bool",
    "bytes",
    "double",
    "duration",
    "dyn",
    "int",
    "matches",
    "size",
    "string",
    "timestamp",
    "type",
    "uint",
];

/// Functions called as `x.f()`: the standard ones, and those of the strings extension, which subjects are made with.
pub(crate) const METHODS: &[&str] = &[
    "charAt",
    "contains",
    "endsWith",
    "format",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getFullYear",
    "getHours",
    "getMilliseconds",
    "getMinutes",
    "getMonth",
    "getSeconds",
    "indexOf",
    "join",
    "lastIndexOf",
    "lowerAscii",
    "matches",
    "replace",
    "reverse",
    "size",
    "split",
    "startsWith",
    "substring",
    "trim",
    "upperAscii",
];

/// Macros: expanded while parsing, so that one left as a call was called wrongly.
pub(crate) const MACROS: &[&str] = &["all", "exists", "exists_one", "filter", "has", "map"];

/// Names of types, which `type(x)` is compared with.
pub(crate) const TYPES: &[&str] =
    &["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint"];
