//! Tries an expression on made-up facts when it loads, so that one without a result is found before somebody leaves.

use std::collections::{BTreeMap, BTreeSet};

use lifecycle::account::{IdentityKind, Profile};
use lifecycle::{AccountView, EventType, GroupView, IdentityView, State};
use serde_json::json;
use uuid::Uuid;

use crate::error::EvaluationError;
use crate::expression::Expression;
use crate::facts::{Facts, Happening};

/// What the made-up facts told.
pub(crate) enum Trial {
    Sound,
    /// It cannot be decided for an event that the rule listens to, whoever it is about.
    Unsound {
        message: String,
        help: Option<String>,
    },
    /// It cannot be decided for somebody of whom little is known.
    NeedsValues {
        message: String,
    },
}

/// Evaluates `condition` for each event, first with a value in every field and then with nulls.
///
/// Only errors of types count; where the expression reads free-form values, whose types are anybody's guess, only those of a
/// variable that the event does not bring.
pub(crate) fn run(condition: &Expression, on: &[EventType]) -> Trial {
    let data = json!({});
    let changed: Vec<String> = Profile::default().fields().map(|(name, _)| name.to_owned()).to_vec();
    let credential = json!({});
    let group = GroupView { id: Uuid::nil(), name: "sample".to_owned(), privileged: true };
    let attempt = |event: EventType, identity: &IdentityView| {
        let carries = Carried::by(event);
        condition.holds(&Facts {
            happening: Some(Happening { event, changed: &changed, data: &data }),
            identity: carries.identity.then_some(identity),
            group: carries.group.then_some(&group),
            credential: carries.credential.then_some(&credential),
            ..Facts::default()
        })
    };
    let somebody = somebody(&condition.reads().sources);
    for event in on {
        match attempt(*event, &somebody) {
            Err(EvaluationError::WrongResult { got, wanted }) => {
                return Trial::Unsound { message: format!("`when` is {wanted}, this is {got}"), help: None };
            }
            Err(error) if error.is_of_types() => {
                if let Some(unsound) = unsound(condition, *event, &error) {
                    return unsound;
                }
            }
            _ => {}
        }
    }
    let nobody = person(State::Active, |_| None);
    for event in on {
        if let Err(error) = attempt(*event, &nobody)
            && error.is_of_types()
            && !condition.reads().free
        {
            return Trial::NeedsValues { message: format!("`when` cannot be decided where a value is null: {error}") };
        }
    }
    Trial::Sound
}

fn unsound(condition: &Expression, event: EventType, error: &EvaluationError) -> Option<Trial> {
    let carries = Carried::by(event);
    let variables = &condition.reads().variables;
    let absent = [("identity", carries.identity), ("group", carries.group), ("credential", carries.credential)];
    match absent.iter().find(|(name, carried)| !carried && variables.contains(name)) {
        Some((name, _)) => Some(Trial::Unsound {
            message: format!("`{name}` is null in an event {event}"),
            help: Some(format!("ask first, as in `{name} != null && …`, or leave {event} to a rule of its own")),
        }),
        None if condition.reads().free => None,
        None => Some(Trial::Unsound { message: format!("`when` cannot be decided for {event}: {error}"), help: None }),
    }
}

/// What an event of a type brings besides itself.
pub(crate) struct Carried {
    pub identity: bool,
    pub group: bool,
    pub credential: bool,
}

impl Carried {
    pub fn by(event: EventType) -> Self {
        let family = event.as_str().split('.').next().unwrap_or_default();
        Self {
            identity: matches!(family, "identity" | "membership" | "credential"),
            group: matches!(family, "membership" | "group"),
            credential: family == "credential",
        }
    }
}

/// A person with a value in every field and an account at each of these sources.
pub(crate) fn somebody(sources: &BTreeSet<String>) -> IdentityView {
    let sample = |name: &str| Some(if name == "employeeNumber" { "1042" } else { "sample" }.to_owned());
    let accounts = sources.iter().map(|source| (source.clone(), account())).collect();
    IdentityView { accounts, ..person(State::Active, sample) }
}

/// An account with a value in every field.
fn account() -> AccountView {
    let sample = || Some("sample".to_owned());
    AccountView {
        id: "sample".to_owned(),
        user_name: sample(),
        external_id: sample(),
        email: sample(),
        attributes: json!({}),
    }
}

/// A person made up from a value per profile field.
pub(crate) fn person(state: State, value: impl Fn(&str) -> Option<String>) -> IdentityView {
    let mut profile = Profile::default();
    for (name, _) in Profile::default().fields() {
        if let Some(field) = profile.field_mut(name) {
            *field = value(name);
        }
    }
    IdentityView {
        id: Uuid::nil(),
        kind: IdentityKind::Human,
        state,
        generation: 1,
        profile,
        accounts: BTreeMap::new(),
    }
}
