//! What a decision comes to where downstreams differ, and how two of them are compared.

use std::collections::BTreeMap;
use std::sync::Arc;

use lifecycle::{Action, Context, EventType, IdentityView, State};
use serde_json::json;

use super::ana;
use crate::{Decision, Difference, Judge, Policy, Ruling};

const WEB: &[Action] = &[Action::RevokeSessions];
const SSO: &[Action] = &[Action::RevokeSessions, Action::RevokeRefresh];

fn judge(rules: &str) -> Judge {
    let policy = Policy::parse(&format!("rules:\n{rules}")).unwrap();
    let abilities = BTreeMap::from([("sso".to_owned(), SSO.to_vec()), ("web".to_owned(), WEB.to_vec())]);
    Judge::new(Arc::new(policy), abilities, &["Ana@Example.com".to_owned()])
}

fn suspended(judge: &Judge, mail: &str) -> Ruling {
    let mut person = IdentityView { state: State::Suspended, ..ana() };
    person.profile.email = Some(mail.to_owned());
    let context = Context { identity: Some(person), ..Context::default() };
    judge.rule(EventType::IdentitySuspended, &json!({}), &context)
}

fn on_suspension(rest: &str) -> String {
    format!("  - {{ name: r, on: [identity.suspended], {rest} }}\n")
}

#[test]
fn each_downstream_does_what_it_can_and_the_rest_is_said() {
    let ruling = suspended(&judge(&on_suspension("do: [revoke_sessions, revoke_refresh]")), "ben@example.com");
    assert!(ruling.ends());
    assert_eq!(ruling.effect.scopes.keys().collect::<Vec<_>>(), [&None]);
    assert_eq!(ruling.effect.downstreams["sso"].len(), 2);
    assert_eq!(ruling.effect.downstreams["web"].iter().collect::<Vec<_>>(), [&Action::RevokeSessions]);
    assert_eq!(ruling.effect.unsupported, [(Action::RevokeRefresh, "web".to_owned())]);
}

#[test]
fn an_else_is_done_only_where_the_action_cannot_be() {
    let rule = on_suspension("do: [revoke_refresh], else: revoke_sessions");
    let effect = suspended(&judge(&rule), "ben@example.com").effect;
    assert_eq!(effect.downstreams["sso"].iter().collect::<Vec<_>>(), [&Action::RevokeRefresh]);
    assert_eq!(effect.downstreams["web"].iter().collect::<Vec<_>>(), [&Action::RevokeSessions]);
    assert_eq!(effect.replaced.iter().collect::<Vec<_>>(), [&("web".to_owned(), Action::RevokeRefresh)]);
    assert!(effect.unsupported.is_empty());
}

#[test]
fn whom_break_glass_names_loses_nothing_whatever_the_case() {
    let ruling = suspended(&judge(&on_suspension("do: [revoke_sessions]")), "ANA@example.com");
    assert!(ruling.spared && !ruling.ends());
    assert_eq!(ruling.decision.rules, ["r"], "it is decided all the same");
}

#[test]
fn rulings_differ_by_what_is_done_and_not_by_the_names_of_rules() {
    let of = |rest: &str| suspended(&judge(&on_suspension(rest)), "ben@example.com");
    let sessions = of("do: [revoke_sessions]");
    let nothing = of("do: [revoke_sessions], when: 'false'");
    for (was, would, expected) in [
        (&nothing, &sessions, Some(Difference::More)),
        (&sessions, &nothing, Some(Difference::Fewer)),
        (&sessions, &of("do: [recheck]"), Some(Difference::OtherActions)),
        (&sessions, &of("do: [revoke_sessions], downstreams: [web]"), Some(Difference::OtherDownstreams)),
        // The same two for now, but not for a third that comes, nor for subscribers.
        (&sessions, &of("do: [revoke_sessions], downstreams: [sso, web]"), Some(Difference::OtherDownstreams)),
        (&sessions, &of("do: [revoke_sessions], when: 'true'"), None),
        (&nothing, &of("do: [notify], when: 'false'"), None),
        (&nothing, &of("do: [notify]"), Some(Difference::OtherActions)),
    ] {
        assert_eq!(was.differs(would), expected, "{:?} {:?}", was.decision, would.decision);
    }
    let renamed =
        suspended(&judge("  - { name: other, on: [identity.suspended], do: [revoke_sessions] }\n"), "ben@example.com");
    assert_eq!(sessions.differs(&renamed), None);
}

#[test]
fn somebody_spared_by_both_is_no_difference_and_by_one_is() {
    let sessions = judge(&on_suspension("do: [revoke_sessions]"));
    let spared = suspended(&sessions, "ana@example.com");
    let decided: Decision = serde_json::from_value(json!({
        "rules": ["r"], "actions": [{"rule": "r", "action": "revoke_sessions"}]
    }))
    .unwrap();
    assert_eq!(sessions.recall(decided.clone(), false).differs(&spared), None, "neither ended anything");
    assert_eq!(sessions.recall(decided, true).differs(&spared), Some(Difference::Fewer));
    let refresh = suspended(&judge(&on_suspension("do: [revoke_refresh]")), "ana@example.com");
    assert_eq!(spared.differs(&refresh), None);
}
