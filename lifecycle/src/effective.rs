//! Effective state: what an identity's accounts together mean. One pure function, read from *counted* standings only.

use serde::{Deserialize, Serialize};

use crate::account::{Profile, Standing};
use crate::event::EventType;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Staged,
    Active,
    Suspended,
    Departed,
    /// Joined into another identity; kept so that old ids still resolve.
    Merged,
    Erased,
}

impl State {
    pub fn as_str(self) -> &'static str {
        match self {
            State::Staged => "staged",
            State::Active => "active",
            State::Suspended => "suspended",
            State::Departed => "departed",
            State::Merged => "merged",
            State::Erased => "erased",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "staged" => State::Staged,
            "active" => State::Active,
            "suspended" => State::Suspended,
            "departed" => State::Departed,
            "merged" => State::Merged,
            "erased" => State::Erased,
            _ => return None,
        })
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One account as the identity sees it. Accounts come in the order in which they were linked.
#[derive(Debug, Clone)]
pub struct Linked<'a> {
    pub counted: Standing,
    pub profile: &'a Profile,
    /// What this account's source has a say in: `lifecycle`, or names of profile fields.
    pub authority: &'a [String],
    /// The source says `lifecycle: ignore`: it neither ends nor gives access.
    pub ignores_lifecycle: bool,
}

impl Linked<'_> {
    fn rules(&self, what: &str) -> bool {
        self.authority.iter().any(|a| a == what)
    }
}

