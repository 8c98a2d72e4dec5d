use insta::assert_snapshot;
use lifecycle::EventType::{self, *};
use lifecycle::{Action, Context};
use serde_json::{Value, json};

use super::{group, of_ana, parse, show};
use crate::{Decision, Policy};

fn decide(policy: &Policy, event: EventType, context: &Context) -> Decision {
    policy.decide(event, &[], &json!({}), context)
}

#[test]
fn the_built_in_policy_ends_access_of_those_who_leave_and_sessions_of_those_who_lose_privileges() {
    use Action::{RevokeRefresh, RevokeSessions};
    let policy = Policy::builtin();
    for event in EventType::ALL {
        for lost in [None, Some(false), Some(true)] {
            let context = Context { group: lost.map(group), ..of_ana() };
            let expected: &[Action] = match (event, lost) {
                (IdentitySuspended | IdentityDeparted, _) => &[RevokeSessions, RevokeRefresh],
                // Without a group nobody can say whether it was privileged: fail closed.
                (MembershipRemoved, Some(true) | None) => &[RevokeSessions],
                _ => &[],
            };
            let decision = decide(&policy, *event, &context);
            let actions: Vec<Action> = decision.actions.iter().map(|order| order.action).collect();
            assert_eq!(actions, expected, "{event} {lost:?}");
            assert_eq!(
                policy.listens(*event),
                matches!(event, IdentitySuspended | IdentityDeparted | MembershipRemoved)
            );
            assert!(decision.actions.iter().all(|order| order.downstreams.is_none() && order.otherwise.is_empty()));
            assert_eq!(decision.errors.is_empty(), *event != MembershipRemoved || lost.is_some(), "{event} {lost:?}");
        }
    }
}

#[test]
fn a_mover_is_rechecked_only_where_the_department_changed() {
    let policy = parse(
        r#"rules: [{ name: mover, on: [identity.updated], when: '"department" in event.changed', do: [recheck], else: revoke_sessions }]"#,
    );
    let moved = |changed: &[&str]| {
        let changed: Vec<String> = changed.iter().map(|name| (*name).to_owned()).collect();
        show(&policy.decide(IdentityUpdated, &changed, &Value::Null, &of_ana()))
    };
    assert_eq!(moved(&["email", "department"]), "mover: recheck else revoke_sessions");
    assert_eq!(moved(&["email"]), "");
    assert_eq!(moved(&[]), "");
}

#[test]
fn expressions_read_the_facts_as_they_are_documented() {
    let context = Context { group: Some(group(true)), credential: Some(json!({ "provider": "aws" })), ..of_ana() };
    let blank = Context::default();
    for (when, context, expected) in [
        ("identity.userName == 'ana' && identity.generation == 2", &context, true),
        ("identity.id == '00000000-0000-0000-0000-000000000007'", &context, true),
        ("identity.state == 'active' && identity.kind == 'human'", &context, true),
        ("identity.manager == null && identity.manager != 'jo'", &context, true),
        ("identity.email.endsWith('@example.com')", &context, true),
        ("identity.department in ['Finance', 'Sales']", &context, true),
        ("group.name == 'admins' && group.id != null", &context, true),
        ("event.type == 'membership.removed' && event.changed == []", &context, true),
        ("event.data.direct && event.data.depth + 1 == 3", &context, true),
        ("has(event.data.direct) && !has(event.data.other)", &context, true),
        ("credential != null && credential.provider == 'aws'", &context, true),
        ("account('corp').id == 'c-1' && account('corp').attributes.uid == 1042", &context, true),
        ("account('crm').id == null && !has(account('crm').attributes.uid)", &context, true),
        ("'department' in event.changed || event.changed.exists(c, c == 'email')", &context, false),
        ("identity == null && group == null && credential == null", &blank, true),
        ("identity != null && identity.email == 'x'", &blank, false),
        ("account('corp').id == null", &blank, true),
    ] {
        let policy = parse(&format!("rules: [{{ name: r, on: membership.removed, when: {when:?}, do: notify }}]"));
        let decision = policy.decide(MembershipRemoved, &[], &json!({ "direct": true, "depth": 2 }), context);
        assert_eq!(decision.errors, [], "{when}");
        assert_eq!(!decision.rules.is_empty(), expected, "{when}");
    }
}

