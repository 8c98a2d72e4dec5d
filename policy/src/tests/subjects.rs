use insta::assert_snapshot;
use lifecycle::account::Profile;

use super::{ana, render};
use crate::SubjectExpression;

fn values(text: &str) -> Result<Vec<String>, String> {
    let expression = SubjectExpression::parse(text).unwrap_or_else(|problems| panic!("{}", render(&problems)));
    expression.evaluate(&ana()).map_err(|error| error.to_string())
}

#[test]
fn a_subject_is_what_a_downstream_calls_the_person() {
    for (text, expected) in [
        ("identity.userName", &["ana"][..]),
        ("identity.email.lowerAscii().split('@')[0]", &["ana"]),
        ("account(\"corp\").id", &["c-1"]),
        ("'user:' + account('corp').id", &["user:c-1"]),
        ("account('corp').attributes.uid", &["1042"]),
        ("account('corp').attributes.big", &["18446744073709551615"]),
        ("account('corp').attributes.half", &["0.5"]),
        ("account('corp').attributes.aliases", &["a", "an", "3"]),
        ("[identity.userName, account('corp').userName, identity.email]", &["ana", "ana@example.com"]),
        ("identity.generation", &["2"]),
        ("[account('corp').attributes.aliases, identity.userName]", &["a", "an", "3", "ana"]),
        // No value is no mapping, not an error.
        ("identity.manager", &[]),
        ("account('crm').id", &[]),
        ("account('crm').attributes.uid", &[]),
        ("account('corp').attributes.none", &[]),
        ("'user:' + account('crm').id", &[]),
        ("identity.manager + '@example.com'", &[]),
        ("''", &[]),
        ("[]", &[]),
        ("[account('crm').attributes.uid, identity.userName, identity.manager]", &["ana"]),
        ("identity.manager != null ? identity.manager : identity.email", &["ana@example.com"]),
    ] {
        assert_eq!(values(text), Ok(expected.iter().map(|v| (*v).to_owned()).collect()), "{text}");
    }
}

#[test]
fn a_result_that_is_nobodys_name_is_an_error_without_values() {
    let errors: Vec<String> = [
        "account('corp').attributes.on",
        "account('corp').attributes",
        "[identity.userName, account('corp').attributes.on]",
        "account('corp').attributes.aliases.map(a, a == 'a')",
        "account('corp').attributes.uid + '@example.com'",
        "int(identity.userName)",
    ]
    .into_iter()
    .map(|text| values(text).unwrap_err())
    .collect();
    assert_snapshot!(errors.join("\n"), @r#"
    the result is a bool, not text or a list of texts
    the result is a map, not text or a list of texts
    the result is a bool, not text or a list of texts
    the result is a list of something else, not a list of texts
    `+` does not take (int, string)
    an operation refused the values that it was given
    "#);
}

#[test]
fn the_sources_of_a_subject_are_known_before_it_runs() {
    let subject = SubjectExpression::parse("[account('corp').id, account('a.b)').id, account('corp').email]").unwrap();
    assert_eq!(subject.sources(), ["a.b)", "corp"]);
    assert_eq!(subject.text(), "[account('corp').id, account('a.b)').id, account('corp').email]");
    let mut bo = ana();
    let account = bo.accounts["corp"].clone();
    bo.accounts.insert("a.b)".to_owned(), lifecycle::AccountView { id: "odd".to_owned(), ..account });
    assert_eq!(subject.evaluate(&bo).unwrap(), ["c-1", "odd"]);
    bo.accounts.clear();
    bo.profile = Profile::default();
    assert_eq!(subject.evaluate(&bo).unwrap(), [""; 0]);
}

#[test]
fn a_wrong_subject_is_refused_with_its_place() {
    let problems: Vec<String> = [
        "identity.username",
        "",
        "group.name",
        "event.type",
        "account(corp).id",
        "account(\"corp\")",
        "account(\"corp\").uid",
        "account(\"corp\").attributes.uid + identity.mail",
        "identity.email.lower()",
        "hmac(identity.email)",
        "identity.email ==",
        "identity.email == null",
        "identity",
        "account('corp').id + 1",
    ]
    .into_iter()
    .map(|text| format!("{text}\n{}", render(&SubjectExpression::parse(text).unwrap_err())))
    .collect();
    assert_snapshot!(problems.join("\n\n"), @r#"
    identity.username
    1:10+8 `identity` has no field `username`
      known: id, userName, email, employeeNumber, department, manager, displayName, state, kind, generation
      help: a similar field is `userName`


    1:1+1 the expression is empty

    group.name
    1:1+5 there is no variable `group`
      known: identity, account("…")

    event.type
    1:1+5 there is no variable `event`
      known: identity, account("…")

    account(corp).id
    1:1+7 account takes the name of a source in quotes: account("corp")

    account("corp")
    1:1+7 an account is read by its fields
      known: id, userName, externalId, email, attributes
      help: name one, as in `account("source").id`; it is null where there is no such account

    account("corp").uid
    1:17+3 `account("corp")` has no field `uid`
      known: id, userName, externalId, email, attributes
      help: a similar field is `id`

    account("corp").attributes.uid + identity.mail
    1:43+4 `identity` has no field `mail`
      known: id, userName, email, employeeNumber, department, manager, displayName, state, kind, generation
      help: a similar field is `email`

    identity.email.lower()
    1:16+5 there is no method `lower`
      known: all, charAt, contains, endsWith, exists, exists_one, filter, format, getDate, getDayOfMonth, getDayOfWeek, getDayOfYear, getFullYear, getHours, getMilliseconds, getMinutes, getMonth, getSeconds, indexOf, join, lastIndexOf, lowerAscii, map, matches, replace, reverse, size, split, startsWith, substring, trim, upperAscii

    hmac(identity.email)
    1:1+4 there is no function `hmac`
      known: account, bool, bytes, double, duration, dyn, has, int, matches, size, string, timestamp, type, uint

    identity.email ==
    1:18+1 the expression ends too early

    identity.email == null
    1:1+22 this names nobody: the result is a bool, not text or a list of texts

    identity
    1:1+8 this names nobody: the result is a map, not text or a list of texts

    account('corp').id + 1
    1:1+22 this names nobody: `+` does not take (string, int)
    "#);
}
