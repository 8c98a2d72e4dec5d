//! Which identity an account belongs to. E-mail alone is never a key.

use uuid::Uuid;

use crate::account::Profile;

/// The fields that a source may correlate by.
pub const RULES: [&str; 2] = ["employeeNumber", "userName"];

/// What correlation found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// Nobody matches: the account becomes an identity of its own.
    Nobody,
    One(Uuid),
    /// Several match: the account stands as its own identity, marked unresolved, until a person links it.
    Ambiguous,
}

/// Compares the account with each candidate by the first rule for which both have a value; only that rule decides.
pub fn correlate<'a>(
    rules: &[String],
    account: &Profile,
    candidates: impl IntoIterator<Item = (Uuid, &'a Profile)>,
) -> Link {
    let mut found = Link::Nobody;
    for (id, candidate) in candidates {
        if !matches(rules, account, candidate) {
            continue;
        }
        found = match found {
            Link::Nobody => Link::One(id),
            Link::One(same) if same == id => found,
            Link::One(_) | Link::Ambiguous => Link::Ambiguous,
        };
    }
    found
}

fn matches(rules: &[String], a: &Profile, b: &Profile) -> bool {
    rules
        .iter()
        .find_map(|rule| match (a.field(rule), b.field(rule)) {
            (Some(x), Some(y)) => Some(equal(rule, x, y)),
            _ => None,
        })
        .unwrap_or(false)
}

/// `userName` is compared without case (RFC 7643 §4.1.1: caseExact false); numbers and ids as they stand.
fn equal(rule: &str, x: &str, y: &str) -> bool {
    if rule == "userName" { x.to_lowercase() == y.to_lowercase() } else { x == y }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(number: Option<&str>, name: &str) -> Profile {
        Profile { employee_number: number.map(Into::into), user_name: Some(name.into()), ..Profile::default() }
    }

    #[test]
    fn the_first_rule_where_both_sides_have_a_value_decides() {
        let rules = ["employeeNumber".to_owned(), "userName".to_owned()];
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let (ana_1, ana_2, ana, bob_1) =
            (person(Some("1"), "ana"), person(Some("2"), "ana"), person(None, "Ana"), person(Some("1"), "bob"));
        for (account, candidates, expected, why) in [
            (&ana_1, vec![(one, &bob_1)], Link::One(one), "the number decides, not the name"),
            (&ana_1, vec![(one, &ana_2)], Link::Nobody, "another number is another person, in spite of the name"),
            (&ana_1, vec![(one, &ana)], Link::One(one), "the name decides where one has no number"),
            (&ana, vec![(one, &ana_1), (two, &ana_2)], Link::Ambiguous, "two of that name"),
            (&ana_1, vec![(one, &bob_1), (one, &bob_1)], Link::One(one), "the same identity twice"),
        ] {
            assert_eq!(correlate(&rules, account, candidates), expected, "{why}");
        }
        assert_eq!(correlate(&[], &ana_1, [(one, &ana_1)]), Link::Nobody, "no rules link to nobody");
    }
}
