//! What a policy would have made of what has happened, beside what was decided then. Nothing is written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use chrono::{DateTime, Utc};
use directory::{Decided, Past, Person, Span};
use lifecycle::{Action, EventType};
use policy::{Decision, Difference, Judge, Policy, Ruling};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{Console, problem::Problem};

/// How much of the ledger one call reads: some megabytes, however long it is.
const CHAPTER: u32 = 5_000;

/// Whom to ask, and from when on; or how to go on, which is the `next` of the answer before.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wish {
    since: Option<DateTime<Utc>>,
    next: Option<Span>,
    /// The text of a draft. Absent: the policy that is in force.
    policy: Option<String>,
    /// The draft that is configured as `shadow`.
    #[serde(default)]
    shadow: bool,
}

/// One part of a replay. Counts of several parts add up.
#[derive(Debug, Default, Serialize)]
struct Part {
    /// Recorded in that time.
    events: u64,
    /// Compared: the draft listens to them, or they were decided then.
    compared: u64,
    /// Left out, since what policy read of them was erased.
    erased: u64,
    /// Left out, since nobody has decided them yet.
    undecided: u64,
    /// What ended something, then and by the draft.
    ended: Pair,
    spared: Pair,
    /// Some rule of the draft had no result.
    failed: u64,
    differ: BTreeMap<&'static str, u64>,
    /// Events that a rule matched, by its name.
    rules: BTreeMap<String, Pair>,
    downstreams: BTreeMap<String, There>,
    /// Of the draft's rules with a brake: what each would order in each window.
    brakes: BTreeMap<String, Windows>,
    differences: Vec<Differing>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Span>,
}

/// What a rule with a brake would order.
#[derive(Debug, Default, Serialize)]
struct Windows {
    /// So much is let through in each.
    bound: u64,
    window_ms: u64,
    /// How often, by when the window begins, in seconds since 1970.
    orders: BTreeMap<i64, u64>,
}

/// How often then, and how often by the draft.
#[derive(Debug, Default, Serialize)]
struct Pair {
    was: u64,
    would: u64,
}

/// How often something would be done at a downstream.
#[derive(Debug, Default, Serialize)]
struct There {
    was: u64,
    would: u64,
    /// How often the draft would get its `else` there, and how often nothing.
    replaced: u64,
    unsupported: u64,
}

/// An event of which the draft would have made something else.
#[derive(Debug, Serialize)]
struct Differing {
    difference: Difference,
    event_id: Uuid,
    at: DateTime<Utc>,
    #[serde(rename = "type")]
    event_type: EventType,
    subject: Uuid,
    #[serde(flatten)]
    person: Option<Person>,
    /// The person is in a privileged group, or the event is about one.
    privileged: bool,
    /// The group that the event is about.
    group: Option<String>,
    was: Side,
    would: Side,
}

/// What one of the two does.
#[derive(Debug, Serialize)]
struct Side {
    rules: Vec<String>,
    /// By downstream; `*` is everywhere.
    scopes: BTreeMap<String, BTreeSet<Action>>,
    downstreams: BTreeMap<String, BTreeSet<Action>>,
    /// Actions that a downstream cannot do and gets an `else` for.
    replaced: BTreeMap<String, BTreeSet<Action>>,
    unsupported: BTreeMap<String, BTreeSet<Action>>,
    spared: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<String>,
}

/// Every answer is a part of the replay; the last has no `next`.
pub(crate) async fn replay(
    State(console): State<Console>,
    body: Result<Json<Wish>, JsonRejection>,
) -> Result<Json<Value>, Problem> {
    let Json(wish) = body.map_err(|refused| Problem::new(refused.status().as_u16(), refused.body_text()))?;
    let judge = console.judge_of(&wish)?;
    let span = match (wish.next, wish.since) {
        (Some(next), _) => next,
        (None, Some(since)) => console.directory.span(since).await?,
        (None, None) => return Err(Problem::new(400, "since when is missing").help("add `since`, an instant")),
    };
    let listened: Vec<EventType> = EventType::ALL.iter().copied().filter(|t| judge.policy().listens(*t)).collect();
    let chapter = console.directory.chapter(span, &listened, CHAPTER).await?;
    let mut part =
        Part { events: chapter.events, next: Some(chapter.left).filter(|left| !left.is_read()), ..Part::default() };
    // Deciding thousands of events takes a while, and others are to be answered meanwhile.
    let (part, mut differences) = tokio::task::spawn_blocking(move || {
        let mut differences = Vec::new();
        for past in chapter.items {
            differences.extend(part.compare(&judge, past)?);
        }
        Ok::<_, Problem>((part, differences))
    })
    .await
    .map_err(|_| Problem::new(500, "the replay was given up"))??;
    let subjects: BTreeSet<Uuid> = differences.iter().map(|differing: &Differing| differing.subject).collect();
    let people = console.directory.people(&Vec::from_iter(subjects)).await?;
    for differing in &mut differences {
        differing.person = people.get(&differing.subject).cloned();
        differing.privileged |= differing.person.as_ref().is_some_and(|person| !person.privileged_groups.is_empty());
    }
    Ok(Json(json!(Part { differences, ..part })))
}

