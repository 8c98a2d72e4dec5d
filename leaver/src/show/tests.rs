//! Each view as an operator sees it on a terminal of 80 columns, in a pipe, in colour and without UTF-8.

use chrono::{DateTime, Utc};
use insta::assert_snapshot;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::table::{self, Table};
use super::*;
use crate::style::View;

const TERMINAL: View = View { colour: false, unicode: true, width: Some(80) };
const COLOUR: View = View { colour: true, ..TERMINAL };
const ASCII: View = View { unicode: false, ..TERMINAL };

fn read<T: DeserializeOwned>(json: Value) -> T {
    serde_json::from_value(json).unwrap()
}

fn now() -> DateTime<Utc> {
    "2026-11-21T09:14:00Z".parse().unwrap()
}

/// Escapes as words, so that a snapshot can be read.
fn spelled(text: &str) -> String {
    let mut out = text.replace("\u{1b}[0m", "{/}");
    for (code, name) in [("1", "bold"), ("2", "dim"), ("31", "red"), ("32", "green"), ("33", "yellow"), ("36", "cyan")]
    {
        out = out.replace(&format!("\u{1b}[{code}m"), &format!("{{{name}}}"));
    }
    out
}

fn ana() -> Value {
    json!({
        "id": "5d1cbb0e-0f0a-4f0e-9a53-6c1a0f5f7a21", "kind": "human", "state": "suspended", "generation": 1, "version": 7,
        "userName": "ana@example.com", "email": "ana@example.com", "employeeNumber": "1042", "displayName": "Ana",
        "department": "Finance", "manager": "jo@example.com", "unresolved": false,
        "accounts": [
            {"source": "people", "native_id": "1042", "active": true, "held": false, "standing": "active", "seen": "2026-11-21T09:00:04.112Z"},
            {"source": "okta", "native_id": "c3f1a6de-2b7e-4c1f-8a55-1e9d7b3f0a42", "active": false, "held": true, "standing": "inactive", "seen": "2026-11-21T09:12:03.630417Z"},
            {"source": "corp", "native_id": "7f0c", "active": null, "held": false, "standing": "unknown", "seen": "2026-11-21T09:11:30.008Z"},
        ],
        "why": "okta says inactive; one inactive account suspends, whatever others say",
        "groups": ["admins", "prod-db"],
        "receipts": [
            {"downstream": "web", "state": "settled", "ended": 2, "resurrected": 0},
            {"downstream": "sso", "state": "stuck", "ended": 1, "resurrected": 1},
        ],
    })
}

