use insta::assert_snapshot;

use super::{parse, render};
use crate::Policy;

fn problems(text: &str) -> String {
    render(&Policy::parse(text).map(|_| ()).unwrap_err())
}

/// The problems of a rule whose `when` stands as it is written in YAML, from column 48 of line 1.
fn scalar(written: &str) -> String {
    problems(&format!("rules: [{{ name: r, on: identity.updated, when: {written}, do: notify }}]"))
}

/// The problems of a rule with this expression, from column 7 of line 5; or that it has none.
fn when(expression: &str) -> String {
    let rule =
        format!("rules:\n  - name: r\n    on: identity.updated\n    when: |-\n      {expression}\n    do: notify\n");
    Policy::parse(&rule).map_or_else(|problems| render(&problems), |_| "loads".to_owned())
}

#[test]
fn every_problem_of_a_file_is_reported_at_once_with_its_place() {
    assert_snapshot!(problems(
        r#"rules:
  - { name: leaver, on: [identity.suspendd, identity.departed], do: [revoke_sessions, kill] }
  - { name: leaver, on: [], do: [], downstreams: [], unless: x }
  - name: mover
    on: [identity.updated]
    when: 'identity.departement == "Q" && identity.boss != null'
    do: [recheck]
    name: again
  - { on: { a: b }, when: [x], else: lokc }
  - 7
example: []
examples:
  - { given: { event: { type: membership.remvoed, changed: [departement] }, group: { priviledged: true } }, expect: [revoke] }
  - { given: { event: {}, identity: { state: gone, kind: bot, id: 7, generation: x, accounts: { corp: { uid: 1 } } } } }
  - { expect: [] }
"#
    ), @r#"
    2:26+17 unknown event type `identity.suspendd`
      known: identity.created, identity.updated, identity.activated, identity.suspended, identity.departed, identity.reinstated, identity.merged, identity.erased, group.created, group.updated, group.deleted, group.vanished, membership.added, membership.removed, credential.issued, credential.rotated, credential.expiring, credential.orphaned, credential.revoked, source.baselined, source.held, source.released, source.backed_off, source.recovered
      help: a similar event type is `identity.suspended`
    2:87+4 unknown action `kill`
      known: notify, recheck, shorten_ttl, revoke_credentials, revoke_refresh, revoke_sessions, lock
    3:13+6 another rule is named "leaver", in line 2
    3:25+1 rule "leaver": `on` is empty
    3:33+1 rule "leaver": `do` is empty
    3:50+1 rule "leaver": `downstreams` names none; leave it out to mean all
    3:54+6 unknown key `unless`
      known: name, on, when, do, downstreams, else, lock_for, shorten_to, brake
    6:21+11 rule "mover": `identity` has no field `departement`
      known: id, userName, email, employeeNumber, department, manager, displayName, state, kind, generation
      help: a similar field is `department`
    6:52+4 rule "mover": `identity` has no field `boss`
      known: id, userName, email, employeeNumber, department, manager, displayName, state, kind, generation
    8:5+4 `name` is there twice
    9:5+1 a rule needs `name`
    9:5+1 rule 4 needs `do`
    9:11+1 `on` is a list
    9:27+1 `when` is text
    9:38+4 unknown action `lokc`
      known: notify, recheck, shorten_ttl, revoke_credentials, revoke_refresh, revoke_sessions, lock
      help: a similar action is `lock`
    10:5+1 a rule is a map
      known: name, on, when, do, downstreams, else, lock_for, shorten_to, brake
    11:1+7 unknown key `example`
      known: rules, examples
      help: a similar key is `examples`
    13:31+18 unknown event type `membership.remvoed`
      known: identity.created, identity.updated, identity.activated, identity.suspended, identity.departed, identity.reinstated, identity.merged, identity.erased, group.created, group.updated, group.deleted, group.vanished, membership.added, membership.removed, credential.issued, credential.rotated, credential.expiring, credential.orphaned, credential.revoked, source.baselined, source.held, source.released, source.backed_off, source.recovered
      help: a similar event type is `membership.removed`
    13:61+11 unknown changed field `departement`
      known: userName, email, employeeNumber, displayName, department, manager
      help: a similar changed field is `department`
    13:86+11 unknown key `priviledged`
      known: id, name, privileged
      help: a similar key is `privileged`
    13:118+6 unknown action `revoke`
      known: notify, recheck, shorten_ttl, revoke_credentials, revoke_refresh, revoke_sessions, lock
    14:5+1 an example needs `expect`
    14:23+1 an event needs `type`
    14:46+4 unknown state `gone`
      known: staged, active, suspended, departed, merged, erased
    14:58+3 unknown kind `bot`
      known: human, service, workload, agent
    14:67+1 `id` of an identity is a UUID
    14:82+1 `generation` is a whole number
    14:105+3 unknown key `uid`
      known: id, userName, externalId, email, attributes
      help: a similar key is `id`
    15:5+1 an example needs `given`
    "#);
}

#[test]
fn a_file_that_is_not_a_policy_is_refused() {
    let all: Vec<String> = [
        "# nothing",
        "",
        "rules",
        "examples: []",
        "rules: { a: b }",
        "rules: [",
        "rules: 'x",
        "rules: []\n---\nrules: []",
        "a: &a [x]\nrules: *a",
        "rules: !!seq []",
        "rules:\n - { name: ~, on: identity.updated, do: notify }",
    ]
    .into_iter()
    .map(|text| format!("{text}\n{}", problems(text)))
    .collect();
    assert_snapshot!(all.join("\n\n"), @r#"
    # nothing
    1:1+1 a policy needs `rules`


    1:1+1 a policy needs `rules`

    rules
    1:1+5 a policy is a map
      known: rules, examples

    examples: []
    1:1+1 a policy needs `rules`

    rules: { a: b }
    1:8+1 `rules` is a list

    rules: [
    1:8+1 this is not YAML: unclosed bracket '['

    rules: 'x
    1:8+1 this is not YAML: unclosed quote

    rules: []
    ---
    rules: []
    2:1+3 a second document in one file

    a: &a [x]
    rules: *a
    2:8+2 aliases are not read here: write the value out

    rules: !!seq []
    1:14+1 tags are not read here: write the value without one

    rules:
     - { name: ~, on: identity.updated, do: notify }
    2:12+1 `name` is text
    "#);
}

#[test]
fn a_syntax_error_in_an_expression_has_its_place_in_the_file() {
    let all: Vec<String> = [
        "a ==",
        "'a = b'",
        "identity.email and true",
        "'it''s'",
        "\"\\\"é\\\" == (identity.email\"",
        "1 + + 2",
        "''",
        "has(identity)",
        "'event.changed.map(1, 2)'",
        "a.?b",
        "99999999999999999999",
    ]
    .into_iter()
    .map(|text| format!("{text}\n{}", scalar(text)))
    .collect();
    assert_snapshot!(all.join("\n\n"), @r#"
    a ==
    1:52+1 rule "r": the expression ends too early

    'a = b'
    1:51+1 rule "r": unexpected `=`
      help: compare with `==`

    identity.email and true
    1:63+3 rule "r": unexpected `and`
      help: write `&&`

    'it''s'
    1:51+3 rule "r": this quote is not closed

    "\"é\" == (identity.email"
    1:73+1 rule "r": `)` is missing at the end

    1 + + 2
    1:52+1 rule "r": unexpected `+`

    ''
    1:48+2 `when` is empty

    has(identity)
    1:52+1 rule "r": `has` takes one field, as in `has(event.data.risk)`

    'event.changed.map(1, 2)'
    1:67+1 rule "r": argument must be a simple name

    a.?b
    1:49+1 rule "r": unsupported syntax `.?`

    99999999999999999999
    1:48+1 rule "r": invalid int literal
    "#);
}

#[test]
fn an_unknown_name_in_an_expression_has_its_place_in_the_file() {
    let all: Vec<String> = [
        "identity.username == 'a'",
        "identity . mail == 'a'",
        "identity['mail'] == 'a'",
        "has(identity.mail)",
        "has(identity.email)",
        "identity.email.domain == 'a'",
        "identty.email == 'a'",
        "event.kind == 'a'",
        "group.nme == 'a'",
        "account('corp').uid == 'a'",
        "account('corp') == null",
        "account(identity.email).id == null",
        "startswith(identity.email, 'a')",
        "identity.email.startswith('a')",
        "identity.email.startsWith(identity.mail)",
        "event.changed.exist(c, c == 'email')",
        "event.changed.exists(c)",
        "event.changed.exists(c, c == 'mail')",
        "'mail' in event.changed",
        "identity.state == 'suspnded'",
        "identity.kind in ['human', 'bot']",
        "event.type != 'identity.update'",
        "identity.email.matches('(')",
        "Foo{bar: 1} == null",
        "hmac(identity.email) == 'a'",
        "account('').id == 'a'",
        "has(account('id').id)",
        "{'a': identity.mail}.a == 'a'",
        "[identity.mail][0] == 'a'",
        "event.changed.exists(identity, identity == 'email')",
    ]
    .into_iter()
    .map(|text| format!("{text}\n{}", when(text)))
    .collect();
    assert_snapshot!(all.join("\n\n"), @r#"
    identity.username == 'a'
    5:16+8 rule "r": `identity` has no field `username`
      known: id, userName, email, employeeNumber, department, manager, displayName, state, kind, generation
      help: a similar field is `userName`

    identity . mail == 'a'
    5:18+4 rule "r": `identity` has no field `mail`
      known: id, userName, email, employeeNumber, department, manager, displayName, state, kind, generation
      help: a similar field is `email`

    identity['mail'] == 'a'
    5:16+6 rule "r": `identity` has no field `mail`
      known: id, userName, email, employeeNumber, department, manager, displayName, state, kind, generation
      help: a similar field is `email`

    has(identity.mail)
    5:20+4 rule "r": `identity` has no field `mail`
      known: id, userName, email, employeeNumber, department, manager, displayName, state, kind, generation
      help: a similar field is `email`

    has(identity.email)
    5:20+5 rule "r": `has` is always true of `identity.email`
      help: a value that is absent is null: write `identity.email != null`

    identity.email.domain == 'a'
    5:22+6 rule "r": `identity.email` has no fields

    identty.email == 'a'
    5:7+7 rule "r": there is no variable `identty`
      known: event, identity, group, credential, account("…")
      help: a similar variable is `identity`

    event.kind == 'a'
    5:13+4 rule "r": `event` has no field `kind`
      known: type, changed, data

    group.nme == 'a'
    5:13+3 rule "r": `group` has no field `nme`
      known: id, name, privileged
      help: a similar field is `name`

    account('corp').uid == 'a'
    5:23+3 rule "r": `account("corp")` has no field `uid`
      known: id, userName, externalId, email, attributes
      help: a similar field is `id`

    account('corp') == null
    5:7+7 rule "r": an account is read by its fields
      known: id, userName, externalId, email, attributes
      help: name one, as in `account("source").id`; it is null where there is no such account

    account(identity.email).id == null
    5:7+7 rule "r": account takes the name of a source in quotes: account("corp")

    startswith(identity.email, 'a')
    5:7+10 rule "r": there is no function `startswith`
      known: account, bool, bytes, double, duration, dyn, has, int, matches, size, string, timestamp, type, uint

    identity.email.startswith('a')
    5:22+10 rule "r": there is no method `startswith`
      known: all, charAt, contains, endsWith, exists, exists_one, filter, format, getDate, getDayOfMonth, getDayOfWeek, getDayOfYear, getFullYear, getHours, getMilliseconds, getMinutes, getMonth, getSeconds, indexOf, join, lastIndexOf, lowerAscii, map, matches, replace, reverse, size, split, startsWith, substring, trim, upperAscii
      help: a similar method is `startsWith`

    identity.email.startsWith(identity.mail)
    5:42+4 rule "r": `identity` has no field `mail`
      known: id, userName, email, employeeNumber, department, manager, displayName, state, kind, generation
      help: a similar field is `email`

    event.changed.exist(c, c == 'email')
    5:21+5 rule "r": there is no method `exist`
      known: all, charAt, contains, endsWith, exists, exists_one, filter, format, getDate, getDayOfMonth, getDayOfWeek, getDayOfYear, getFullYear, getHours, getMilliseconds, getMinutes, getMonth, getSeconds, indexOf, join, lastIndexOf, lowerAscii, map, matches, replace, reverse, size, split, startsWith, substring, trim, upperAscii
      help: a similar method is `exists`

    event.changed.exists(c)
    5:21+6 rule "r": `exists` takes a name and what to do with it, as in `list.exists(x, x == 1)`

    event.changed.exists(c, c == 'mail')
    5:36+6 rule "r": there is no changed field `mail`
      known: userName, email, employeeNumber, displayName, department, manager
      help: a similar changed field is `email`

    'mail' in event.changed
    5:7+6 rule "r": there is no changed field `mail`
      known: userName, email, employeeNumber, displayName, department, manager
      help: a similar changed field is `email`

    identity.state == 'suspnded'
    5:25+10 rule "r": there is no state `suspnded`
      known: staged, active, suspended, departed, merged, erased
      help: a similar state is `suspended`

    identity.kind in ['human', 'bot']
    5:34+5 rule "r": there is no kind `bot`
      known: human, service, workload, agent

    event.type != 'identity.update'
    5:21+17 rule "r": there is no event type `identity.update`
      known: identity.created, identity.updated, identity.activated, identity.suspended, identity.departed, identity.reinstated, identity.merged, identity.erased, group.created, group.updated, group.deleted, group.vanished, membership.added, membership.removed, credential.issued, credential.rotated, credential.expiring, credential.orphaned, credential.revoked, source.baselined, source.held, source.released, source.backed_off, source.recovered
      help: a similar event type is `identity.updated`

    identity.email.matches('(')
    5:30+3 rule "r": this is not a regular expression

    Foo{bar: 1} == null
    5:10+1 rule "r": there is no type `Foo`

    hmac(identity.email) == 'a'
    5:7+4 rule "r": there is no function `hmac`
      known: account, bool, bytes, double, duration, dyn, has, int, matches, size, string, timestamp, type, uint

    account('').id == 'a'
    5:7+7 rule "r": account takes the name of a source in quotes: account("corp")

    has(account('id').id)
    5:25+2 rule "r": `has` is always true of `account("id").id`
      help: a value that is absent is null: write `account("id").id != null`

    {'a': identity.mail}.a == 'a'
    5:22+4 rule "r": `identity` has no field `mail`
      known: id, userName, email, employeeNumber, department, manager, displayName, state, kind, generation
      help: a similar field is `email`

    [identity.mail][0] == 'a'
    5:17+4 rule "r": `identity` has no field `mail`
      known: id, userName, email, employeeNumber, department, manager, displayName, state, kind, generation
      help: a similar field is `email`

    event.changed.exists(identity, identity == 'email')
    loads
    "#);
}

#[test]
fn a_condition_that_cannot_be_decided_is_refused_when_the_policy_loads() {
    let all: Vec<String> = [
        "identity.email",
        "'yes'",
        "event.data",
        "identity.email > 3",
        "identity.generation == 1 ? true : identity.email",
        "group.privileged",
        "credential.provider == 'aws'",
        "credential != null && credential.provider == 'aws'",
        "event.data.a > event.data.b",
        "account('corp').id.startsWith('c')",
        "account('corp').id > 3",
        "identity.generation + 'x' == 'y'",
        "size(identity.generation) == 1",
    ]
    .into_iter()
    .map(|text| format!("{text}\n{}", when(text)))
    .collect();
    assert_snapshot!(all.join("\n\n"), @r#"
    identity.email
    5:7+14 rule "r": `when` is true or false, this is a string

    'yes'
    5:7+5 rule "r": `when` is true or false, this is a string

    event.data
    5:7+10 rule "r": `when` is true or false, this is a map

    identity.email > 3
    5:7+18 rule "r": `when` cannot be decided for identity.updated: `>` does not take (string, int)

    identity.generation == 1 ? true : identity.email
    loads

    group.privileged
    5:7+16 rule "r": `group` is null in an event identity.updated
      help: ask first, as in `group != null && …`, or leave identity.updated to a rule of its own

    credential.provider == 'aws'
    5:7+28 rule "r": `credential` is null in an event identity.updated
      help: ask first, as in `credential != null && …`, or leave identity.updated to a rule of its own

    credential != null && credential.provider == 'aws'
    loads

    event.data.a > event.data.b
    loads

    account('corp').id.startsWith('c')
    loads

    account('corp').id > 3
    5:7+22 rule "r": `when` cannot be decided for identity.updated: `>` does not take (string, int)

    identity.generation + 'x' == 'y'
    5:7+32 rule "r": `when` cannot be decided for identity.updated: `+` does not take (int, string)

    size(identity.generation) == 1
    5:7+30 rule "r": `when` cannot be decided for identity.updated: `size` does not take (int)
    "#);
}

#[test]
fn a_place_is_found_in_every_way_to_write_a_scalar() {
    assert_snapshot!(problems(
        r#"rules:
  - name: literal
    on: identity.updated
    when: |
      identity.email != null &&
        identity.mail == 'é'
    do: notify
  - name: folded
    on: identity.updated
    when: >-
      identity.email != null &&

      identity.mail == 'é'
    do: notify
  - name: plain
    on: identity.updated
    when: identity.email != 'é' &&
      identity.mail == 'é'
    do: notify
  - name: quoted
    on: identity.updated
    when: "identity.email != \"\u00e9\" && \
      identity.mail == \"é\""
    do: notify
  - { name: ünïcödé, on: identity.updated, when: 'identity.email != ''é'' && identity.mail == ''é''', do: notify }
"#
    ), @r#"
    6:18+4 rule "literal": `identity` has no field `mail`
      known: id, userName, email, employeeNumber, department, manager, displayName, state, kind, generation
      help: a similar field is `email`
    13:16+4 rule "folded": `identity` has no field `mail`
      known: id, userName, email, employeeNumber, department, manager, displayName, state, kind, generation
      help: a similar field is `email`
    18:16+4 rule "plain": `identity` has no field `mail`
      known: id, userName, email, employeeNumber, department, manager, displayName, state, kind, generation
      help: a similar field is `email`
    23:16+4 rule "quoted": `identity` has no field `mail`
      known: id, userName, email, employeeNumber, department, manager, displayName, state, kind, generation
      help: a similar field is `email`
    25:87+4 rule "ünïcödé": `identity` has no field `mail`
      known: id, userName, email, employeeNumber, department, manager, displayName, state, kind, generation
      help: a similar field is `email`
    "#);
}

#[test]
fn line_ends_and_a_byte_order_mark_move_no_place() {
    let rule = "rules:\n  - name: r\n    on: identity.updated\n    when: identity.mail == null\n    do: notify\n";
    let plain = problems(rule);
    assert_eq!(problems(&rule.replace('\n', "\r\n")), plain);
    assert_eq!(problems(&format!("\u{feff}{rule}")), plain);
}

#[test]
fn nesting_without_end_is_a_problem_and_no_crash() {
    let too_deep = |count: usize, open: &str, close: &str| {
        let expression = format!("{}1{} == 1", open.repeat(count), close.repeat(count));
        when(&expression).contains("the expression nests deeper than 32 operators")
    };
    for (open, close) in [("[", "]"), ("{1:", "}"), ("1+(", ")"), ("", "+1"), ("", ".a"), ("", "[0]"), ("true?1:", "")]
    {
        for count in [33, 90, 200, 1_000] {
            assert!(too_deep(count, open, close), "{count} {open} {close}");
        }
        assert!(!too_deep(20, open, close), "{open} {close}");
    }
    // What is let through is evaluated here, on the small stack of a test.
    for count in 1..40 {
        when(&format!("{}a == 1{}", "[1].exists(a, ".repeat(count), ")".repeat(count)));
        when(&format!("{}1{} == 1", "[".repeat(count), "][0]".repeat(count)));
    }
    assert!(too_deep(1_000, "(", ")"));
    assert!(!too_deep(50, "(", ")"), "brackets alone do not nest");
    assert!(when(&format!("1{} == 1", "+1".repeat(5_000))).contains("longer than 10000 characters"));
    assert!(problems(&"[".repeat(10_000)).contains("this is not YAML"));
}

#[test]
fn a_condition_that_needs_values_is_a_warning_that_says_what_happens_without() {
    let policy = parse(
        "rules:
  - { name: domain, on: identity.updated, when: identity.email.endsWith('.test'), do: revoke_sessions }
  - { name: locks, on: identity.updated, when: identity.email.endsWith('.test'), do: lock }
  - { name: sound, on: identity.updated, when: identity.email != null && identity.email.endsWith('.test'), do: lock }
  - { name: free, on: identity.updated, when: event.data.a.b == 1, do: lock }
  - { name: account, on: identity.updated, when: account('corp').id.startsWith('c'), do: lock }",
    );
    assert_snapshot!(render(policy.warnings()), @r#"
    2:49+32 rule "domain": `when` cannot be decided where a value is null: `endsWith` does not take (null, string); it then counts as matched
      help: ask first, as in `identity.email != null && …`
    3:48+32 rule "locks": `when` cannot be decided where a value is null: `endsWith` does not take (null, string); it then does not match
      help: ask first, as in `identity.email != null && …`
    6:50+34 rule "account": `when` cannot be decided where a value is null: `startsWith` does not take (null, string); it then does not match
      help: ask first, as in `identity.email != null && …`
    "#);
}

#[test]
fn unknown_downstreams_and_sources_are_found_once_the_configuration_is_known() {
    let text = "rules:
  - { name: a, on: identity.updated, do: notify, downstreams: [web, protal] }
  - { name: b, on: identity.updated, do: notify, downstreams: ssso, when: account('crm').id == null }";
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let problems = Policy::parse_for(text, &names(&["web", "portal", "sso"]), &names(&["corp"])).unwrap_err();
    assert_snapshot!(render(&problems), @r#"
    2:69+6 rule "a": there is no downstream `protal`
      known: portal, sso, web
      help: a similar downstream is `portal`
    3:63+4 rule "b": there is no downstream `ssso`
      known: portal, sso, web
      help: a similar downstream is `sso`
    3:84+3 rule "b": there is no source `crm`
      known: corp
    "#);
    assert!(Policy::parse_for(text, &names(&["web", "protal", "ssso"]), &names(&["crm"])).is_ok());
}

#[test]
fn a_brake_is_a_count_and_a_window_on_something_that_can_be_held() {
    let told = problems(
        r#"rules:
  - { name: a, on: identity.departed, do: notify, brake: { count: 5, window: 60s } }
  - { name: b, on: identity.updated, do: notify, brake: { count: many, window: 2h } }
  - { name: c, on: identity.updated, do: notify, brake: { window: 5m, per: x } }
  - { name: d, on: identity.updated, do: notify, brake: 5 }
"#,
    );
    for expected in [
        "rule \"a\": `brake` would never hold anything",
        "rule \"b\": `count` is a whole number",
        "rule \"b\": `window` is a number and a unit",
        "unknown key `per`",
        "rule \"c\": `brake` needs `count`",
        "rule \"d\": `brake` is a map",
    ] {
        assert!(told.contains(expected), "{expected} is not in\n{told}");
    }
}