#[test]
fn orders_of_one_action_are_joined_where_that_means_the_same() {
    let policy = parse(
        "rules:
  - { name: a, on: identity.updated, do: [recheck, notify], downstreams: [web] }
  - { name: b, on: identity.updated, do: [recheck], downstreams: [sso, web] }
  - { name: c, on: identity.updated, do: [notify] }
  - { name: d, on: identity.updated, do: [recheck], downstreams: [portal], else: revoke_sessions }
  - { name: e, on: identity.updated, do: [recheck], downstreams: [portal], else: [lock, notify] }",
    );
    let decision = decide(&policy, IdentityUpdated, &of_ana());
    assert_eq!(decision.rules, ["a", "b", "c", "d", "e"]);
    assert_snapshot!(show(&decision), @r#"
    a: recheck at sso, web
    a: notify
    d: recheck at portal else notify, revoke_sessions, lock
    "#);
}

#[test]
fn a_rule_that_cannot_be_decided_fails_closed_if_all_it_may_do_is_end_sessions() {
    let policy = parse(
        "rules:
  - { name: ends, on: identity.updated, when: identity.manager.startsWith('j'), do: [revoke_sessions, revoke_refresh] }
  - { name: ends or locks, on: identity.updated, when: identity.manager.startsWith('j'), do: revoke_sessions, else: lock }
  - { name: locks, on: identity.updated, when: identity.manager.startsWith('j'), do: [revoke_sessions, lock] }
  - { name: absent, on: identity.updated, when: event.data.risk > 3, do: notify }
  - { name: wrong type, on: identity.updated, when: event.data.text, do: revoke_sessions }
  - { name: refused, on: identity.updated, when: int(event.data.text) > 3, do: revoke_sessions, downstreams: web }",
    );
    let decision = policy.decide(IdentityUpdated, &[], &json!({ "text": "secret" }), &of_ana());
    assert_snapshot!(show(&decision), @r#"
    ends: revoke_sessions
    ends: revoke_refresh
    ends matched: `startsWith` does not take (null, string)
    ends or locks did not match: `startsWith` does not take (null, string)
    locks did not match: `startsWith` does not take (null, string)
    absent did not match: a key that the expression reads is absent
    wrong type matched: the result is a string, not true or false
    refused matched: an operation refused the values that it was given
    "#);
    let stored = serde_json::to_string(&decision).unwrap();
    assert!(!stored.contains("secret"), "an error quotes no value: {stored}");
    assert_eq!(serde_json::from_str::<Decision>(&stored).unwrap(), decision);
}

#[test]
fn a_stored_decision_stays_readable() {
    let policy =
        parse("rules: [{ name: r, on: identity.updated, do: recheck, downstreams: web, else: revoke_sessions }]");
    let stored = serde_json::to_string(&decide(&policy, IdentityUpdated, &of_ana())).unwrap();
    assert_snapshot!(stored, @r#"{"rules":["r"],"actions":[{"rule":"r","action":"recheck","downstreams":["web"],"else":["revoke_sessions"]}]}"#);
}

#[test]
fn the_digest_is_of_what_the_rules_say() {
    let digest = |text: &str| parse(text).digest();
    let rule = digest("rules: [{ name: r, on: [identity.updated], do: [notify], downstreams: [b, a] }]");
    assert_eq!(
        rule,
        digest(
            "# why\nrules:\n- name: 'r'\n  do: notify\n  on: identity.updated\n  downstreams: [a, b, a]\nexamples: []\n"
        )
    );
    assert_ne!(rule, digest("rules: [{ name: r, on: [identity.updated], do: [notify], downstreams: [a] }]"));
    assert_ne!(
        rule,
        digest("rules: [{ name: r, on: [identity.updated], do: [notify], downstreams: [a, b], when: 'true' }]")
    );
    assert_snapshot!(Policy::builtin().digest(), @"fe79199b040031d7ed5979b1f4168775a4bc1d38187a070f8cb703482db0a8ca");
}

#[test]
fn a_lock_says_for_how_long_and_the_rest_of_the_policy_keeps_its_digest() {
    let rule = |lock_for: &str| {
        let text = format!("rules:\n  - {{ name: a, on: identity.updated, do: [lock, revoke_sessions]{lock_for} }}\n");
        Policy::parse(&text).map_err(|problems| problems.into_iter().map(|p| p.message).collect::<Vec<_>>().join("; "))
    };
    let lasts = |policy: &Policy| {
        let decision = decide(policy, IdentityUpdated, &of_ana());
        let stored: Decision = serde_json::from_value(json!(decision)).unwrap();
        assert_eq!(stored, decision, "a decision is read as it was stored");
        decision.actions.iter().map(|order| order.lock_for.map(|d| d.as_secs())).collect::<Vec<_>>()
    };
    let (plain, long) = (rule("").unwrap(), rule(", lock_for: 8h").unwrap());
    assert_eq!((lasts(&plain), lasts(&long)), (vec![None, None], vec![Some(28_800), None]));
    assert_ne!(plain.digest(), long.digest());
    for wrong in ["0s", "8", "h", "400d", "8 weeks", "99999999999999999999h"] {
        let problem = rule(&format!(", lock_for: {wrong}")).unwrap_err();
        assert!(problem.contains("a number and a unit"), "{wrong}: {problem}");
    }
    let stray = Policy::parse("rules:\n  - { name: a, on: identity.updated, do: revoke_sessions, lock_for: 1h }\n");
    assert!(stray.unwrap_err()[0].message.contains("there is no `lock`"));
}

#[test]
fn what_is_shortened_says_to_what_and_the_rest_of_the_policy_keeps_its_digest() {
    let rule = |rest: &str| {
        let text = format!("rules:\n  - {{ name: a, on: identity.updated, {rest} }}\n");
        Policy::parse(&text).map_err(|problems| problems.into_iter().map(|p| p.message).collect::<Vec<_>>().join("; "))
    };
    let left = |policy: &Policy| {
        let decision = decide(policy, IdentityUpdated, &of_ana());
        let stored: Decision = serde_json::from_value(json!(decision)).unwrap();
        assert_eq!(stored, decision, "a decision is read as it was stored");
        decision.actions.iter().map(|order| order.shorten_to.map(|d| d.as_secs())).collect::<Vec<_>>()
    };
    let plain = rule("do: [shorten_ttl, notify]").unwrap();
    let short = rule("do: [shorten_ttl, notify], shorten_to: 5m").unwrap();
    let instead = rule("do: notify, else: shorten_ttl, shorten_to: 5m").unwrap();
    assert_eq!((left(&plain), left(&short), left(&instead)), (vec![None; 2], vec![Some(300), None], vec![Some(300)]));
    assert_ne!(plain.digest(), short.digest());
    let problem = rule("do: shorten_ttl, shorten_to: 8 weeks").unwrap_err();
    assert!(problem.contains("`shorten_to` is a number and a unit"), "{problem}");
    let problem = rule("do: recheck, shorten_to: 5m").unwrap_err();
    assert!(problem.contains("there is no `shorten_ttl`"), "{problem}");
}

#[test]
fn a_rule_that_only_shortens_fails_closed() {
    let rule = |action: &str| {
        parse(&format!("rules: [{{ name: a, on: identity.updated, do: {action}, when: 'identity.email.size() > 3' }}]"))
    };
    let mut nobody = of_ana();
    nobody.identity.as_mut().unwrap().profile.email = None;
    let matched = |action| decide(&rule(action), IdentityUpdated, &nobody).rules.len();
    assert_eq!((matched("shorten_ttl"), matched("recheck")), (1, 0));
}
