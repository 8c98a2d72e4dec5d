use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue};
use lifecycle::account::Profile;
use lifecycle::{Context, EventType};
use proptest::prelude::*;
use serde_json::Value;

use super::{ana, group, parse};
use crate::expression::evaluate;
use crate::facts::Facts;
use crate::vocabulary::{FUNCTIONS, METHODS};
use crate::{EvaluationError, Policy, SubjectExpression};

const NASTY: &str = r#"
rules:
  - { name: a, on: identity.updated, when: 'event.data.a + 1 > event.data.b * 2 || event.data.a[0] == event.data', do: revoke_sessions }
  - { name: b, on: identity.updated, when: 'event.data.all(k, event.data[k] == credential) && credential != null && credential.a.b.c < 3', do: lock }
  - { name: c, on: identity.updated, when: 'string(event.data.a).matches(string(event.data.b))', do: notify }
  - { name: d, on: identity.updated, when: 'identity.email.startsWith(identity.manager) && event.changed.exists(c, c == "email")', do: recheck }
  - { name: e, on: identity.updated, when: 'account("corp").attributes.x in account("corp").attributes', do: recheck, else: lock }
  - { name: f, on: identity.updated, when: 'timestamp(event.data.a) + duration(event.data.b) > timestamp(event.data.a)', do: notify }
  - { name: g, on: identity.updated, when: 'event.data.a / event.data.b == event.data.a % event.data.b || -event.data.a == 1', do: notify }
  - { name: h, on: identity.updated, when: '{event.data.a: 1, event.data.b: 2}[event.data.a] == 1', do: notify }
  - { name: i, on: identity.updated, when: 'event.data.a.substring(event.data.b) == event.data.a.format([event.data.b])', do: notify }
"#;

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (-2i64..3).prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
        "[0-9a-z(%.:+-]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[abcx]", inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

prop_compose! {
    fn context()(email in prop::option::of(".{0,6}"), manager in prop::option::of(".{0,6}"), attributes in json(),
                 credential in prop::option::of(json()), known in any::<bool>(), privileged in prop::option::of(any::<bool>())) -> Context {
        let mut identity = ana();
        identity.profile = Profile { email, manager, ..Profile::default() };
        identity.accounts.get_mut("corp").unwrap().attributes = attributes;
        Context { identity: known.then_some(identity), before: None, group: privileged.map(group), credential }
    }
}

proptest! {
    #[test]
    fn a_decision_is_made_whatever_the_facts_are(context in context(), a in json(), b in json(), data in json(), changed in prop::collection::vec(".{0,4}", 0..3)) {
        let policy = parse(NASTY);
        for data in [data, serde_json::json!({ "a": a, "b": b })] {
            let decision = policy.decide(EventType::IdentityUpdated, &changed, &data, &context);
            for error in &decision.errors {
                prop_assert_eq!(error.matched, decision.rules.contains(&error.rule));
                prop_assert!(!error.matched || error.rule == "a", "only the rule that ends sessions fails closed");
            }
            prop_assert_eq!(policy.decide(EventType::IdentityUpdated, &changed, &data, &context), decision);
        }
    }

    #[test]
    fn a_subject_is_evaluated_whatever_the_attributes_are(attributes in json()) {
        let mut identity = ana();
        identity.accounts.get_mut("corp").unwrap().attributes = attributes;
        for text in ["account('corp').attributes", "account('corp').attributes.a", "[account('corp').attributes.a.b, identity.email]"] {
            let values = SubjectExpression::parse(text).unwrap().evaluate(&identity);
            prop_assert!(values.is_err() || values.unwrap().iter().all(|value| !value.is_empty()));
        }
    }

    #[test]
    fn any_text_is_read_to_a_policy_or_to_problems_inside_it(text in prop_oneof![".{0,60}", "(rules|: |\n|\\[|\\{|\\}|\\]|- |name|when|on|do|'|\"|&a|\\*a|!|\\||>|é|x|,){0,30}"]) {
        let lines = text.matches('\n').count() + 1;
        for problem in Policy::parse(&text).map_or_else(|problems| problems, |_| Vec::new()) {
            prop_assert!((1..=lines).contains(&problem.line) && problem.column >= 1 && problem.length >= 1);
        }
    }

    #[test]
    fn any_expression_is_compiled_or_refused_inside_its_text(text in prop_oneof![".{0,40}", "(identity|event|\\.|email|data|\\(|\\)|'|==|&&| |has|account|\\[|\\]|1|x|\\?|:|é|in|\n){0,20}"]) {
        let quoted = serde_json::to_string(&text).unwrap();
        let file = format!("rules: [{{ name: r, on: identity.updated, when: {quoted}, do: notify }}]");
        for problem in Policy::parse(&file).map_or_else(|problems| problems, |_| Vec::new()) {
            prop_assert!(problem.line == 1 && problem.column >= 1 && problem.column <= file.chars().count(), "{problem:?}");
        }
        for problem in SubjectExpression::parse(&text).map_or_else(|problems| problems, |_| Vec::new()) {
            prop_assert!(problem.column >= 1 && problem.length >= 1);
        }
    }
}

/// A name that is only in our lists would pass the check and then be refused by the interpreter.
#[test]
fn the_interpreter_knows_every_function_that_the_check_lets_pass() {
    let null = || IdedExpr { id: 0, expr: Expr::Literal(LiteralValue::Null) };
    let call = |name: &str, target| {
        let call = CallExpr { func_name: name.to_owned(), target, args: vec![null()] };
        evaluate(&IdedExpr { id: 0, expr: Expr::Call(call) }, &Facts::default(), |_| Ok(()))
    };
    for name in FUNCTIONS.iter().filter(|name| !["account", "type", "dyn"].contains(name)) {
        assert!(matches!(call(name, None), Err(EvaluationError::NoSuchOverload { .. })), "{name}");
    }
    for name in METHODS {
        assert!(matches!(call(name, Some(Box::new(null()))), Err(EvaluationError::NoSuchOverload { .. })), "{name}");
    }
    assert_eq!(call("unheard", None), Err(EvaluationError::Refused));
}

#[test]
fn a_policy_is_shared_by_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Policy>();
    shared::<SubjectExpression>();
}
