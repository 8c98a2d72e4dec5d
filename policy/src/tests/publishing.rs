use std::collections::BTreeMap;

use insta::assert_snapshot;
use lifecycle::{IdentityView, Secret};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::{ana, render};
use crate::{KeyError, Names, PublishExpression};

const KEY: &str = "a key that is long enough";

fn parse(text: &str) -> PublishExpression {
    PublishExpression::parse(text).unwrap_or_else(|problems| panic!("{text}: {}", render(&problems)))
}

fn named(text: &str) -> BTreeMap<String, PublishExpression> {
    BTreeMap::from([("name".to_owned(), parse(text))])
}

fn values(text: &str, key: &str, identity: &IdentityView) -> Result<Vec<String>, String> {
    let names = Names::new(named(text), Some(&Secret::new(key))).unwrap();
    let (mut names, errors) = names.of(identity);
    match errors.first() {
        Some(error) => Err(format!("{}: {}", error.name, error.error)),
        None => Ok(names.remove("name").unwrap_or_default()),
    }
}

/// HMAC (RFC 2104) from its definition.
fn hmac(key: &str, text: &str) -> String {
    let mut block = [0u8; 64];
    match key.len() {
        0..=64 => block[..key.len()].copy_from_slice(key.as_bytes()),
        _ => block[..32].copy_from_slice(&Sha256::digest(key)),
    }
    let inner = Sha256::new().chain_update(block.map(|byte| byte ^ 0x36)).chain_update(text).finalize();
    hex::encode(Sha256::new().chain_update(block.map(|byte| byte ^ 0x5c)).chain_update(inner).finalize())
}

#[test]
fn a_hidden_name_is_what_the_standard_computes() {
    // RFC 4231, test case 1.
    let known = "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7";
    let mut bo = ana();
    bo.profile.email = Some("Hi There".to_owned());
    assert_eq!(values("hmac(identity.email)", &"\u{b}".repeat(20), &bo).unwrap()[0], known);
}

proptest! {
    #[test]
    fn a_hidden_name_can_be_computed_by_a_subscriber_as_it_is_and_in_lower_case(key in ".{16,80}", email in ".{1,20}") {
        let mut bo = ana();
        bo.profile.email = Some(email.clone());
        let mut expected = vec![hmac(&key, &email)];
        if email != email.to_lowercase() {
            expected.push(hmac(&key, &email.to_lowercase()));
        }
        prop_assert_eq!(values("hmac(identity.email)", &key, &bo), Ok(expected));
    }
}

#[test]
fn names_are_values_as_of_a_subject_and_may_be_hidden() {
    let hidden = |text: &str| hmac(KEY, text);
    for (text, expected) in [
        ("account('corp').id", vec!["c-1".to_owned()]),
        ("'mail:' + hmac(identity.email)", vec![format!("mail:{}", hidden("ana@example.com"))]),
        ("hmac(account('corp').attributes.uid)", vec![hidden("1042")]),
        ("hmac(identity.userName.upperAscii())", vec![hidden("ANA"), hidden("ana")]),
        ("['c:' + account('corp').id, hmac(identity.userName)]", vec!["c:c-1".to_owned(), hidden("ana")]),
        ("account('corp').attributes.aliases.map(a, hmac(a))", ["a", "an", "3"].map(hidden).to_vec()),
        // No value is no name: the hash of nothing would be everybody's.
        ("hmac(identity.manager)", vec![]),
        ("hmac(account('crm').externalId)", vec![]),
        ("hmac(identity.userName.replace('ana', ''))", vec![]),
        ("[hmac(identity.manager), hmac(identity.userName)]", vec![hidden("ana")]),
    ] {
        assert_eq!(values(text, KEY, &ana()), Ok(expected), "{text}");
    }
    let error = values("hmac(account('corp').attributes.on)", KEY, &ana());
    assert_eq!(error, Err("name: `hmac` does not take (bool)".to_owned()));
}

