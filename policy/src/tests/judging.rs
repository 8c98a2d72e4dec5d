//! What a decision comes to where downstreams differ, and how two of them are compared.

use std::collections::BTreeMap;
use std::sync::Arc;

use lifecycle::{Action, Context, EventType, IdentityView, State};
use serde_json::json;

use super::ana;
use crate::{Decision, Difference, Judge, Policy, Ruling};

const WEB: &[Action] = &[Action::RevokeSessions, Action::ShortenTtl];
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

#[test]
fn a_brake_splits_what_its_rule_adds_from_what_is_ordered_anyway_and_never_holds_who_leaves() {
    let rules = "  - { name: all, on: [identity.updated], do: [revoke_refresh] }
  - { name: mover, on: [identity.updated, identity.suspended], do: [revoke_sessions], brake: { count: 5, window: 60s } }
  - { name: twin, on: [identity.updated], do: [revoke_refresh], brake: { count: 5, window: 60s } }
";
    let judge = judge(rules);
    let context = Context { identity: Some(IdentityView { state: State::Active, ..ana() }), ..Context::default() };
    let ruling = judge.rule(EventType::IdentityUpdated, &json!({}), &context);
    let braking = ruling.braking.expect("a rule with a brake has matched");
    assert_eq!(braking.free.scopes[&None].iter().collect::<Vec<_>>(), [&Action::RevokeRefresh]);
    let [part] = &braking.parts[..] else { panic!("what twin orders is ordered anyway: {:?}", braking.parts) };
    assert_eq!((part.rule.as_str(), part.brake.count), ("mover", 5));
    assert_eq!(part.effect.scopes[&None].iter().collect::<Vec<_>>(), [&Action::RevokeSessions]);
    assert_eq!(part.brake.window_of(125), 120);
    assert_eq!(suspended(&judge, "ben@example.com").braking, None, "who leaves is out at once");
}

#[test]
fn of_several_that_shorten_the_shortest_counts_and_nothing_is_shortened_that_ends_at_once() {
    let of = |rules: &str| suspended(&judge(rules), "ben@example.com");
    let rule = |name: &str, rest: &str| format!("  - {{ name: {name}, on: [identity.suspended], {rest} }}\n");
    let long = rule("long", "do: [shorten_ttl], shorten_to: 1h");
    let short = rule("short", "do: [shorten_ttl], shorten_to: 5m, downstreams: [web]");
    let (one, both) = (of(&long), of(&(long.clone() + &short)));
    let seconds = |ruling: &Ruling| ruling.effect.shorten_to.map(|left| left.as_secs());
    assert_eq!((seconds(&one), seconds(&both)), (Some(3_600), Some(300)));
    assert_eq!(seconds(&of(&rule("plain", "do: [shorten_ttl]"))), Some(900), "what is not said");
    assert!(one.ends(), "a brake and break-glass count it");
    assert_eq!(one.effect.unsupported, [(Action::ShortenTtl, "sso".to_owned())]);
    let same = of(&rule("other", "do: [shorten_ttl], shorten_to: 30m"));
    assert_eq!(one.differs(&same), Some(Difference::OtherActions), "at another time");

    let ends = of(&(long.clone() + &rule("ends", "do: [revoke_sessions]")));
    assert_eq!(seconds(&ends), None);
    assert_eq!(ends.effect.scopes[&None].iter().collect::<Vec<_>>(), [&Action::RevokeSessions]);
    let beside = of(&(long + &rule("ends", "do: [revoke_sessions], downstreams: [web]")));
    assert_eq!(seconds(&beside), Some(3_600));
    assert_eq!(beside.effect.downstreams["web"].iter().collect::<Vec<_>>(), [&Action::RevokeSessions]);
}

#[test]
fn what_is_no_cutoff_is_done_where_it_can_be_and_missed_where_nobody_can() {
    let judge = |rule: &str, abilities: &[(&str, &[Action])]| {
        let policy = Policy::parse(&format!("rules:\n{}", on_suspension(rule))).unwrap();
        let abilities = abilities.iter().map(|(name, can)| ((*name).to_owned(), can.to_vec())).collect();
        Judge::new(Arc::new(policy), abilities, &["ana@example.com".to_owned()])
    };
    let can: [(&str, &[Action]); 3] =
        [("hook", &[Action::Notify]), ("keys", &[Action::RevokeCredentials]), ("web", WEB)];
    let all = judge("do: [revoke_sessions, revoke_credentials, notify]", &can);
    let effect = suspended(&all, "ben@example.com").effect;
    let places: Vec<(&str, Vec<Action>)> =
        effect.downstreams.iter().map(|(name, actions)| (name.as_str(), actions.iter().copied().collect())).collect();
    let expected = [("hook", Action::Notify), ("keys", Action::RevokeCredentials), ("web", Action::RevokeSessions)];
    assert_eq!(places, expected.map(|(name, action)| (name, vec![action])));
    assert_eq!(effect.scopes[&None].iter().collect::<Vec<_>>(), [&Action::RevokeSessions], "the others are no cutoff");
    assert_eq!(effect.unsupported, [], "no session is kept by a hook");

    let named = suspended(&judge("do: [notify, revoke_sessions], downstreams: [hook, web]", &can), "ben@example.com");
    let missed = [(Action::Notify, "web".to_owned()), (Action::RevokeSessions, "hook".to_owned())];
    assert_eq!(named.effect.unsupported, missed, "whoever is named is meant");
    let nobody = suspended(&judge("do: [notify]", &can[1..]), "ben@example.com");
    assert_eq!(nobody.effect.unsupported, [(Action::Notify, "keys".to_owned()), (Action::Notify, "web".to_owned())]);
    assert!(!nobody.effect.acts());

    let spared = suspended(&all, "ana@example.com");
    assert!(spared.spared && !spared.ends());
    assert_eq!(spared.places().collect::<Vec<_>>(), ["hook"], "whoever is told of it is told all the same");
    let keys = suspended(&judge("do: [revoke_credentials]", &can), "ana@example.com");
    assert!(keys.spared && keys.places().next().is_none(), "a key is access as well");
    let told = suspended(&judge("do: [notify]", &can), "ana@example.com");
    assert!(!told.spared && !told.ends() && told.effect.acts());
}