#[test]
fn an_identity() {
    assert_snapshot!(identity::detail(&read(ana()), TERMINAL), @r"
    ana@example.com   human   suspended   5d1cbb0e-0f0a-4f0e-9a53-6c1a0f5f7a21
    why   okta says inactive; one inactive account suspends, whatever others say
    generation 1, version 7, department Finance, manager jo@example.com
    groups admins, prod-db
    SOURCE  NATIVE ID                             ACTIVE       SEEN
    people  1042                                  true         2026-11-21T09:00:04.112Z
    okta    c3f1a6de-2b7e-4c1f-8a55-1e9d7b3f0a42  false, held  2026-11-21T09:12:03.630Z
    corp    7f0c                                  -            2026-11-21T09:11:30.008Z
    DOWNSTREAM  RECEIPT  ENDED  CAME BACK
    web         settled      2          0
    sso         stuck        1          1
    ");
    assert_snapshot!(spelled(&identity::detail(&read(ana()), COLOUR)), @r"
    {bold}ana@example.com{/}   human   {yellow}suspended{/}   {dim}5d1cbb0e-0f0a-4f0e-9a53-6c1a0f5f7a21{/}
    why   okta says inactive; one inactive account suspends, whatever others say
    generation 1, version 7, department Finance, manager jo@example.com
    groups admins, prod-db
    {bold}SOURCE{/}  {bold}NATIVE ID{/}                             {bold}ACTIVE{/}       {bold}SEEN{/}
    people  {dim}1042{/}                                  true         {dim}2026-11-21T09:00:04.112Z{/}
    okta    {dim}c3f1a6de-2b7e-4c1f-8a55-1e9d7b3f0a42{/}  {yellow}false, held{/}  {dim}2026-11-21T09:12:03.630Z{/}
    corp    {dim}7f0c{/}                                  -            {dim}2026-11-21T09:11:30.008Z{/}
    {bold}DOWNSTREAM{/}  {bold}RECEIPT{/}  {bold}ENDED{/}  {bold}CAME BACK{/}
    web         {green}settled{/}      2          0
    sso         {red}stuck{/}        1          {red}1{/}
    ");
}

#[test]
fn an_identity_that_is_locked() {
    let mut ana = ana();
    let lock = |scopes: &[&str], by: Value| {
        json!({"revocation": "0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8", "at": "2026-11-21T09:12:03Z", "until": "2026-11-21T10:12:03Z",
               "scopes": scopes, "asked_by": by, "reason": by.as_str().map(|_| "stolen laptop")})
    };
    ana["locks"] = json!([lock(&["*"], json!("jo")), lock(&["web", "sso"], json!(null))]);
    let text = identity::detail(&read(ana), TERMINAL);
    let locked: Vec<&str> = text.lines().filter(|line| line.starts_with("locked")).collect();
    assert_snapshot!(locked.join("\n"), @r"
    locked until 2026-11-21T10:12:03.000Z, everywhere, by jo: stolen laptop
    locked until 2026-11-21T10:12:03.000Z, web, sso, by the policy
    ");
}

#[test]
fn an_identity_whose_sessions_end_later() {
    let mut ana = ana();
    let shortened = |scopes: &[&str]| {
        json!({"revocation": "0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8", "sessions_before": "2026-11-21T09:12:03Z",
               "due_at": "2026-11-21T09:27:03Z", "scopes": scopes})
    };
    ana["shortened"] = json!([shortened(&["*"]), shortened(&["web", "sso"])]);
    let text = identity::detail(&read(ana), TERMINAL);
    let shown: Vec<&str> = text.lines().filter(|line| line.starts_with("shortened")).collect();
    assert_snapshot!(shown.join("\n"), @r"
    shortened: sessions from before 2026-11-21T09:12:03.000Z end at 2026-11-21T09:27:03.000Z, everywhere
    shortened: sessions from before 2026-11-21T09:12:03.000Z end at 2026-11-21T09:27:03.000Z, web, sso
    ");
}

#[test]
fn identities() {
    let mut long = ana();
    long["userName"] = json!("a-very-long-name-that-somebody-was-given@subsidiary.example.com");
    long["state"] = json!("active");
    let mut rude = ana();
    rude["userName"] = json!("\u{1b}[31mred\u{202e}\nnext");
    let all: Vec<identity::Identity> = read(json!([ana(), long, rude]));
    assert_snapshot!(identity::list(&all, TERMINAL), @r"
    ID                                    KIND   STATE      NAME
    5d1cbb0e-0f0a-4f0e-9a53-6c1a0f5f7a21  human  suspended  ana@example.com
    5d1cbb0e-0f0a-4f0e-9a53-6c1a0f5f7a21  human  active     a-very-long-name-that-s…
    5d1cbb0e-0f0a-4f0e-9a53-6c1a0f5f7a21  human  suspended  \u{1b}[31mred\u{202e}\n…
    ");
    assert_snapshot!(identity::list(&all, View::PLAIN), @r"
    ID                                    KIND   STATE      NAME
    5d1cbb0e-0f0a-4f0e-9a53-6c1a0f5f7a21  human  suspended  ana@example.com
    5d1cbb0e-0f0a-4f0e-9a53-6c1a0f5f7a21  human  active     a-very-long-name-that-somebody-was-given@subsidiary.example.com
    5d1cbb0e-0f0a-4f0e-9a53-6c1a0f5f7a21  human  suspended  \u{1b}[31mred\u{202e}\nnext
    ");
    assert_snapshot!(identity::list(&all[1..2], ASCII), @r"
    ID                                    KIND   STATE   NAME
    5d1cbb0e-0f0a-4f0e-9a53-6c1a0f5f7a21  human  active  a-very-long-name-that-so...
    ");
}

fn hops() -> trace::Trace {
    let id = "0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8";
    read(json!({"identity": "5d1cbb0e-0f0a-4f0e-9a53-6c1a0f5f7a21", "hops": [
        {"at": "2026-11-21T09:12:03.417Z", "hop": "effective", "event_id": id, "where": "okta", "outcome": null, "ms": null},
        {"at": "2026-11-21T09:12:03.630Z", "hop": "received", "event_id": id, "where": "okta", "outcome": "SCIM PATCH", "ms": 213},
        {"at": "2026-11-21T09:12:03.634Z", "hop": "committed", "event_id": id, "outcome": "identity.suspended, version 7", "ms": 4},
        {"at": "2026-11-21T09:12:03.637Z", "hop": "published", "event_id": id, "where": "urgent", "outcome": null, "ms": 3},
        {"at": "2026-11-21T09:12:03.640Z", "hop": "decided", "event_id": id, "outcome": "leaver", "ms": 3},
        {"at": "2026-11-21T09:12:03.649Z", "hop": "applied", "event_id": id, "downstream": "web", "outcome": "ended 2", "ms": 9},
        {"at": "2026-11-21T09:12:03.652Z", "hop": "verified", "event_id": id, "downstream": "web", "outcome": "re-read found none", "ms": 3},
        {"at": "2026-11-21T09:14:03.702Z", "hop": "settled", "event_id": id, "downstream": "web", "outcome": "sweeps quiet", "ms": 120050},
        {"at": "2026-11-21T09:12:03.671Z", "hop": "applied", "event_id": id, "downstream": "sso", "outcome": "ended 1", "ms": 31},
        {"at": "2026-11-21T09:12:03.675Z", "hop": "verified", "event_id": id, "downstream": "sso", "outcome": "re-read found none", "ms": 4},
    ]}))
}

#[test]
fn a_trace() {
    assert_snapshot!(trace::show(&hops(), TERMINAL), @r"
    AT                        HOP        WHERE       MS  OUTCOME
    2026-11-21T09:12:03.417Z  effective  okta         -  -
    2026-11-21T09:12:03.630Z  received   okta       213  SCIM PATCH
    2026-11-21T09:12:03.634Z  committed  -            4  identity.suspended, versio…
    2026-11-21T09:12:03.637Z  published  urgent       3  -
    2026-11-21T09:12:03.640Z  decided    -            3  leaver
    2026-11-21T09:12:03.649Z  applied    web          9  ended 2
    2026-11-21T09:12:03.652Z  verified   web          3  re-read found none
    2026-11-21T09:12:03.671Z  applied    sso         31  ended 1
    2026-11-21T09:12:03.675Z  verified   sso          4  re-read found none
    2026-11-21T09:14:03.702Z  settled    web     120050  sweeps quiet
    commit → verified   web  18 ms  ████████▊
                        sso  41 ms  ████████████████████
    still to come: settled at sso
    ");
    assert_snapshot!(spelled(&trace::show(&hops(), COLOUR)), @r"
    {bold}AT{/}                        {bold}HOP{/}        {bold}WHERE{/}       {bold}MS{/}  {bold}OUTCOME{/}
    {dim}2026-11-21T09:12:03.417Z{/}  effective  okta         -  -
    {dim}2026-11-21T09:12:03.630Z{/}  received   okta       213  SCIM PATCH
    {dim}2026-11-21T09:12:03.634Z{/}  committed  -            4  identity.suspended, versio…
    {dim}2026-11-21T09:12:03.637Z{/}  published  urgent       3  -
    {dim}2026-11-21T09:12:03.640Z{/}  decided    -            3  leaver
    {dim}2026-11-21T09:12:03.649Z{/}  applied    web          9  ended 2
    {dim}2026-11-21T09:12:03.652Z{/}  {green}verified{/}   web          3  re-read found none
    {dim}2026-11-21T09:12:03.671Z{/}  applied    sso         31  ended 1
    {dim}2026-11-21T09:12:03.675Z{/}  {green}verified{/}   sso          4  re-read found none
    {dim}2026-11-21T09:14:03.702Z{/}  {green}settled{/}    web     120050  sweeps quiet
    commit → verified   web  18 ms  {green}████████▊{/}
                        sso  41 ms  {green}████████████████████{/}
    {yellow}still to come{/}: settled at sso
    ");
    assert_snapshot!(trace::show(&hops(), ASCII).lines().skip(11).collect::<Vec<_>>().join("\n"), @r"
    commit -> verified   web  18 ms  #########
                         sso  41 ms  ####################
    still to come: settled at sso
    ");
}

#[test]
fn a_revocation() {
    let id = "0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8";
    assert_snapshot!(revocation::accepted("ana@example.com", id.parse().unwrap(), TERMINAL), @r"
    ana@example.com   revocation   accepted   0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8
    stored and certain to be carried out; nothing is known to have ended yet
    ");
    let receipt = |downstream, state, ended, back, note: Option<&str>| {
        let at = json!({"applied": "2026-11-21T09:12:03.649Z", "verified": "2026-11-21T09:12:03.652Z", "settled": null, "stuck": null});
        json!({"revocation": id, "downstream": downstream, "state": state, "asked": "2026-11-21T09:12:03Z", "found": ended,
               "ended": ended, "resurrected": back, "collateral": 0, "at": at, "note": note})
    };
    let seen: revocation::Revocation = read(json!({
        "id": id, "subject": "5d1cbb0e-0f0a-4f0e-9a53-6c1a0f5f7a21", "state": "owed", "at": "2026-11-21T09:12:03Z",
        "reason": "stolen laptop", "asked_by": "first", "reached": false, "receipts": [
            receipt("web", "verified", 2, 1, None),
            receipt("portal", "applied", 0, 0, None),
            receipt("sso", "owed", 0, 0, Some("the downstream could not be reached")),
        ],
    }));
    assert_snapshot!(revocation::show("ana@example.com", &seen, TERMINAL), @r"
    ana@example.com   revocation   owed   0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8
    DOWNSTREAM  STATE     FOUND  ENDED  CAME BACK  SINCE
    web         verified      2      2          1  2026-11-21T09:12:03.652Z
    portal      applied       0      0          0  2026-11-21T09:12:03.649Z
    sso         owed          0      0          0  -
    sso: the downstream could not be reached
    ended 2 sessions in 1 of 3 downstreams
    ");
    assert_snapshot!(spelled(&revocation::show("ana@example.com", &seen, COLOUR)), @r"
    {bold}ana@example.com{/}   revocation   {yellow}owed{/}   {dim}0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8{/}
    {bold}DOWNSTREAM{/}  {bold}STATE{/}     {bold}FOUND{/}  {bold}ENDED{/}  {bold}CAME BACK{/}  {bold}SINCE{/}
    web         {green}verified{/}      2      2          {red}1{/}  {dim}2026-11-21T09:12:03.652Z{/}
    portal      applied       0      0          0  {dim}2026-11-21T09:12:03.649Z{/}
    sso         {yellow}owed{/}          0      0          0  -
    sso: the downstream could not be reached
    ended 2 sessions in 1 of 3 downstreams
    ");
    assert_snapshot!(revocation::missing("verified", &seen), @"not verified at 2 of 3 downstreams: portal is applied, sso is owed");
    assert_snapshot!(revocation::missing("applied", &seen), @"not applied at 1 of 3 downstreams: sso is owed");
    let fresh: revocation::Revocation =
        read(json!({"id": id, "state": "owed", "at": "2026-11-21T09:12:03Z", "receipts": [], "reached": false}));
    let nothing: revocation::Revocation = read(json!({"id": id, "state": "settled", "receipts": [], "reached": true}));
    assert_snapshot!(revocation::show("ana@example.com", &nothing, TERMINAL), @r"
    ana@example.com   revocation   settled   0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8
    no downstream can end sessions, so there was nothing to do
    ");
    assert_snapshot!(revocation::missing("verified", &fresh), @"not verified: no downstream has answered yet");
}

#[test]
fn a_run_and_what_one_would_do() {
    let held: run::Run = read(json!({
        "outcome": "held", "rows": 1092, "unchanged": 866, "parked": 2, "plan": "0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8",
        "counts": {"create": 3, "update": 11, "disable": 212, "delete": 0, "member-remove": 0, "privileged-loss": 4},
        "reasons": ["212 would be disabled; the brake holds above 65 (5% of 1304, min 20)", "rows fell from 1304 to 1092"],
    }));
    assert_snapshot!(run::show("people", &held, false, TERMINAL), @r"
    people   sync   held   0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8
    why   212 would be disabled; the brake holds above 65 (5% of 1304, min 20)
          rows fell from 1304 to 1092
    CLASS            COUNT  STATE
    create               3  applied
    update              11  applied
    disable            212  held
    privileged-loss      4  held
    1092 rows, 866 unchanged, 2 parked
    ");
    assert_snapshot!(spelled(&run::show("people", &held, false, COLOUR)), @r"
    {bold}people{/}   sync   {yellow}held{/}   {dim}0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8{/}
    why   212 would be disabled; the brake holds above 65 (5% of 1304, min 20)
          rows fell from 1304 to 1092
    {bold}CLASS{/}            {bold}COUNT{/}  {bold}STATE{/}
    create               3  applied
    update              11  applied
    disable            212  {yellow}held{/}
    privileged-loss      4  {yellow}held{/}
    1092 rows, 866 unchanged, {yellow}2 parked{/}
    ");
    assert_snapshot!(run::show("people", &held, true, TERMINAL), @r"
    people   plan   held   0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8
    why   212 would be disabled; the brake holds above 65 (5% of 1304, min 20)
          rows fell from 1304 to 1092
    CLASS            COUNT  STATE
    create               3  would apply
    update              11  would apply
    disable            212  would be held
    privileged-loss      4  would be held
    1092 rows, 866 unchanged, 2 parked
    nothing was changed
    ");
    let mut named = json!(held_plan()["items"]);
    named[0]["because"] = json!("missing");
    named[2]["because"] = json!("ended");
    named[2]["stands"] = json!(true);
    let rehearsed = run::Run { items: read(named), plan: None, ..held };
    assert_snapshot!(run::show("people", &rehearsed, true, View { width: Some(120), ..ASCII }), @r"
    people   plan   held
    why   212 would be disabled; the brake holds above 65 (5% of 1304, min 20)
          rows fell from 1304 to 1092
    CLASS            COUNT  STATE
    create               3  would apply
    update              11  would apply
    disable            212  would be held
    privileged-loss      4  would be held
       WHO              ACCOUNT      CLASS            CHANGE
    !  ana@example.com  people:1042  disable          active -> inactive (missing); in admins, prod-db; Ana; Finance
    !  max@example.com  people:1043  privileged-loss  member -> no member of admins; in admins
       Bob              people:1044  disable          active -> inactive (last day passed); Sales
    ... and 213 more
    1092 rows, 866 unchanged, 2 parked
    nothing was changed
    ");
    let quiet: run::Run = read(json!({
        "outcome": "complete", "rows": 1, "unchanged": 1, "parked": 0, "reasons": [],
        "counts": {"create": 0, "update": 0, "disable": 0, "delete": 0, "member-remove": 0, "privileged-loss": 0},
    }));
    assert_snapshot!(run::show("people", &quiet, false, TERMINAL), @r"
    people   sync   complete
    1 row, 1 unchanged
    ");
}

#[test]
fn sources() {
    let all: Vec<source::Source> = read(json!([
        {"name": "people", "type": "csv", "state": "held", "last_run": "2026-11-21T09:00:04.112Z", "next_run": "2026-11-21T09:17:00Z", "accounts": 1304, "note": "1 plan"},
        {"name": "okta", "type": "scim", "state": "ok", "last_run": null, "next_run": null, "accounts": 0, "note": null},
        {"name": "corp", "type": "keycloak", "state": "backed_off", "last_run": "2026-11-21T09:11:30.008Z", "next_run": "2026-11-21T09:14:40Z", "accounts": 1298,
         "note": "the source refused our credentials"},
    ]));
    assert_snapshot!(source::list(&all, now(), TERMINAL), @r"
    NAME    TYPE      STATE       LAST RUN                  ACCOUNTS  NEXT    NOTE
    people  csv       held        2026-11-21T09:00:04.112Z      1304  in 3m   1 plan
    okta    scim      ok          -                                0  push    -
    corp    keycloak  backed off  2026-11-21T09:11:30.008Z      1298  in 40s  the s…
    ");
    assert_snapshot!(spelled(&source::list(&all, now(), COLOUR)), @r"
    {bold}NAME{/}    {bold}TYPE{/}      {bold}STATE{/}       {bold}LAST RUN{/}                  {bold}ACCOUNTS{/}  {bold}NEXT{/}    {bold}NOTE{/}
    {bold}people{/}  csv       {yellow}held{/}        {dim}2026-11-21T09:00:04.112Z{/}      1304  in 3m   1 plan
    {bold}okta{/}    scim      {green}ok{/}          -                                0  push    -
    {bold}corp{/}    keycloak  {yellow}backed off{/}  {dim}2026-11-21T09:11:30.008Z{/}      1298  in 40s  the s…
    ");
}

#[test]
fn a_pause_says_what_it_means() {
    assert_snapshot!(source::halted("people", true, TERMINAL), @r"
    people   paused
    nobody reads it, so who leaves there is not noticed until it is resumed
    ");
    assert_snapshot!(source::halted("people", false, TERMINAL), @r"
    people   ok
    it is read again when its schedule says so, or by `leaver source sync`
    ");
}

#[test]
fn plans() {
    let all: Vec<plan::Plan> = read(json!([
        {"id": "0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8", "source": "people", "state": "held",
         "counts": {"create": 3, "update": 11, "disable": 212, "delete": 0, "member-remove": 0, "privileged-loss": 4},
         "created_at": "2026-11-21T09:00:04Z", "reasons": ["212 would be disabled; the brake holds above 65"]},
        {"id": "0193a0f2-0000-7b52-9d3a-5f0c2a7e41b8", "source": "people", "state": "superseded", "counts": {
         "create": 0, "update": 0, "disable": 0, "delete": 0, "member-remove": 0, "privileged-loss": 0},
         "created_at": "2026-11-18T08:00:04Z", "reasons": []},
    ]));
    assert_snapshot!(plan::list(&all, now(), TERMINAL), @r"
    ID                                    SOURCE  STATE       AGE  COUNTS, WHY
    0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8  people  held        13m  212 disable, 4 p…
    0193a0f2-0000-7b52-9d3a-5f0c2a7e41b8  people  superseded  3d   -
    ");
    let id = all[0].id;
    let applied = |applied, skipped| plan::approved(id, &plan::Verdict::Applied { applied, skipped }, TERMINAL);
    assert_snapshot!(applied(212, 1), @r"
    plan   applied   0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8
    212 changes applied; 1 skipped, since their source says something else by now
    ");
    assert_snapshot!(applied(1, 0), @r"
    plan   applied   0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8
    1 change applied
    ");
    let waiting = read(json!({"state": "waiting", "rows": 216, "mass": 50, "approved_by": ["jo"]}));
    assert_snapshot!(plan::approved(id, &waiting, TERMINAL), @r"
    plan   held   0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8
    approved by jo; nothing is applied yet
    it has 216 rows, and more than 50 take two people
    ");
    let rejection = plan::Rejection { rejected: 212, skipped: 4 };
    assert_snapshot!(plan::rejected(id, rejection, TERMINAL), @r"
    plan   rejected   0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8
    212 changes rejected; 4 skipped, since their source says something else by now
    nobody loses anything by them, until their source says something else
    ");
}

fn held_plan() -> Value {
    json!({
        "plan": {
            "id": "0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8", "source": "people", "state": "held",
            "counts": {"create": 3, "update": 11, "disable": 212, "delete": 0, "member-remove": 0, "privileged-loss": 4},
            "created_at": "2026-11-21T06:00:04Z", "confirmed_at": "2026-11-21T09:00:04Z", "approved_by": ["jo"],
            "reasons": [
                "212 would be disabled; the brake holds above 65 (1304 active, min 20)",
                "rows fell from 1304 to 1092 since the last complete applied run; the brake holds above a drop of 65",
            ],
        },
        "rows": 216,
        "items": [
            {"class": "disable", "identity": "5d1cbb0e-0f0a-4f0e-9a53-6c1a0f5f7a21", "user_name": "ana@example.com",
             "display_name": "Ana", "department": "Finance", "source": "people", "native_id": "1042", "from": "active",
             "to": "inactive", "group": null, "privileged_groups": ["admins", "prod-db"], "stands": true},
            {"class": "privileged-loss", "identity": "5d1cbb0e-0f0a-4f0e-9a53-6c1a0f5f7a22", "user_name": "max@example.com",
             "display_name": null, "department": null, "source": "people", "native_id": "1043", "from": "member",
             "to": "no member", "group": "admins", "group_privileged": true, "privileged_groups": ["admins"], "stands": true},
            {"class": "disable", "identity": "5d1cbb0e-0f0a-4f0e-9a53-6c1a0f5f7a23", "user_name": null, "display_name": "Bob",
             "department": "Sales", "source": "people", "native_id": "1044", "from": "active", "to": "inactive",
             "group": null, "privileged_groups": [], "stands": false},
        ],
        "next": 3,
    })
}

#[test]
fn a_plan_with_its_rows() {
    assert_snapshot!(plan::show(&read(held_plan()), now(), TERMINAL), @r"
    people   plan   held   0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8
    why   212 would be disabled; the brake holds above 65 (1304 active, min 20)
          rows fell from 1304 to 1092 since the last complete applied run; the brake holds above a drop of 65
    since 2026-11-21T06:00:04.000Z (3h ago)
    found again 2026-11-21T09:00:04.000Z (13m ago)
    216 rows: 212 disable, 4 privileged-loss
    approved by jo
       WHO              ACCOUNT      CLASS            CHANGE
    !  ana@example.com  people:1042  disable          active → inactive; in admins,…
    !  max@example.com  people:1043  privileged-loss  member → no member of admins;…
       Bob              people:1044  disable          no longer so; active → inacti…
    … and 213 more (`--all`)
    decide: `leaver plan approve 0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8`
        or: `leaver plan reject 0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8 --reason R`
    ");
    assert_snapshot!(plan::show(&read(held_plan()), now(), View { width: Some(120), ..ASCII }), @r"
    people   plan   held   0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8
    why   212 would be disabled; the brake holds above 65 (1304 active, min 20)
          rows fell from 1304 to 1092 since the last complete applied run; the brake holds above a drop of 65
    since 2026-11-21T06:00:04.000Z (3h ago)
    found again 2026-11-21T09:00:04.000Z (13m ago)
    216 rows: 212 disable, 4 privileged-loss
    approved by jo
       WHO              ACCOUNT      CLASS            CHANGE
    !  ana@example.com  people:1042  disable          active -> inactive; in admins, prod-db; Ana; Finance
    !  max@example.com  people:1043  privileged-loss  member -> no member of admins; in admins
       Bob              people:1044  disable          no longer so; active -> inactive; Sales
    ... and 213 more (`--all`)
    decide: `leaver plan approve 0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8`
        or: `leaver plan reject 0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8 --reason R`
    ");
    let mut rejected = held_plan();
    rejected["plan"]["state"] = json!("rejected");
    rejected["plan"]["decided_by"] = json!("kim");
    rejected["plan"]["decision_reason"] = json!("half of the export is missing");
    (rejected["rows"], rejected["items"]) = (json!(0), json!([]));
    assert_snapshot!(plan::show(&read(rejected), now(), TERMINAL), @r"
    people   plan   rejected   0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8
    why   212 would be disabled; the brake holds above 65 (1304 active, min 20)
          rows fell from 1304 to 1092 since the last complete applied run; the brake holds above a drop of 65
    since 2026-11-21T06:00:04.000Z (3h ago)
    found again 2026-11-21T09:00:04.000Z (13m ago)
    0 rows: 212 disable, 4 privileged-loss
    approved by jo
    rejected by kim
    reason half of the export is missing
    ");
}

#[test]
fn an_identity_whose_denial_was_rejected() {
    let mut ana = ana();
    ana["accounts"][1]["held"] = json!(false);
    ana["accounts"][1]["rejected"] = json!({
        "plan": "0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8", "by": "kim", "reason": "half of the export is missing",
        "at": "2026-11-21T09:12:03.630Z",
    });
    ana["why"] = json!("okta says inactive, but kim rejected that with plan 0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8");
    (ana["state"], ana["receipts"], ana["groups"]) = (json!("active"), json!([]), json!([]));
    assert_snapshot!(identity::detail(&read(ana), TERMINAL), @r"
    ana@example.com   human   active   5d1cbb0e-0f0a-4f0e-9a53-6c1a0f5f7a21
    why   okta says inactive, but kim rejected that with plan 0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8
    generation 1, version 7, department Finance, manager jo@example.com
    what okta says was rejected by kim: half of the export is missing
    SOURCE  NATIVE ID                             ACTIVE           SEEN
    people  1042                                  true             2026-11-21T09:00:04.112Z
    okta    c3f1a6de-2b7e-4c1f-8a55-1e9d7b3f0a42  false, rejected  2026-11-21T09:12:03.630Z
    corp    7f0c                                  -                2026-11-21T09:11:30.008Z
    ");
}

#[test]
fn what_is_parked_and_carried_out_again() {
    let records: Vec<parked::Parked> = read(json!([
        {
            "id": "0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8", "source": "okta", "type": "scim", "place": "PATCH /Users",
            "reason": "operation 1: `op` must be add, remove or replace", "first_seen": "2026-11-20T09:12:03.417Z",
            "last_seen": "2026-11-21T09:12:03.417Z", "times": 12, "kept": 3, "resolved": false, "retried_at": null,
            "retry_error": null, "example": {"Operations": [{"op": "(text)", "path": "active", "value": false}]},
        },
        {
            "id": "0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b9", "source": "people", "type": "csv", "place": "row 3",
            "reason": "employeeNumber is empty", "first_seen": "2026-11-21T09:12:03.417Z",
            "last_seen": "2026-11-21T09:12:03.417Z", "times": 1, "kept": 0, "resolved": false,
            "retried_at": "2026-11-21T09:13:00.000Z", "retry_error": "it is still empty", "example": null,
        },
    ]));
    assert_snapshot!(parked::list(&records, View::PLAIN), @r"
    ID                                    SOURCE  TIMES  KEPT  WHERE AND WHY
    0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8  okta       12     3  PATCH /Users: operation 1: `op` must be add, remove or replace
    0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b9  people      1     0  row 3: employeeNumber is empty; retried: it is still empty
    ");
    assert_snapshot!(spelled(&parked::list(&records, COLOUR)), @r"
    {bold}ID{/}                                    {bold}SOURCE{/}  {bold}TIMES{/}  {bold}KEPT{/}  {bold}WHERE AND WHY{/}
    {dim}0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8{/}  okta       12     3  PATCH /Users: operat…
    {dim}0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b9{/}  people      1     0  row 3: employeeNumbe…
    ");
    let id = records[0].id;
    let done: parked::Retried = read(json!({"source": "okta", "carried_out": 3}));
    assert_snapshot!(parked::retried(id, &done, TERMINAL), @r"
    okta   parked   carried out   0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8
    3 requests carried out, as if the source had sent it now
    ");
    assert_snapshot!(spelled(&parked::retried(id, &done, COLOUR)), @r"
    {bold}okta{/}   parked   {green}carried out{/}   {dim}0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8{/}
    3 requests carried out, as if the source had sent it now
    ");
}

#[test]
fn tokens() {
    let token = |kind, name, expires: Option<&str>, revoked: Option<&str>| {
        json!({"id": "0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8", "kind": kind, "name": name, "created_at": "2026-11-01T09:00:00Z",
               "expires_at": expires, "revoked_at": revoked,
               "last_used_at": (name == "okta").then_some("2026-11-20T08:00:00Z")})
    };
    let all: Vec<token::Token> = read(json!([
        token("source", "okta", None, None),
        token("admin", "jo", Some("2027-02-19T09:14:00Z"), None),
        token("admin", "first", Some("2026-11-20T09:14:00Z"), None),
        token("admin", "ben", Some("2027-02-19T09:14:00Z"), Some("2026-11-20T09:14:00Z")),
    ]));
    assert_snapshot!(token::list(&all, now(), TERMINAL), @r"
    ID                                    KIND    NAME   STATE    EXPIRES  LAST USED
    0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8  source  okta   live     -        2026-11-20T08:00:00.000Z
    0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8  admin   jo     live     in 90d   -
    0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8  admin   first  expired  -        -
    0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8  admin   ben    revoked  -        -
    ");
    let made: token::Created =
        read(json!({"id": "0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8", "token": "leaver_00", "source": "okta",
        "expires_at": "2027-02-19T09:14:00Z"}));
    assert_snapshot!(token::created(&made, "source okta"), @"token 0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8 for source okta, expires 2027-02-19T09:14:00.000Z; it is shown this once");
}

#[test]
fn a_ledger() {
    let clean: ledger::Ledger = read(
        json!({"findings": [], "owed": {"web": {"owed": 3, "stuck": 1}, "sso": {"owed": 0, "stuck": 0}}, "pending": 1}),
    );
    assert_snapshot!(ledger::show(&clean, TERMINAL), @r"
    ledger is clean
    web: 3 owed, 1 stuck
    1 event waits for the bus
    ");
    let broken: ledger::Ledger = read(json!({"owed": {}, "pending": 0, "findings": [
        {"rule": "every version of an identity has its event", "subject": "5d1cbb0e-0f0a-4f0e-9a53-6c1a0f5f7a21", "detail": "version 3, 2 events, newest 2"},
        {"rule": "what is pending is an event of the ledger", "subject": "17", "detail": "no such event"},
        {"rule": "every version of an identity has its event", "subject": "6d1cbb0e-0f0a-4f0e-9a53-6c1a0f5f7a21", "detail": "version 2, 1 events, newest 1"},
    ]}));
    assert_snapshot!(ledger::show(&broken, TERMINAL), @r"
    ✗ every version of an identity has its event
      SUBJECT                               DETAIL
      5d1cbb0e-0f0a-4f0e-9a53-6c1a0f5f7a21  version 3, 2 events, newest 2
      6d1cbb0e-0f0a-4f0e-9a53-6c1a0f5f7a21  version 2, 1 events, newest 1
    ✗ what is pending is an event of the ledger
      SUBJECT  DETAIL
      17       no such event
    3 findings against 2 rules
    ");
    assert_snapshot!(spelled(&ledger::show(&broken, COLOUR)), @r"
    {red}✗{/} every version of an identity has its event
      {bold}SUBJECT{/}                               {bold}DETAIL{/}
      {dim}5d1cbb0e-0f0a-4f0e-9a53-6c1a0f5f7a21{/}  version 3, 2 events, newest 2
      {dim}6d1cbb0e-0f0a-4f0e-9a53-6c1a0f5f7a21{/}  version 2, 1 events, newest 1
    {red}✗{/} what is pending is an event of the ledger
      {bold}SUBJECT{/}  {bold}DETAIL{/}
      {dim}17{/}       no such event
    3 findings against 2 rules
    ");
    assert_snapshot!(ledger::show(&broken, ASCII), @r"
    FAIL every version of an identity has its event
         SUBJECT                               DETAIL
         5d1cbb0e-0f0a-4f0e-9a53-6c1a0f5f7a21  version 3, 2 events, newest 2
         6d1cbb0e-0f0a-4f0e-9a53-6c1a0f5f7a21  version 2, 1 events, newest 1
    FAIL what is pending is an event of the ledger
         SUBJECT  DETAIL
         17       no such event
    3 findings against 2 rules
    ");
}

#[test]
fn what_was_checked() {
    use crate::check::{Ability, Check, Report, State};
    use lifecycle::Action;
    let check = |what, name: &str, state, detail: &str, ms| Check {
        what,
        name: name.to_owned(),
        state,
        detail: detail.to_owned(),
        causes: Vec::new(),
        help: None,
        ms,
    };
    let mut web = check("downstream", "web", State::Failed, "the downstream could not be reached", Some(3));
    web.causes = vec!["Connection refused (os error 111)".to_owned()];
    web.help = Some("start it, or mend downstreams.web in leaver.yaml".to_owned());
    let mut mover = check("rule", "rule \"mover\"", State::Warning, "recheck is unsupported by web, portal", None);
    mover.help = Some("add `else: revoke_sessions`".to_owned());
    let ability = |name: &str, adapter, finds, actions, knows_auth_time| Ability {
        name: name.to_owned(),
        adapter,
        finds,
        resurrects: true,
        knows_auth_time,
        actions,
    };
    let report = Report {
        checks: vec![
            check("configuration", "leaver.yaml", State::Ok, "2 sources, 2 downstreams, all secrets found", None),
            check("policy", "policy.yaml", State::Ok, "3 rules, 1 example passes", None),
            mover,
            check("database", "database", State::Ok, "PostgreSQL 17.2, migrations current", Some(6)),
            check(
                "source",
                "people",
                State::Ok,
                "/srv/exports/personnel/people.csv, 1304 rows, key employeeNumber unique",
                Some(3),
            ),
            web,
        ],
        downstreams: vec![
            ability("web", "redis", "scan", &[Action::RevokeSessions, Action::Lock][..], false),
            ability(
                "sso",
                "keycloak",
                "index",
                &[Action::RevokeSessions, Action::RevokeRefresh, Action::Recheck][..],
                true,
            ),
        ],
        failed: 1,
        warnings: 1,
    };
    assert_snapshot!(check::show(&report, TERMINAL), @r#"
    ✓ leaver.yaml  2 sources, 2 downstreams, all secrets found
    ✓ policy.yaml  3 rules, 1 example passes
    ! rule "mover"  recheck is unsupported by web, portal
                   help: add `else: revoke_sessions`
    ✓ database     PostgreSQL 17.2, migrations current                          6 ms
    ✓ people       /srv/exports/personnel/people.csv, 1304 rows, key emplo…     3 ms
    ✗ web          the downstream could not be reached                          3 ms
                   caused by: Connection refused (os error 111)
                   help: start it, or mend downstreams.web in leaver.yaml
    DOWNSTREAM  ADAPTER   FINDS  SESSIONS  REFRESH  TTL  RECHECK  AUTH TIME
    web         redis     scan   yes       -        -    -        unknown
    sso         keycloak  index  yes       yes      -    yes      known
    1 failed, 1 warning
    "#);
    assert_snapshot!(check::show(&report, View::PLAIN), @r#"
    ✓ leaver.yaml  2 sources, 2 downstreams, all secrets found
    ✓ policy.yaml  3 rules, 1 example passes
    ! rule "mover"  recheck is unsupported by web, portal
                   help: add `else: revoke_sessions`
    ✓ database     PostgreSQL 17.2, migrations current                          6 ms
    ✓ people       /srv/exports/personnel/people.csv, 1304 rows, key employeeNumber unique     3 ms
    ✗ web          the downstream could not be reached                          3 ms
                   caused by: Connection refused (os error 111)
                   help: start it, or mend downstreams.web in leaver.yaml
    DOWNSTREAM  ADAPTER   FINDS  SESSIONS  REFRESH  TTL  RECHECK  AUTH TIME
    web         redis     scan   yes       -        -    -        unknown
    sso         keycloak  index  yes       yes      -    yes      known
    1 failed, 1 warning
    "#);
    assert_snapshot!(spelled(&check::show(&report, COLOUR)), @r#"
    {green}✓{/} {bold}leaver.yaml{/}  2 sources, 2 downstreams, all secrets found
    {green}✓{/} {bold}policy.yaml{/}  3 rules, 1 example passes
    {yellow}!{/} {bold}rule "mover"{/}  recheck is unsupported by web, portal
                   help: add `{cyan}else: revoke_sessions{/}`
    {green}✓{/} {bold}database{/}     PostgreSQL 17.2, migrations current                     {dim}     6 ms{/}
    {green}✓{/} {bold}people{/}       /srv/exports/personnel/people.csv, 1304 rows, key emplo…{dim}     3 ms{/}
    {red}✗{/} {bold}web{/}          the downstream could not be reached                     {dim}     3 ms{/}
                   caused by: Connection refused (os error 111)
                   help: start it, or mend downstreams.web in leaver.yaml
    {bold}DOWNSTREAM{/}  {bold}ADAPTER{/}   {bold}FINDS{/}  {bold}SESSIONS{/}  {bold}REFRESH{/}  {bold}TTL{/}  {bold}RECHECK{/}  {bold}AUTH TIME{/}
    web         redis     scan   yes       -        -    -        unknown
    sso         keycloak  index  yes       yes      -    yes      known
    1 failed, 1 warning
    "#);
    assert_snapshot!(check::show(&report, ASCII).lines().take(4).collect::<Vec<_>>().join("\n"), @r#"
    ok   leaver.yaml  2 sources, 2 downstreams, all secrets found
    ok   policy.yaml  3 rules, 1 example passes
    !    rule "mover"  recheck is unsupported by web, portal
                      help: add `else: revoke_sessions`
    "#);
}

#[test]
fn wide_letters_do_not_move_the_columns() {
    let mut table = Table::new([table::text("NAME"), table::number("N"), table::text("LAST")]);
    for name in ["Ana", "李小龙", "Zoë"] {
        table.row([name.into(), 7.into(), name.into()]);
    }
    assert_snapshot!(table.render(TERMINAL), @r"
    NAME    N  LAST
    Ana     7  Ana
    李小龙  7  李小龙
    Zoë     7  Zoë
    ");
}

#[test]
fn what_is_owed() {
    let id = "8f14e45f-ceea-467f-9d0b-6a3b1c5d7e92";
    let row = |who: Value, downstream: &str, state: &str, error: Value| {
        json!({"id": id, "subject": "5d1cbb0e-0f0a-4f0e-9a53-6c1a0f5f7a21", "kind": "identity", "userName": who,
               "downstream": downstream, "state": state, "since": "2026-11-21T09:12:03.634Z", "attempts": 7,
               "next_try": "2026-11-21T09:14:20Z", "last_error": error, "stuck_since": null})
    };
    let rows: Vec<owed::Owed> = read(json!([
        row(json!("ana@example.com"), "web", "owed", json!("the downstream could not be reached: connection refused")),
        row(json!("ben@example.com"), "web", "owed", json!("the downstream could not be reached: connection refused")),
        row(json!(null), "sso", "stuck", json!("the downstream does not let us in")),
    ]));
    assert_snapshot!(owed::list(&rows, now(), View::PLAIN), @r"
    ID                                    STATE  DOWNSTREAM  TRIES  NEXT    SINCE                     WHO
    8f14e45f-ceea-467f-9d0b-6a3b1c5d7e92  owed   web             7  in 20s  2026-11-21T09:12:03.634Z  ana@example.com
    8f14e45f-ceea-467f-9d0b-6a3b1c5d7e92  owed   web             7  in 20s  2026-11-21T09:12:03.634Z  ben@example.com
    8f14e45f-ceea-467f-9d0b-6a3b1c5d7e92  stuck  sso             7  in 20s  2026-11-21T09:12:03.634Z  5d1cbb0e-0f0a-4f0e-9a53-6c1a0f5f7a21
    web: the downstream could not be reached: connection refused
    sso: the downstream does not let us in
    ");
    assert_snapshot!(owed::retried(id.parse().unwrap(), Some(&rows[0]), TERMINAL), @r"
    ana@example.com   web   owed   8f14e45f-ceea-467f-9d0b-6a3b1c5d7e92
    the downstream could not be reached: connection refused
    ");
    assert_snapshot!(owed::retried(id.parse().unwrap(), None, TERMINAL), @r"
    answered   8f14e45f-ceea-467f-9d0b-6a3b1c5d7e92
    nothing is owed under this id any more
    ");
}

#[test]
fn sessions_and_what_would_end_of_them() {
    let seen = |downstream: &str, finds: &str, dated: bool, sessions: Value, error: Value| {
        let found = sessions.as_array().unwrap().len();
        json!({"downstream": downstream, "finds": finds, "knows_auth_time": dated, "found": found, "would_end": found,
               "sessions": sessions, "error": error, "note": null})
    };
    let session = |at: Value, ended: bool| json!({"session": "3fa9c1d2", "kind": "session", "auth_time": at, "ended_before": ended});
    let look: sessions::Look = read(json!({
        "identity": "5d1cbb0e-0f0a-4f0e-9a53-6c1a0f5f7a21", "userName": "ana@example.com", "kind": "human", "state": "active",
        "downstreams": [
            seen("web", "scan", false, json!([session(json!(null), false), session(json!(null), true)]), json!(null)),
            seen("portal", "index", false, json!([]), json!("no answer within 5s")),
            seen("sso", "index", true, json!([session(json!("2026-11-21T08:12:03.634Z"), false)]), json!(null)),
            seen("shop", "index", true, json!([]), json!(null)),
        ]
    }));
    assert_snapshot!(sessions::list(&look, TERMINAL), @r"
    ana@example.com   human   active   5d1cbb0e-0f0a-4f0e-9a53-6c1a0f5f7a21
    DOWNSTREAM  KIND     SESSION   SIGNED IN                 NOTE
    web         session  3fa9c1d2  -                         -
    web         session  3fa9c1d2  -                         was ended, and is back
    portal      -        -         -                         no answer within 5s
    sso         session  3fa9c1d2  2026-11-21T08:12:03.634Z  -
    shop        -        -         -                         none
    3 sessions in 2 of 4 downstreams
    ");
    assert_snapshot!(sessions::would_end(&look, TERMINAL), @r"
    ana@example.com   human   active   5d1cbb0e-0f0a-4f0e-9a53-6c1a0f5f7a21
    DOWNSTREAM  FINDS  SESSIONS  WOULD END  NOTE
    web         scan          2          2  knows no login time: all found would end
    portal      index         -          -  no answer within 5s
    sso         index         1          1  -
    shop        index         0          0  -
    would end 3 sessions in 2 of 4 downstreams; nothing was changed
    ");
    assert_snapshot!(sessions::silent(&look).unwrap(), @"nothing is known of portal");
}

fn replayed(difference: &str, who: &str, privileged: bool) -> Value {
    let side = |actions: Value, web: Value, rules: Value| json!({"rules": rules, "scopes": actions, "downstreams": web, "replaced": {}, "unsupported": {}, "spared": false});
    let nothing = side(json!({}), json!({}), json!([]));
    let mut sessions = side(json!({"*": ["revoke_sessions"]}), json!({"web": ["revoke_sessions"]}), json!(["mover"]));
    sessions["unsupported"] = json!({"sso": ["recheck"]});
    sessions["replaced"] = json!({"web": ["recheck"]});
    let (was, would) = if difference == "more" { (nothing, sessions) } else { (sessions, nothing) };
    json!({
        "difference": difference, "event_id": "0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8", "at": "2026-11-21T09:00:04.112Z",
        "type": "identity.updated", "subject": "5d1cbb0e-0f0a-4f0e-9a53-6c1a0f5f7a21", "user_name": who,
        "display_name": "Somebody", "department": "Finance", "privileged": privileged,
        "privileged_groups": if privileged { json!(["admins"]) } else { json!([]) }, "group": null,
        "was": was, "would": would,
    })
}

fn part(differences: Value, next: Value) -> replay::Part {
    let many = differences.as_array().map_or(0, Vec::len);
    read(json!({
        "events": 1000, "compared": 20, "erased": 1, "undecided": 2, "ended": {"was": 4, "would": 5},
        "spared": {"was": 1, "would": 1}, "failed": 3, "differ": {"more": many},
        "rules": {"leaver": {"was": 4, "would": 4}, "mover": {"was": 0, "would": 1}},
        "downstreams": {"web": {"was": 4, "would": 5, "replaced": 1, "unsupported": 0},
                        "sso": {"was": 4, "would": 4, "replaced": 0, "unsupported": 1}},
        "differences": differences, "next": next,
    }))
}

#[test]
fn a_replay_adds_up_and_keeps_privileged_people_whenever_they_come() {
    let mut found = replay::Part::default();
    found.add(part(json!([replayed("more", "ana", false), replayed("more", "ben", false)]), json!({"after": 1})), 2);
    assert!(found.next.is_some());
    found.add(part(json!([replayed("more", "zoe", true)]), Value::Null), 2);
    assert!(found.next.is_none());
    let replayed = replay::Replay { policy: "draft.yaml".to_owned(), since: now(), found };
    assert_snapshot!(replay::show(&replayed, TERMINAL), @r"
    draft.yaml   beside what was decided since 2026-11-21T09:14:00.000Z
    2000 events, of which 40 bear on it
    2 events left out: what policy read of them was erased
    4 events left out: nobody has decided them yet
    6 events on which a rule of it has no result
    RULE                  WAS  WOULD
    leaver                  8      8
    mover                   0      2
    spared (break_glass)    2      2
    ends something          8     10
    DOWNSTREAM  WAS  WOULD  BY ELSE  UNSUPPORTED
    sso           8      8        -            2
    web           8     10        2            -
    3 differences: 3 more
       WHO  AT                        WAS, WOULD
    !  zoe  2026-11-21T09:00:04.112Z  nothing → revoke_sessions (mover); else at we…
       ana  2026-11-21T09:00:04.112Z  nothing → revoke_sessions (mover); else at we…
    … and 1 more (`--all`)
    nothing was changed
    ");
    let plain = replay::show(&replayed, View { width: None, ..ASCII });
    assert_snapshot!(plain.lines().rev().skip(2).take(2).collect::<Vec<_>>().join("\n"), @r"
       ana  2026-11-21T09:00:04.112Z  nothing -> revoke_sessions (mover); else at web; recheck unsupported by sso; identity.updated; Somebody; Finance
    !  zoe  2026-11-21T09:00:04.112Z  nothing -> revoke_sessions (mover); else at web; recheck unsupported by sso; identity.updated; in admins; Somebody; Finance
    ");
    let json = serde_json::to_value(&replayed).unwrap();
    assert_eq!((&json["left_out"], json["differences"].as_array().unwrap().len()), (&json!(1), 2));
    assert!(json.get("next").is_none());
}

#[test]
fn a_replay_without_differences_says_so() {
    let mut found = part(json!([]), Value::Null);
    found.differ.clear();
    (found.erased, found.undecided, found.failed) = (0, 0, 0);
    let replayed = replay::Replay { policy: "the policy in force".to_owned(), since: now(), found };
    assert_snapshot!(spelled(&replay::show(&replayed, COLOUR)), @r"
    {bold}the policy in force{/}   beside what was decided since {dim}2026-11-21T09:14:00.000Z{/}
    1000 events, of which 20 bear on it
    {bold}RULE{/}                  {bold}WAS{/}  {bold}WOULD{/}
    leaver                  4      4
    mover                   0      1
    spared (break_glass)    1      1
    {bold}ends something{/}          4      5
    {bold}DOWNSTREAM{/}  {bold}WAS{/}  {bold}WOULD{/}  {bold}BY ELSE{/}  {bold}UNSUPPORTED{/}
    sso           4      4        -            1
    web           4      5        1            -
    no differences
    nothing was changed
    ");
}

#[test]
fn a_hold_of_a_rule_and_one_of_a_group() {
    let rule = json!({
        "id": "0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8", "kind": "rule", "name": "mover", "state": "held", "rows": 52,
        "done": 0, "at": "2026-11-21T09:12:03.630Z", "bound": 50, "window_begins": "2026-11-21T09:12:00Z",
        "window_ends": "2026-11-21T09:13:00Z", "approved_by": ["jo"],
    });
    let item = json!({
        "subject": "5d1cbb0e-0f0a-4f0e-9a53-6c1a0f5f7a21", "user_name": "ana@example.com", "display_name": "Ana",
        "department": "Finance", "privileged_groups": ["admins"], "type": "identity.updated",
        "scopes": [["*", ["recheck"]], ["web", ["revoke_sessions"]]],
    });
    let shown =
        json!({"hold": rule, "progress": {"applied": 0, "verified": 0, "settled": 0, "stuck": 0}, "items": [item]});
    let text = hold::show(&read(shown), now(), TERMINAL);
    for expected in [
        "mover   rule   held   0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8\n",
        "why   the rule orders more than 50 within 1m, which is what its brake lets through\n",
        "approved by jo\n",
        "!  ana@example.com  recheck and revoke_sessions at web  identity.updated",
        "… and 51 more (`--all`)\n",
        "decide: `leaver hold approve 0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b8`\n",
    ] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
    let group = json!({
        "id": "0193a0f2-6c1e-7b52-9d3a-5f0c2a7e41b9", "kind": "group", "name": "okta/admins", "state": "applied",
        "rows": 3, "done": 3, "at": "2026-11-21T09:10:03.630Z", "asked_by": "jo", "reason": "phished", "spared": 1,
        "approved_by": ["jo", "kim"],
    });
    let text = hold::list(&read::<Vec<hold::Hold>>(json!([rule, group])), now(), TERMINAL);
    assert!(text.contains("mover") && text.contains("okta/admins"), "{text}");
    let shown =
        json!({"hold": group, "progress": {"applied": 3, "verified": 2, "settled": 0, "stuck": 1}, "items": []});
    let text = hold::show(&read(shown), now(), TERMINAL);
    for expected in [
        "why   jo asked for it: phished\n",
        "1 member spared by break_glass\n",
        "approved by jo, kim\n",
        "3 of 3 people ordered: 3 applied, 2 verified, 0 settled everywhere, 1 stuck\n",
    ] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
}