/// The state that these accounts add up to.
///
/// A deny needs no authority: any account that is inactive suspends, any that is gone departs. To *activate* takes an active
/// account whose source has `lifecycle` authority, or any active account where no linked source claims that authority.
/// Where nobody denies and nobody may activate, things stay as they were.
pub fn state(accounts: &[Linked<'_>], previous: Option<State>) -> State {
    if let Some(end @ (State::Erased | State::Merged)) = previous {
        return end;
    }
    let heard = || accounts.iter().filter(|a| !a.ignores_lifecycle);
    if heard().any(|a| a.counted == Standing::Gone) {
        return State::Departed;
    }
    if heard().any(|a| a.counted == Standing::Inactive) {
        return State::Suspended;
    }
    let claimed = heard().any(|a| a.rules("lifecycle"));
    if heard().any(|a| a.counted == Standing::Active && (!claimed || a.rules("lifecycle"))) {
        return State::Active;
    }
    previous.unwrap_or(State::Staged)
}

/// The values that count: of the source with authority over the field, else of the account linked first that has one.
/// Accounts that are gone speak only where nobody else does.
pub fn profile(accounts: &[Linked<'_>]) -> Profile {
    let mut result = Profile::default();
    for (name, _) in Profile::default().fields() {
        let value = |gone: bool, ruling: bool| {
            accounts
                .iter()
                .filter(|a| (a.counted == Standing::Gone) == gone && (!ruling || a.rules(name)))
                .find_map(|a| a.profile.field(name))
        };
        let chosen = value(false, true).or_else(|| value(false, false)).or_else(|| value(true, false));
        *result.field_mut(name).expect("the name comes from the profile itself") = chosen.map(str::to_owned);
    }
    result
}

/// The event that a change of state is, if it is one. A new identity is `created`, whatever its state.
pub fn transition(before: Option<State>, after: State) -> Option<EventType> {
    let Some(before) = before else { return Some(EventType::IdentityCreated) };
    if before == after {
        return None;
    }
    Some(match (before, after) {
        (_, State::Suspended) => EventType::IdentitySuspended,
        (_, State::Departed) => EventType::IdentityDeparted,
        (_, State::Erased) => EventType::IdentityErased,
        (_, State::Merged) => EventType::IdentityMerged,
        (State::Staged, State::Active) => EventType::IdentityActivated,
        (_, State::Active) => EventType::IdentityReinstated,
        (_, State::Staged) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use Standing::*;

    fn of(accounts: &[(Standing, &[&str], bool)], previous: Option<State>) -> State {
        let profile = Profile::default();
        let authority: Vec<Vec<String>> =
            accounts.iter().map(|a| a.1.iter().map(|s| (*s).to_owned()).collect()).collect();
        let linked: Vec<Linked<'_>> = accounts
            .iter()
            .zip(&authority)
            .map(|((counted, _, ignores), authority)| Linked {
                counted: *counted,
                profile: &profile,
                authority,
                ignores_lifecycle: *ignores,
            })
            .collect();
        state(&linked, previous)
    }

    #[test]
    fn effective_state_follows_its_table() {
        let hr: &[&str] = &["lifecycle"];
        let none: &[&str] = &[];
        for (accounts, previous, expected, why) in [
            (vec![(Active, none, false)], None, State::Active, "new and active"),
            (vec![(Staged, none, false)], None, State::Staged, "first day not come"),
            (vec![(Unknown, none, false)], None, State::Staged, "unknown never activates"),
            (vec![(Unknown, none, false)], Some(State::Active), State::Active, "unknown never ends access"),
            (vec![(Unknown, none, false)], Some(State::Suspended), State::Suspended, "unknown never revives"),
            (
                vec![(Active, hr, false), (Inactive, none, false)],
                Some(State::Active),
                State::Suspended,
                "a deny needs no authority",
            ),
            (vec![(Inactive, hr, false), (Active, none, false)], Some(State::Active), State::Suspended, "HR denies"),
            (
                vec![(Active, hr, false), (Gone, none, false)],
                Some(State::Active),
                State::Departed,
                "deleted at one source",
            ),
            (vec![(Active, hr, false), (Gone, none, true)], Some(State::Active), State::Active, "lifecycle: ignore"),
            (vec![(Staged, hr, false), (Active, none, false)], None, State::Staged, "only authority activates"),
            (vec![(Staged, hr, false)], Some(State::Departed), State::Departed, "a rehire waits for its first day"),
            (vec![(Active, hr, false)], Some(State::Departed), State::Active, "a rehire"),
            (vec![(Active, hr, false)], Some(State::Erased), State::Erased, "erased is final"),
            (vec![], Some(State::Active), State::Active, "no accounts say nothing"),
        ] {
            assert_eq!(of(&accounts, previous), expected, "{why}");
        }
    }

    #[test]
    fn a_value_comes_from_the_source_with_authority_and_from_the_gone_only_as_a_last_resort() {
        let hr = Profile { manager: Some("jo".into()), ..Profile::default() };
        let idp = Profile { manager: Some("al".into()), email: Some("a@x".into()), ..Profile::default() };
        let authority = ["manager".to_owned()];
        let linked = |counted| {
            [
                Linked { counted: Active, profile: &idp, authority: &[], ignores_lifecycle: false },
                Linked { counted, profile: &hr, authority: &authority, ignores_lifecycle: false },
            ]
        };
        assert_eq!(profile(&linked(Active)).manager.as_deref(), Some("jo"));
        assert_eq!(profile(&linked(Active)).email.as_deref(), Some("a@x"));
        assert_eq!(profile(&linked(Gone)).manager.as_deref(), Some("al"));
    }

    #[test]
    fn each_transition_is_the_event_of_its_row() {
        for (before, after, expected) in [
            (None, State::Suspended, Some(EventType::IdentityCreated)),
            (Some(State::Staged), State::Active, Some(EventType::IdentityActivated)),
            (Some(State::Active), State::Suspended, Some(EventType::IdentitySuspended)),
            (Some(State::Suspended), State::Departed, Some(EventType::IdentityDeparted)),
            (Some(State::Suspended), State::Active, Some(EventType::IdentityReinstated)),
            (Some(State::Departed), State::Active, Some(EventType::IdentityReinstated)),
            (Some(State::Active), State::Active, None),
        ] {
            assert_eq!(transition(before, after), expected);
        }
    }
}
