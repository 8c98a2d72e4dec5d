use insta::assert_snapshot;

use super::parse;

#[test]
fn examples_are_decided_with_what_they_leave_out_filled_in_plainly() {
    let policy = parse(
        r#"rules:
  - { name: leaver, on: [identity.suspended, identity.departed], do: [revoke_sessions, revoke_refresh] }
  - { name: lost a privileged group, on: [membership.removed], when: group.privileged, do: [revoke_sessions] }
  - { name: mover, on: [identity.updated], when: '"department" in event.changed', do: [recheck] }
  - { name: corp admin, on: [identity.updated], when: account("corp").attributes.admin && identity.state == "suspended", do: lock }
  - { name: key, on: [credential.expiring], when: credential.days < 7 && event.data.n == "7", do: notify }
examples:
  - { given: { event: { type: membership.removed }, group: { privileged: true } }, expect: [revoke_sessions] }
  - { given: { event: { type: membership.removed } }, expect: [] }
  - { given: { event: { type: identity.departed } }, expect: [revoke_refresh, revoke_sessions] }
  - given:
      event: { type: identity.updated, changed: [department] }
      identity: { department: Finance, state: suspended, accounts: { corp: { id: c-1, attributes: { admin: true } } } }
    expect: [recheck, lock]
  - { given: { event: { type: identity.updated, changed: department } }, expect: revoke_sessions }
  - { given: { event: { type: credential.expiring, data: { n: "7" } }, credential: { days: 3 } }, expect: notify }
"#,
    );
    let results: Vec<String> = policy
        .run_examples()
        .into_iter()
        .map(|r| format!("{} line {}: {:?} {:?} {} {}", r.index, r.line, r.expected, r.got, r.passed, r.errors.len()))
        .collect();
    assert_snapshot!(results.join("\n"), @r#"
    0 line 8: [RevokeSessions] [RevokeSessions] true 0
    1 line 9: [] [] true 0
    2 line 10: [RevokeRefresh, RevokeSessions] [RevokeRefresh, RevokeSessions] true 0
    3 line 11: [Recheck, Lock] [Recheck, Lock] true 0
    4 line 15: [RevokeSessions] [Recheck] false 0
    5 line 16: [Notify] [Notify] true 0
    "#);
}
