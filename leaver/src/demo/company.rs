//! The company: 200 people in an HR file, six of whom have a story.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Context;

/// What a person would write to run this company.
pub const CONFIGURATION: &str = r#"# Written by `leaver demo`.
data_dir: .
http: { public: "127.0.0.1:0", admin: "127.0.0.1:0", probes: "127.0.0.1:0" }
sources:
  people:
    connector: { type: csv, path: people.csv, key: employeeNumber, settle: 0s }
    correlate: [employeeNumber]
    authority: [lifecycle]
downstreams:
  portal:
    adapter:
      type: sql
      url: "env:PORTAL_DB"
      find: "select id from sessions where user_name = $1"
      end: "delete from sessions where id = $2"
    subject: identity.userName
    sweeps: [200ms, 1s]
groups: { privileged: [admins] }
"#;

const COLUMNS: [&str; 7] = ["employeeNumber", "userName", "email", "department", "manager", "status", "groups"];
const DEPARTMENTS: [&str; 5] = ["Engineering", "Finance", "Sales", "Support", "Quality"];
const PEOPLE: usize = 200;
const NAMED: [&str; 6] = ["ana", "ben", "cleo", "dora", "emil", "finn"];

/// Everybody, by userName, each with the cells of their row.
pub struct Company {
    path: PathBuf,
    people: BTreeMap<String, [String; 7]>,
}

impl Company {
    pub fn new(path: PathBuf) -> Self {
        let names = NAMED.iter().map(|n| (*n).to_owned()).chain((7..=PEOPLE).map(|n| format!("person{n:03}")));
        let people = names
            .enumerate()
            .map(|(n, name)| {
                let groups = if n < 10 { "staff;admins" } else { "staff" };
                let row = [
                    (1_000 + n).to_string(),
                    name.clone(),
                    format!("{name}@example.com"),
                    DEPARTMENTS[n % DEPARTMENTS.len()].to_owned(),
                    "jo".to_owned(),
                    "active".to_owned(),
                    groups.to_owned(),
                ];
                (name, row)
            })
            .collect();
        Self { path, people }
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.people.keys().map(String::as_str)
    }

    /// Changes one cell; nothing happens before [`Company::write`].
    pub fn set(&mut self, name: &str, column: &str, value: &str) {
        let index = COLUMNS.iter().position(|c| *c == column).expect("the demo names its own columns");
        self.people.get_mut(name).expect("the demo names its own people")[index] = value.to_owned();
    }

    /// Replaces the HR file in one step, as a careful export does.
    pub fn write(&self) -> anyhow::Result<()> {
        let mut text = format!("{}\n", COLUMNS.join(","));
        for row in self.people.values() {
            writeln!(text, "{}", row.join(",")).expect("writing to a string cannot fail");
        }
        let part = self.path.with_extension("part");
        std::fs::write(&part, text)
            .and_then(|()| std::fs::rename(&part, &self.path))
            .with_context(|| format!("cannot write {}", self.path.display()))
    }
}