#[test]
fn a_name_that_cannot_be_had_does_not_keep_the_others_back() {
    let expressions = BTreeMap::from([
        ("broken".to_owned(), parse("account('corp').attributes")),
        ("none".to_owned(), parse("account('crm').id")),
        ("sub".to_owned(), parse("account('corp').id")),
    ]);
    let (names, errors) = Names::new(expressions, None).unwrap().of(&ana());
    assert_eq!(names, BTreeMap::from([("sub".to_owned(), vec!["c-1".to_owned()])]));
    assert_eq!(errors.iter().map(|error| error.name.as_str()).collect::<Vec<_>>(), ["broken"]);
}

#[test]
fn only_opaque_and_hidden_values_are_not_personal() {
    let lines: Vec<String> = [
        "account('corp').id",
        "identity.id",
        "account('people').id",
        "['c:' + account('corp').id, account('corp')['id']]",
        "identity.kind + ':' + identity.id",
        "hmac(identity.email)",
        "hmac(account('corp').attributes.aliases[0].lowerAscii())",
        "account('corp').attributes.aliases.map(a, hmac(a))",
        "hmac([identity.email, identity.userName].filter(x, x != null)[0])",
        "identity.userName",
        "identity['email']",
        "account('corp').externalId",
        "account('corp').attributes.uid",
        "account('corp').attributes['aliases']",
        "account('corp').attributes.aliases.map(a, a)",
        "account('corp').attributes.aliases.filter(a, a != 'x').map(a, hmac(a))",
        "[identity.email].map(identity, identity)",
        "[identity.email].map(a, [a].map(b, hmac(b))[0])",
        "[identity.email].map(a, [a].map(b, b)[0])",
        "identity.employeeNumber == '1042' ? account('corp').id : hmac(identity.email)",
        "hmac(identity.email) + identity.email",
        "identity['e' + 'mail']",
    ]
    .into_iter()
    .map(|text| format!("{text}: {}", parse(text).personal_reads(|source| source == "people").join(", ")))
    .collect();
    assert_snapshot!(lines.join("\n"), @r#"
    account('corp').id: 
    identity.id: 
    account('people').id: account("people").id
    ['c:' + account('corp').id, account('corp')['id']]: 
    identity.kind + ':' + identity.id: 
    hmac(identity.email): 
    hmac(account('corp').attributes.aliases[0].lowerAscii()): 
    account('corp').attributes.aliases.map(a, hmac(a)): 
    hmac([identity.email, identity.userName].filter(x, x != null)[0]): 
    identity.userName: identity.userName
    identity['email']: identity.email
    account('corp').externalId: account("corp").externalId
    account('corp').attributes.uid: account("corp").attributes.uid
    account('corp').attributes['aliases']: account("corp").attributes.aliases
    account('corp').attributes.aliases.map(a, a): account("corp").attributes.aliases
    account('corp').attributes.aliases.filter(a, a != 'x').map(a, hmac(a)): 
    [identity.email].map(identity, identity): identity.email
    [identity.email].map(a, [a].map(b, hmac(b))[0]): 
    [identity.email].map(a, [a].map(b, b)[0]): identity.email
    identity.employeeNumber == '1042' ? account('corp').id : hmac(identity.email): identity.employeeNumber
    hmac(identity.email) + identity.email: identity.email
    identity['e' + 'mail']: identity
    "#);
}

#[test]
fn a_wrong_name_is_refused_with_its_place() {
    let problems: Vec<String> = [
        "hmac()",
        "hmac(identity.email, 'key')",
        "hmac(identity.mail)",
        "identity.email.hmac()",
        "hmc(identity.email)",
        "hmac(identity.email == 'x')",
        "hmac(account('corp'))",
        "group.name",
        "'everybody'",
        "hmac('everybody')",
        "identity.kind + identity.state",
    ]
    .into_iter()
    .map(|text| format!("{text}\n{}", render(&PublishExpression::parse(text).unwrap_err())))
    .collect();
    assert_snapshot!(problems.join("\n\n"), @r#"
    hmac()
    1:1+4 `hmac` takes one text, as in `hmac(identity.email)`

    hmac(identity.email, 'key')
    1:1+4 `hmac` takes one text, as in `hmac(identity.email)`

    hmac(identity.mail)
    1:15+4 `identity` has no field `mail`
      known: id, userName, email, employeeNumber, department, manager, displayName, state, kind, generation
      help: a similar field is `email`

    identity.email.hmac()
    1:16+4 there is no method `hmac`
      known: all, charAt, contains, endsWith, exists, exists_one, filter, format, getDate, getDayOfMonth, getDayOfWeek, getDayOfYear, getFullYear, getHours, getMilliseconds, getMinutes, getMonth, getSeconds, indexOf, join, lastIndexOf, lowerAscii, map, matches, replace, reverse, size, split, startsWith, substring, trim, upperAscii

    hmc(identity.email)
    1:1+3 there is no function `hmc`
      known: account, bool, bytes, double, duration, dyn, has, hmac, int, matches, size, string, timestamp, type, uint
      help: a similar function is `hmac`

    hmac(identity.email == 'x')
    1:1+27 this names nobody: `hmac` does not take (bool)

    hmac(account('corp'))
    1:6+7 an account is read by its fields
      known: id, userName, externalId, email, attributes
      help: name one, as in `account("source").id`; it is null where there is no such account

    group.name
    1:1+5 there is no variable `group`
      known: identity, account("…")

    'everybody'
    1:1+11 this is no name: many people would have the same

    hmac('everybody')
    1:1+17 this is no name: many people would have the same

    identity.kind + identity.state
    1:1+30 this is no name: many people would have the same
    "#);
}

#[test]
fn what_hides_needs_a_key_that_cannot_be_guessed() {
    let refused = |text, key: Option<&str>| Names::new(named(text), key.map(Secret::new).as_ref()).err();
    assert_eq!(refused("hmac(identity.email)", None), Some(KeyError::Missing("name".to_owned())));
    assert_eq!(refused("hmac(identity.email)", Some("too short")), Some(KeyError::TooShort));
    assert_eq!(refused("account('corp').id", None), None);
    assert_eq!(refused("account('corp').id", Some("unused")), None);
}

#[test]
fn names_are_digested_anew_where_an_expression_or_the_key_in_use_changes() {
    let digest = |text, key| Names::new(named(text), Some(&Secret::new(key))).unwrap().digest().to_owned();
    let other = "another key that is long enough";
    assert_eq!(digest("hmac(identity.email)", KEY), digest("hmac(identity.email)", KEY));
    assert_ne!(digest("hmac(identity.email)", KEY), digest("hmac(identity.email)", other));
    assert_ne!(digest("hmac(identity.email)", KEY), digest("hmac(identity.userName)", KEY));
    assert_eq!(digest("account('corp').id", KEY), digest("account('corp').id", other));
    assert_ne!(digest("account('corp').id", KEY), Names::default().digest());
    let renamed = BTreeMap::from([("renamed".to_owned(), parse("account('corp').id"))]);
    assert_ne!(digest("account('corp').id", KEY), Names::new(renamed, None).unwrap().digest());
}

#[test]
fn the_key_is_in_no_debug_output_and_no_digest() {
    let names = Names::new(named("hmac(identity.email)"), Some(&Secret::new(KEY))).unwrap();
    assert_eq!(format!("{names:?}"), r#"{"name": "hmac(identity.email)"}"#);
    let told = format!("{names:#?}{}", names.digest());
    for form in [KEY.to_owned(), hex::encode(KEY), hex::encode(Sha256::digest(KEY))] {
        assert!(!told.contains(&form), "{form}");
    }
}

#[test]
fn names_are_shared_by_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Names>();
    shared::<PublishExpression>();
}
