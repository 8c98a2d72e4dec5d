//! What an operator sees of every kind of problem.

use std::path::Path;

use insta::assert_snapshot;

use super::tests::{errors, read};
use super::{Environment, load};
use crate::style::View;

#[test]
fn an_unknown_key_names_the_known_ones_and_the_similar_one() {
    let source = r#"
        sources:
          people:
            connector: { type: csv, path: people.csv, key: employeeNumber }
            brake: { max_disabled: "5%", min: 20 }
    "#;
    let shown = errors(source, &[]);
    assert_snapshot!(shown, @r#"
        error: unknown key `max_disabled`
         --> leaver.yaml:4:14
        4 |     brake: { max_disabled: "5%", min: 20 }
          |              ^^^^^^^^^^^^
        known: burst, delete, expires, max_disable, min, privileged_loss
        help: a similar key is `max_disable`
    "#);
}

#[test]
fn the_known_keys_of_a_connector_depend_on_its_type() {
    let source = r#"
        sources:
          people: { connector: { type: csv, path: people.csv, keys: employeeNumber, map: { mail: Mail } } }
          okta: { connector: { type: scim, path: people.csv } }
          corp: { connector: { type: scmi } }
          crm: { connector: { path: x.csv } }
    "#;
    let shown = errors(source, &[]);
    assert_snapshot!(shown, @r#"
        error: unknown key `keys`
         --> leaver.yaml:2:55
        2 | …: { connector: { type: csv, path: people.csv, keys: employeeNumber, map: {…
          |                                                ^^^^
        known: delimiter, key, manifest, map, path, settle, type
        help: a similar key is `key`

        error: unknown key `mail`
         --> leaver.yaml:2:84
        2 | … type: csv, path: people.csv, keys: employeeNumber, map: { mail: Mail } } }
          |                                                             ^^^^
        known: employeeNumber, userName, email, givenName, familyName, department, manager, status, startDate, endDate, timezone, groups, active, suspended, left
        help: a similar key is `email`

        error: unknown key `path`
         --> leaver.yaml:3:36
        3 |   okta: { connector: { type: scim, path: *** } }
          |                                    ^^^^
        known: dialect, rate, tokens, type

        error: unknown type `scmi`
         --> leaver.yaml:4:30
        4 |   corp: { connector: { type: scmi } }
          |                              ^^^^
        known: csv, keycloak, scim
        help: a similar type is `scim`

        error: `connector` lacks the key `type`
         --> leaver.yaml:5:10
        5 |   crm: { connector: { path: x.csv } }
          |          ^^^^^^^^^
        known: csv, keycloak, scim

        5 problems in leaver.yaml
    "#);
}

#[test]
fn all_problems_are_reported_at_once_in_the_order_of_the_file() {
    let source = r#"
        http: { public: "localhost:8470", admin: [] }
        sources:
          people:
            connector: { type: csv, path: people.csv, key: 5, settle: 2 parsecs }
            timezone: Europe/Berln
            absence: gone
            brake: { max_disable: 5%, min: many, burst: { window: 60 } }
        downstreams:
          web:
            adapter: { type: redis, layout: spring }
            subject: identity.userName
            sweeps: [1s, soon, 5s]
        hands: { mass: -1 }
        edge: {}
    "#;
    let shown = errors(source, &[]);
    assert_snapshot!(shown, @r#"
        error: wrong value for `public`
         --> leaver.yaml:1:17
        1 | http: { public: "localhost:8470", admin: [] }
          |                 ^^^^^^^^^^^^^^^^
        help: an address is an IP address and a port: `127.0.0.1:8470`
        caused by: invalid socket address syntax

        error: `admin` must be text, not a list
         --> leaver.yaml:1:35
        1 | http: { public: "localhost:8470", admin: [] }
          |                                   ^^^^^
        help: write it as in `admin: "127.0.0.1:8471"`

        error: `key` must be text, not a number
         --> leaver.yaml:4:52
        4 |     connector: { type: csv, path: people.csv, key: 5, settle: 2 parsecs }
          |                                                    ^
        help: put it in quotes: `key: "5"`

        error: wrong value for `settle`
         --> leaver.yaml:4:63
        4 |     connector: { type: csv, path: people.csv, key: 5, settle: 2 parsecs }
          |                                                               ^^^^^^^^^
        help: a duration is a number and a unit: `250ms`, `30s`, `5m`, `7d`
        caused by: expected a duration

        error: wrong value for `timezone`
         --> leaver.yaml:5:15
        5 |     timezone: Europe/Berln
          |               ^^^^^^^^^^^^
        help: a similar zone is `Europe/Berlin`
        caused by: failed to parse timezone: 'Europe/Berln'

        error: unknown absence `gone`
         --> leaver.yaml:6:14
        6 |     absence: gone
          |              ^^^^
        known: disable, delete, ignore

        error: `min` must be a whole number, not text
         --> leaver.yaml:7:36
        7 |     brake: { max_disable: 5%, min: many, burst: { window: 60 } }
          |                                    ^^^^

        error: `window` must be text, not a number
         --> leaver.yaml:7:59
        7 |     brake: { max_disable: 5%, min: many, burst: { window: 60 } }
          |                                                           ^^
        help: write it as in `window: "1m"`

        error: `adapter` lacks the key `url`
          --> leaver.yaml:10:5
        10 |     adapter: { type: redis, layout: spring }
           |     ^^^^^^^
        help: add `url: …`

        error: unknown layout `spring`
          --> leaver.yaml:10:37
        10 |     adapter: { type: redis, layout: spring }
           |                                     ^^^^^^
        known: connect-redis, flask-session, spring-session, generic

        error: wrong value for `sweeps`
          --> leaver.yaml:12:18
        12 |     sweeps: [1s, soon, 5s]
           |                  ^^^^
        help: a duration is a number and a unit: `250ms`, `30s`, `5m`, `7d`
        caused by: expected a duration

        error: `mass` must be at least 0
          --> leaver.yaml:13:16
        13 | hands: { mass: -1 }
           |                ^^

        error: unknown key `edge`
          --> leaver.yaml:14:1
        14 | edge: {}
           | ^^^^
        known: break_glass, bus, data_dir, database, downstreams, groups, hands, http, policy, postgres, publish, shadow, sources, traces

        13 problems in leaver.yaml
    "#);
}

#[test]
fn a_key_that_stands_twice_is_refused() {
    let source = r#"
        hands: { mass: 1 }
        break_glass: [root@example.com]
        hands: { mass: 2 }
    "#;
    let shown = errors(source, &[]);
    assert_snapshot!(shown, @r#"
        error: duplicate key `hands`
         --> leaver.yaml:3:1
        3 | hands: { mass: 2 }
          | ^^^^^
        help: keep one of the two; the other is in line 1
    "#);
}

#[test]
fn what_is_not_yaml_is_shown_where_it_breaks() {
    let source = r#"
        http:
          public: [1, 2
        hands: { mass: 1 }
    "#;
    let shown = errors(source, &[]);
    assert_snapshot!(shown, @r#"
        error: this is not YAML
         --> leaver.yaml:3:6
        3 | hands: { mass: 1 }
          |      ^
        caused by: illegal placement of ':' indicator
    "#);
}

#[test]
fn a_text_that_is_not_yaml_shows_no_secret() {
    let source = r#"
        downstreams:
          web:
            adapter: { type: redis, url: "redis://:hunter2@cache, layout: [ }
    "#;
    let shown = errors(source, &[]);
    assert_snapshot!(shown, @r#"
        error: this is not YAML
         --> leaver.yaml:3:34
        3 |     adapter: { type: redis, url: ***
          |                                  ^^^
        caused by: unclosed quote
    "#);
}

#[test]
fn a_missing_secret_is_named_and_never_shown() {
    let source = r#"
        database: { url: "env:DATABASE_URL" }
        sources:
          okta: { connector: { type: scim, tokens: ["file:okta.token", "env:EMPTY", 12345] } }
    "#;
    let shown = errors(source, &[("EMPTY", "")]);
    assert_snapshot!(shown, @r#"
        error: the environment variable `DATABASE_URL` is not set
         --> leaver.yaml:1:18
        1 | database: { url: "env:DATABASE_URL" }
          |                  ^^^^^^^^^^^^^^^^^^
        help: set it where leaver is started, or name a file: `file:PATH` instead of `env:DATABASE_URL`

        error: the secret file `okta.token` cannot be read
         --> leaver.yaml:3:45
        3 | … connector: { type: scim, tokens: ["file:okta.token", "env:EMPTY", ***] } }
          |                                     ^^^^^^^^^^^^^^^^^
        help: a relative path is looked for beside the configuration
        caused by: No such file or directory (os error 2)

        error: the environment variable `EMPTY` is empty
         --> leaver.yaml:3:64
        3 | … connector: { type: scim, tokens: ["file:okta.token", "env:EMPTY", ***] } }
          |                                                        ^^^^^^^^^^^
        help: set it where leaver is started, or name a file: `file:PATH` instead of `env:EMPTY`

        error: `tokens` must be text, not a number
         --> leaver.yaml:3:77
        3 | … connector: { type: scim, tokens: ["file:okta.token", "env:EMPTY", ***] } }
          |                                                                     ^^^
        help: put it in quotes

        4 problems in leaver.yaml
    "#);
}

#[test]
fn a_literal_secret_is_masked_in_the_line_of_another_problem() {
    let source = r#"
        downstreams:
          web:
            adapter: { type: redis, url: "redis://:hunter2@cache", layuot: connect-redis, path: u } # hunter2
            subject: identity.userName
          shop:
            adapter: { type: redis, ulr: "redis://:hunter2@cache", layout: connect-redis, path: u }
            subject: identity.userName
        break_glas: ["https://root:hunter2@example.com/x?password=hunter2"]
    "#;
    let shown = errors(source, &[]);
    assert_snapshot!(shown, @r#"
        error: unknown key `layuot`
         --> leaver.yaml:3:60
        3 |     adapter: { type: redis, url: ***, layuot: connect-redis, path: u }
          |                                       ^^^^^^
        known: cluster, index, indexed, layout, master, namespace, path, prefix, recheck, sentinel_password, sentinels, session, session_index, timeout, tls, type, url
        help: a similar key is `layout`

        error: unknown key `ulr`
         --> leaver.yaml:6:29
        6 |     adapter: { type: redis, ulr: ***, layout: connect-redis, path: u }
          |                             ^^^
        known: cluster, index, indexed, layout, master, namespace, path, prefix, recheck, sentinel_password, sentinels, session, session_index, timeout, tls, type, url
        help: a similar key is `url`

        error: unknown key `break_glas`
         --> leaver.yaml:8:1
        8 | break_glas: ["https://root:***@example.com/x?password=***"]
          | ^^^^^^^^^^
        known: break_glass, bus, data_dir, database, downstreams, groups, hands, http, policy, postgres, publish, shadow, sources, traces
        help: a similar key is `break_glass`

        3 problems in leaver.yaml
    "#);
}

#[test]
fn an_override_that_is_wrong_names_its_variable() {
    let source = r#"
        hands: { mass: 1 }
    "#;
    let shown = errors(
        source,
        &[
            ("LEAVER__HANDS__MAS", "3"),
            ("LEAVER__HTTP__ADMIN", "nowhere"),
            ("LEAVER__SOURCES__OKTA_PROD__CONNECTOR__TYPE", "scin"),
            ("LEAVER__DATABASE__URL", "env:NOPE"),
        ],
    );
    assert_snapshot!(shown, @r#"
        error: the environment variable `NOPE` is not set
         --> LEAVER__DATABASE__URL
        help: set it where leaver is started, or name a file: `file:PATH` instead of `env:NOPE`

        error: unknown key `mas`
         --> LEAVER__HANDS__MAS
        known: mass
        help: a similar key is `mass`

        error: wrong value for `admin`
         --> LEAVER__HTTP__ADMIN
        help: an address is an IP address and a port: `127.0.0.1:8470`
        caused by: invalid socket address syntax

        error: unknown type `scin`
         --> LEAVER__SOURCES__OKTA_PROD__CONNECTOR__TYPE
        known: csv, keycloak, scim
        help: a similar type is `scim`

        4 problems in leaver.yaml
    "#);
}

#[test]
fn names_become_parts_of_urls_so_they_are_plain() {
    let source = r#"
        sources:
          Okta Prod: { connector: { type: scim } }
        downstreams:
          web_1:
            adapter: { type: redis, url: "redis://cache", layout: connect-redis, path: passport.user }
            subject: identity.userName
    "#;
    let shown = errors(source, &[]);
    assert_snapshot!(shown, @r#"
        error: a source cannot be named `Okta Prod`: lower-case letters, digits and dashes make a name
         --> leaver.yaml:2:3
        2 |   Okta Prod: { connector: { type: scim } }
          |   ^^^^^^^^^
        help: name it `okta-prod`

        error: a downstream cannot be named `web_1`: lower-case letters, digits and dashes make a name
         --> leaver.yaml:4:3
        4 |   web_1:
          |   ^^^^^
        help: name it `web-1`

        2 problems in leaver.yaml
    "#);
}

#[test]
fn keys_of_an_adapter_that_do_not_go_together_are_shown_with_their_line() {
    let source = r#"
        downstreams:
          web:
            adapter: { type: redis, url: "redis://cache", layout: connect-redis }
            subject: identity.userName
          portal:
            adapter: { type: sql, url: "env:PORTAL", layout: django, find: "select $1" }
            subject: identity.userName
    "#;
    let shown = errors(source, &[("PORTAL", "postgres://db/portal")]);
    assert_snapshot!(shown, @r#"
        error: layout connect-redis needs `path`
         --> leaver.yaml:3:5
        3 |     adapter: { type: redis, url: ***, layout: connect-redis }
          |     ^^^^^^^

        error: `layout` brings statements of its own: remove `layout` or `find`
         --> leaver.yaml:6:5
        6 |     adapter: { type: sql, url: "env:PORTAL", layout: django, find: "select …
          |     ^^^^^^^

        2 problems in leaver.yaml
    "#);
}

#[test]
fn what_a_source_follows_and_rules_must_be_known_fields() {
    let source = r#"
        sources:
          people:
            connector: { type: csv, path: people.csv, key: employeeNumber }
            schedule: "61 * * * *"
            correlate: [email, username]
            authority: [lifecycle, managr]
          corp: { connector: { type: scim }, schedule: "* * * * * * *", snapshot_schedule: "nightly" }
    "#;
    let shown = errors(source, &[]);
    assert_snapshot!(shown, @r#"
        error: `61 * * * *` is no schedule
         --> leaver.yaml:4:15
        4 |     schedule: "61 * * * *"
          |               ^^^^^^^^^^^^
        help: a schedule has 5 fields, or 6 with seconds first: `*/5 * * * *`
        caused by: Component error: Number out of bounds

        error: `correlate` does not know `email`
         --> leaver.yaml:5:17
        5 |     correlate: [email, username]
          |                 ^^^^^
        known: employeeNumber, userName

        error: `correlate` does not know `username`
         --> leaver.yaml:5:24
        5 |     correlate: [email, username]
          |                        ^^^^^^^^
        known: employeeNumber, userName
        help: a similar field is `userName`

        error: `authority` does not know `managr`
         --> leaver.yaml:6:28
        6 |     authority: [lifecycle, managr]
          |                            ^^^^^^
        known: lifecycle, userName, email, employeeNumber, displayName, department, manager
        help: a similar field is `manager`

        error: `* * * * * * *` is no schedule
         --> leaver.yaml:7:48
        7 | …nnector: { type: scim }, schedule: "* * * * * * *", snapshot_schedule: "ni…
          |                                     ^^^^^^^^^^^^^^^
        help: a schedule has 5 fields, or 6 with seconds first: `*/5 * * * *`
        caused by: Invalid pattern: Pattern must have 5 or 6 fields when years are disallowed

        error: `nightly` is no schedule
         --> leaver.yaml:7:84
        7 | …: { type: scim }, schedule: "* * * * * * *", snapshot_schedule: "nightly" }
          |                                                                  ^^^^^^^^^
        help: a schedule has 5 fields, or 6 with seconds first: `*/5 * * * *`
        caused by: Invalid pattern: Pattern must have 5 or 6 fields when years are disallowed

        6 problems in leaver.yaml
    "#);
}

#[test]
fn a_subject_is_an_expression_over_sources_that_exist() {
    let source = r#"
        sources:
          corp: { connector: { type: scim } }
        downstreams:
          web:
            adapter: { type: redis, url: "redis://cache", layout: connect-redis, path: passport.user }
            subject: 'account("crop").id'
            sweeps: []
          portal:
            adapter: { type: redis, url: "redis://cache", layout: connect-redis, path: passport.user }
            subject: identity.usrName
          shop:
            adapter: { type: redis, url: "redis://cache", layout: connect-redis, path: passport.user }
            subject: identity.(
    "#;
    let shown = errors(source, &[]);
    assert_snapshot!(shown, @r#"
        error: there is no source `crop`
         --> leaver.yaml:6:24
        6 |     subject: 'account("crop").id'
          |                        ^^^^
        known: corp
        help: a similar source is `corp`

        error: `sweeps` is empty, so nobody would look whether sessions came back
         --> leaver.yaml:7:5
        7 |     sweeps: []
          |     ^^^^^^
        help: remove it: the default is `[200ms, 1s, 5s, 30s, 120s]`

        error: `identity` has no field `usrName`
          --> leaver.yaml:10:23
        10 |     subject: identity.usrName
           |                       ^^^^^^^
        known: id, userName, email, employeeNumber, department, manager, displayName, state, kind, generation
        help: a similar field is `userName`

        error: unexpected `.(`
          --> leaver.yaml:13:23
        13 |     subject: identity.(
           |                       ^

        4 problems in leaver.yaml
    "#);
}

#[test]
fn parts_that_contradict_each_other_are_refused() {
    let source = r#"
        http: { public: "127.0.0.1:8471" }
        database: { url: "postgres://db/leaver" }
        postgres: { binaries: /opt/postgres }
        groups: { privileged: ["admins", "prod-[*"] }
    "#;
    let shown = errors(source, &[]);
    assert_snapshot!(shown, @r#"
        error: `admin` and `public` have the same address, 127.0.0.1:8471
         --> leaver.yaml:1:17
        1 | http: { public: "127.0.0.1:8471" }
          |                 ^^^^^^^^^^^^^^^^
        help: give them different ports; port 0 is any free one

        error: `postgres` is for the embedded one, but there is a `database`
         --> leaver.yaml:3:1
        3 | postgres: { binaries: /opt/postgres }
          | ^^^^^^^^
        help: remove one of the two sections

        error: a pattern for the names of groups does not compile
         --> leaver.yaml:4:34
        4 | groups: { privileged: ["admins", "prod-[*"] }
          |                                  ^^^^^^^^^
        caused by: unclosed character class; missing ']'

        3 problems in leaver.yaml
    "#);
}

#[test]
fn attributes_of_groups_that_make_none_privileged_are_refused() {
    let source = r#"
        groups:
          privileged: [admins]
          privileged_by:
            - { attribute: "", values: [] }
            - { attribute: tier, values: [0], value: "1" }
            - { attribute: tier }
    "#;
    let shown = errors(source, &[]);
    assert_snapshot!(shown, @r#"
        error: `attribute` is empty, so no group is privileged by it
         --> leaver.yaml:4:20
        4 |     - { attribute: "", values: [] }
          |                    ^^
        help: name one: `attribute: tier`

        error: `values` is empty, so no group is privileged by it
         --> leaver.yaml:4:24
        4 |     - { attribute: "", values: [] }
          |                        ^^^^^^
        help: say which values make a group privileged: `values: ["0"]`

        error: `values` must be text, not a number
         --> leaver.yaml:5:35
        5 |     - { attribute: tier, values: [0], value: "1" }
          |                                   ^
        help: put it in quotes: `values: "0"`

        error: unknown key `value`
         --> leaver.yaml:5:39
        5 |     - { attribute: tier, values: [0], value: "1" }
          |                                       ^^^^^
        known: attribute, values
        help: a similar key is `values`

        error: `privileged_by` lacks the key `values`
         --> leaver.yaml:6:7
        6 |     - { attribute: tier }
          |       ^
        help: add `values: …`

        5 problems in leaver.yaml
    "#);
}

#[test]
fn columns_count_characters_and_nothing_steers_the_terminal() {
    let source = r#"
        hands: { "mäss": 1, ünk: 2 }
        "\e[31m": 1
    "#;
    let shown = errors(source, &[]);
    assert_snapshot!(shown, @r#"
        error: unknown key `mäss`
         --> leaver.yaml:1:10
        1 | hands: { "mäss": 1, ünk: *** }
          |          ^^^^^^
        known: mass
        help: a similar key is `mass`

        error: unknown key `ünk`
         --> leaver.yaml:1:21
        1 | hands: { "mäss": 1, ünk: *** }
          |                     ^^^
        known: mass

        error: unknown key `\u{1b}[31m`
         --> leaver.yaml:2:1
        2 | "\e[31m": ***
          | ^^^^^^^^
        known: break_glass, bus, data_dir, database, downstreams, groups, hands, http, policy, postgres, publish, shadow, sources, traces

        3 problems in leaver.yaml
    "#);
}

#[test]
fn an_alias_cannot_grow_without_bound() {
    let source = r#"
        a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]
        b: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]
        c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b, *b]
        d: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c, *c]
        e: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d, *d]
    "#;
    let shown = errors(source, &[]);
    assert_snapshot!(shown, @r#"
        error: this is not YAML
         --> leaver.yaml:5:40
        5 | e: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d, *d]
          |                                        ^^
        caused by: too many values
    "#);
}

#[test]
fn a_name_with_nothing_behind_it_is_not_passed_over() {
    let source = r#"
        sources:
          people:
          crm: { connector: { type: csv, path: x.csv, key: id, map: { email: } } }
    "#;
    let shown = errors(source, &[]);
    assert_snapshot!(shown, @r#"
        error: `people` lacks the key `connector`
         --> leaver.yaml:2:3
        2 |   people:
          |   ^^^^^^
        help: add `connector: …`

        error: `email` must be text, not nothing
         --> leaver.yaml:3:68
        3 |   crm: { connector: { type: csv, path: x.csv, key: id, map: { email: } } }
          |                                                                    ^

        2 problems in leaver.yaml
    "#);
}

#[test]
fn a_file_is_one_mapping() {
    let source = r#"
        - a
        - b
    "#;
    let shown = errors(source, &[]);
    assert_snapshot!(shown, @r#"
        error: a configuration is a mapping, not a list
         --> leaver.yaml:1:1
        1 | - ***
          | ^
    "#);
}

#[test]
fn problems_of_the_policy_follow_those_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("leaver.yaml");
    std::fs::write(&path, "policy: policy.yaml\nhands: { mas: 1 }\n").unwrap();
    let rule = "rules:\n  - { name: leaver, on: [identity.departed], do: [revoke_sessions], downstreams: [web] }\n";
    std::fs::write(folder.path().join("policy.yaml"), rule).unwrap();
    let problems = load(&path, &Environment::new()).unwrap_err();
    let shown = problems.render(View::PLAIN).replace(&format!("{}/", folder.path().display()), "");
    assert_snapshot!(shown, @r#"
        error: unknown key `mas`
         --> leaver.yaml:2:10
        2 | hands: { mas: 1 }
          |          ^^^
        known: mass
        help: a similar key is `mass`

        error: rule "leaver": there is no downstream `web`
         --> policy.yaml:2:83
        2 | …eaver, on: [identity.departed], do: [revoke_sessions], downstreams: [web] }
          |                                                                       ^^^

        2 problems in leaver.yaml, policy.yaml
    "#);
    std::fs::remove_file(folder.path().join("policy.yaml")).unwrap();
    std::fs::write(&path, "policy: policy.yaml\n").unwrap();
    assert_snapshot!(load(&path, &Environment::new()).unwrap_err().0[0].message, @"the policy cannot be read");
}

#[test]
fn a_file_that_is_not_there_says_how_to_name_one() {
    let problems = load(Path::new("nowhere/leaver.yaml"), &Environment::new()).unwrap_err();
    assert_snapshot!(problems.render(View::PLAIN), @r#"
        error: there is no configuration
         --> nowhere/leaver.yaml
        help: name one with `leaver up -c FILE`; examples/leaver.yaml is one to begin with
    "#);
}

#[test]
fn what_goes_out_is_opaque_and_hashed_with_a_key_that_cannot_be_guessed() {
    let source = r#"
        publish:
          subjects:
            corp_sub: account("corp").id
            Mail: identity.email
            name: hmac(identity.userName)
            sub: account("people").id
            typo: identity.emial
        sources:
          corp: { connector: { type: scim } }
          people: { connector: { type: csv, path: people.csv, key: userName } }
    "#;
    assert_snapshot!(errors(source, &[]), @r#"
        error: a name of subjects cannot be `Mail`: lower-case letters, digits, underscores and dashes make a name
         --> leaver.yaml:4:5
        4 |     Mail: identity.email
          |     ^^^^
        help: name it `mail`

        error: `identity.email` is personal, and would stand on the bus for all to read
         --> leaver.yaml:4:11
        4 |     Mail: identity.email
          |           ^^^^^^^^^^^^^^
        help: write `hmac(identity.email)`, or say `publish.allow_personal_data: true` if that is what you want

        error: `hmac` needs a key that subscribers have, too
         --> leaver.yaml:5:11
        5 |     name: hmac(identity.userName)
          |           ^^^^
        help: add `publish.hmac_key: "env:PUBLISH_KEY"`

        error: `account("people").id` is personal, and would stand on the bus for all to read
         --> leaver.yaml:6:10
        6 |     sub: account("people").id
          |          ^^^^^^^^^^^^^^^^^^^^
        help: write `hmac(account("people").id)`, or say `publish.allow_personal_data: true` if that is what you want

        error: `identity` has no field `emial`
         --> leaver.yaml:7:20
        7 |     typo: identity.emial
          |                    ^^^^^
        known: id, userName, email, employeeNumber, department, manager, displayName, state, kind, generation
        help: a similar field is `email`

        5 problems in leaver.yaml
    "#);
    let source = r#"
        publish: { hmac_key: "env:KEY", subjects: { name: hmac(identity.userName), corp: account("corp").id } }
    "#;
    assert_snapshot!(errors(source, &[("KEY", "hunter2")]), @r#"
        error: `hmac_key` is shorter than 16 characters, so names could be guessed from hashes
         --> leaver.yaml:1:22
        1 | publish: { hmac_key: "env:KEY", subjects: { name: hmac(identity.userName), …
          |                      ^^^^^^^^^
        help: make one with `openssl rand -hex 32`

        error: there is no source `corp`
         --> leaver.yaml:1:91
        1 | …Y", subjects: { name: hmac(identity.userName), corp: account("corp").id } }
          |                                                                ^^^^

        2 problems in leaver.yaml
    "#);
}

#[test]
fn what_carries_events_and_traces_has_an_address() {
    let source = r#"
        bus: { kafka: { broker: "localhost:9092", replication: 0 } }
        traces: { otlp: "localhost:4317", ratio: 1.5 }
    "#;
    assert_snapshot!(errors(source, &[]), @r#"
        error: unknown key `broker`
         --> leaver.yaml:1:17
        1 | bus: { kafka: { broker: "localhost:9092", replication: 0 } }
          |                 ^^^^^^
        known: brokers, group, prefix, replication, sasl, tls
        help: a similar key is `brokers`

        error: `replication` must be at least 1
         --> leaver.yaml:1:56
        1 | bus: { kafka: { broker: "localhost:9092", replication: 0 } }
          |                                                        ^

        error: `otlp` is no address of a collector
         --> leaver.yaml:2:17
        2 | traces: { otlp: "localhost:4317", ratio: 1.5 }
          |                 ^^^^^^^^^^^^^^^^
        help: write `http://HOST:4318`: OTLP goes over HTTP

        error: `ratio` must be at most 1
         --> leaver.yaml:2:42
        2 | traces: { otlp: "localhost:4317", ratio: 1.5 }
          |                                          ^^^

        4 problems in leaver.yaml
    "#);
    let source = r#"
        bus: { kafka: { brokers: "kafka://localhost", sasl: { mechanism: SCRAM, username: leaver, password: hunter2 } } }
        traces: { otlp: "localhost:4317" }
    "#;
    let shown = errors(source, &[]);
    assert_snapshot!(shown, @r#"
        error: wrong value for `brokers`
         --> leaver.yaml:1:26
        1 | bus: { kafka: { brokers: "kafka://localhost", sasl: { mechanism: SCRAM, use…
          |                          ^^^^^^^^^^^^^^^^^^^
        caused by: `kafka://localhost` is no HOST:PORT

        error: unknown mechanism `SCRAM`
         --> leaver.yaml:1:66
        1 | …ers: "kafka://localhost", sasl: { mechanism: SCRAM, username: leaver, pass…
          |                                               ^^^^^
        known: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512

        error: `otlp` is no address of a collector
         --> leaver.yaml:2:17
        2 | traces: { otlp: "localhost:4317" }
          |                 ^^^^^^^^^^^^^^^^
        help: write `http://HOST:4318`: OTLP goes over HTTP

        3 problems in leaver.yaml
    "#);
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn colour_marks_what_is_wrong_and_what_to_paste() {
    let problems = read("hands: { mas: 1 }\n", &[]).unwrap_err();
    let shown = problems.render(View { colour: true, ..View::PLAIN }).replace('\u{1b}', "");
    assert_snapshot!(shown, @r#"
        [31merror[0m[1m: unknown key `mas`[0m
         [2m-->[0m leaver.yaml:1:10
        [2m1 |[0m hands: { mas: 1 }
        [2m  |[0m          [31m^^^[0m
        known: mass
        help: a similar key is `[36mmass[0m`
    "#);
}

#[test]
fn a_narrow_view_keeps_what_is_wrong_in_sight() {
    let source =
        "break_glass: [a@example.com, b@example.com, c@example.com, d@example.com], hands: { mass: 1, mas: 2 }";
    let source = format!("{{ {source}, x: 1, groups: {{ privileged: [a, b, c, d, e, f, g, h, i, j, k, l] }} }}\n");
    let problems = read(&source, &[]).unwrap_err();
    let shown = problems.render(View { width: Some(60), unicode: false, colour: false });
    assert_snapshot!(shown, @r"
        error: unknown key `mas`
         --> leaver.yaml:1:96
        1 | ...example.com], hands: { mass: 1, mas: 2 }, x: ***, ...
          |                                    ^^^
        known: mass
        help: a similar key is `mass`

        error: unknown key `x`
         --> leaver.yaml:1:106
        1 | ...com], hands: { mass: 1, mas: 2 }, x: ***, groups: ...
          |                                      ^
        known: break_glass, bus, data_dir, database, ...

        2 problems in leaver.yaml
    ");
    assert!(shown.lines().all(|line| line.chars().count() <= 60), "{shown}");
}

#[test]
fn a_problem_is_also_a_document() {
    let problems = read("hands: { mas: 1 }\n", &[("LEAVER__HANDS__X", "1")]).unwrap_err();
    assert_snapshot!(serde_json::to_string(&problems).unwrap(), @r#"[{"file":"leaver.yaml","line":1,"column":10,"length":3,"message":"unknown key `mas`","known":["mass"],"help":"a similar key is `mass`"},{"file":"leaver.yaml","variable":"LEAVER__HANDS__X","message":"unknown key `x`","known":["mass"]}]"#);
}