impl Console {
    /// The policy that is asked about, at the downstreams that there are.
    fn judge_of(&self, wish: &Wish) -> Result<Judge, Problem> {
        match (&wish.policy, wish.shadow) {
            (None, false) => Ok(self.judge.clone()),
            (None, true) => self.shadow.clone().ok_or_else(|| {
                Problem::new(409, "no draft is configured as a shadow")
                    .help("add `shadow: FILE` to the configuration, or name a draft with --policy")
            }),
            (Some(_), true) => Err(Problem::new(400, "`policy` and `shadow` are two drafts").help("ask about one")),
            (Some(text), false) => {
                let draft =
                    Policy::parse_for(text, &self.judge.downstreams(), &self.sources).map_err(Problem::of_draft)?;
                Ok(self.judge.under(Arc::new(draft)))
            }
        }
    }
}

impl Part {
    /// Decides an event again and adds it to the counts. What differs comes back.
    fn compare(&mut self, judge: &Judge, past: Past) -> Result<Option<Differing>, Problem> {
        if past.waits {
            self.undecided += 1;
            return Ok(None);
        }
        let Some(context) = past.context else {
            self.erased += 1;
            return Ok(None);
        };
        let was = match past.decided {
            Some(decided) => recall(judge, decided)?,
            None => Ruling::default(),
        };
        let would = judge.rule(past.event_type, &past.data, &context);
        self.count(&was, &would);
        self.count_braked(&would, past.recorded_at);
        let Some(difference) = was.differs(&would) else { return Ok(None) };
        *self.differ.entry(difference.as_str()).or_default() += 1;
        Ok(Some(Differing {
            difference,
            event_id: past.event_id,
            at: past.recorded_at,
            event_type: past.event_type,
            subject: past.subject,
            person: None,
            privileged: context.group.as_ref().is_some_and(|group| group.privileged),
            group: context.group.map(|group| group.name),
            was: was.into(),
            would: would.into(),
        }))
    }

    /// How often each brake would be asked. What it lets through depends on nothing but that.
    fn count_braked(&mut self, would: &Ruling, at: DateTime<Utc>) {
        for part in would.braking.iter().filter(|_| !would.spared).flat_map(|braking| &braking.parts) {
            let windows = self.brakes.entry(part.rule.clone()).or_default();
            windows.bound = part.brake.count;
            windows.window_ms = part.brake.window.as_millis() as u64;
            *windows.orders.entry(part.brake.window_of(at.timestamp())).or_default() += 1;
        }
    }

    fn count(&mut self, was: &Ruling, would: &Ruling) {
        self.compared += 1;
        self.failed += u64::from(!would.decision.errors.is_empty());
        self.ended.was += u64::from(was.ends());
        self.ended.would += u64::from(would.ends());
        self.spared.was += u64::from(was.spared);
        self.spared.would += u64::from(would.spared);
        for rule in &was.decision.rules {
            self.rules.entry(rule.clone()).or_default().was += 1;
        }
        for rule in &would.decision.rules {
            self.rules.entry(rule.clone()).or_default().would += 1;
        }
        for name in was.places() {
            self.downstreams.entry(name.clone()).or_default().was += 1;
        }
        for name in would.places() {
            self.downstreams.entry(name.clone()).or_default().would += 1;
        }
        if would.spared {
            return;
        }
        let replaced: BTreeSet<&String> = would.effect.replaced.iter().map(|(name, _)| name).collect();
        for name in replaced {
            self.downstreams.entry(name.clone()).or_default().replaced += 1;
        }
        let unsupported: BTreeSet<&String> = would.effect.unsupported.iter().map(|(_, name)| name).collect();
        for name in unsupported {
            self.downstreams.entry(name.clone()).or_default().unsupported += 1;
        }
    }
}

/// A decision of then, at the downstreams of now: what differs is what the policies say.
fn recall(judge: &Judge, Decided { rules, actions, ended }: Decided) -> Result<Ruling, Problem> {
    let actions = serde_json::from_value(actions).map_err(|error| {
        tracing::error!(error = &error as &dyn std::error::Error, "a decision of the ledger cannot be read");
        Problem::new(500, "a decision of the ledger cannot be read").help("`leaver ledger check` looks for more")
    })?;
    Ok(judge.recall(Decision { rules, actions, ..Decision::default() }, ended))
}

impl From<Ruling> for Side {
    fn from(ruling: Ruling) -> Self {
        let Ruling { decision, effect, spared, braking: _ } = ruling;
        let by_name = |pairs: Vec<(String, Action)>| {
            let mut map: BTreeMap<String, BTreeSet<Action>> = BTreeMap::new();
            for (name, action) in pairs {
                map.entry(name).or_default().insert(action);
            }
            map
        };
        let everywhere = |scope: Option<String>| scope.unwrap_or_else(|| directory::EVERYWHERE.to_owned());
        Self {
            rules: decision.rules,
            scopes: effect.scopes.into_iter().map(|(scope, actions)| (everywhere(scope), actions)).collect(),
            downstreams: effect.downstreams,
            replaced: by_name(effect.replaced.into_iter().collect()),
            unsupported: by_name(effect.unsupported.into_iter().map(|(action, name)| (name, action)).collect()),
            spared,
            errors: decision.errors.iter().map(|e| format!("rule {:?}: {}", e.rule, e.error)).collect(),
        }
    }
}
