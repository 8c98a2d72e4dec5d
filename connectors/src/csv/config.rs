//! What an operator may set for a CSV file of people.

use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::{Value, json};

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The file: a header, then one person per row.
    pub path: PathBuf,
    /// The column that is the account's id at this source and never changes: one of ours, or any header of the file.
    pub key: String,
    /// How long the file must have been unchanged before absence from it counts.
    #[serde(default = "settle", with = "humantime_serde")]
    #[schemars(with = "String")]
    pub settle: Duration,
    /// A JSON file `{"rows": 1304, "sha256": "…"}` that the exporter writes last; `rows` does not count the header.
    #[serde(default)]
    pub manifest: Option<PathBuf>,
    /// Our column to the header that the file has for it, which must then be in the file; our word for a status (`active`,
    /// `suspended`, `left`) to the file's word.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>", extend("propertyNames" = { "enum": Map::names() }))]
    pub map: Map,
    /// What stands between cells: one character.
    #[serde(default = "comma", deserialize_with = "delimiter")]
    pub delimiter: char,
}

impl Config {
    /// What decides who is in scope; `settle` only decides when.
    pub(crate) fn scope(&self) -> Value {
        let lossy = |path: &PathBuf| path.to_string_lossy().into_owned();
        json!([lossy(&self.path), self.key, self.map.columns, self.manifest.as_ref().map(lossy), self.delimiter])
    }
}

/// Their names for our columns, and their words for our statuses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "BTreeMap<String, String>")]
pub struct Map {
    columns: BTreeMap<Column, String>,
    words: BTreeMap<&'static str, String>,
}

impl Map {
    /// Everything that may be renamed.
    pub fn names() -> Vec<&'static str> {
        Column::ALL.into_iter().map(Column::name).chain(STATUSES).collect()
    }

    /// The columns that are renamed, each with its header.
    pub(super) fn columns(&self) -> &BTreeMap<Column, String> {
        &self.columns
    }

    /// Our word for theirs, compared without case. A word that is renamed is no longer understood as it was.
    pub(super) fn word(&self, theirs: &str) -> Option<&'static str> {
        let theirs = theirs.to_lowercase();
        STATUSES
            .into_iter()
            .find(|ours| self.words.get(ours).map_or(*ours == theirs, |word| word.to_lowercase() == theirs))
    }
}

impl TryFrom<BTreeMap<String, String>> for Map {
    type Error = String;

    fn try_from(written: BTreeMap<String, String>) -> Result<Self, Self::Error> {
        let mut map = Map::default();
        for (ours, theirs) in written {
            if let Some(column) = Column::ALL.into_iter().find(|c| c.name() == ours) {
                map.columns.insert(column, theirs);
            } else if let Some(word) = STATUSES.into_iter().find(|w| *w == ours) {
                map.words.insert(word, theirs);
            } else {
                let known: Vec<String> = Map::names().iter().map(|name| format!("`{name}`")).collect();
                return Err(format!("unknown field `{ours}`, expected one of {}", known.join(", ")));
            }
        }
        Ok(map)
    }
}

/// Our words for a status.
pub(super) const STATUSES: [&str; 3] = ["active", "suspended", "left"];

/// A column that Leaver reads. The names are those of SCIM (RFC 7643) where it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Column {
    EmployeeNumber,
    UserName,
    Email,
    GivenName,
    FamilyName,
    Department,
    Manager,
    /// `active`, `suspended` or `left`.
    Status,
    /// First day.
    StartDate,
    /// Last day.
    EndDate,
    /// IANA zone of this row's dates.
    Timezone,
    /// Display names, `;` between.
    Groups,
}

impl Column {
    pub const ALL: [Column; 12] = [
        Column::EmployeeNumber,
        Column::UserName,
        Column::Email,
        Column::GivenName,
        Column::FamilyName,
        Column::Department,
        Column::Manager,
        Column::Status,
        Column::StartDate,
        Column::EndDate,
        Column::Timezone,
        Column::Groups,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Column::EmployeeNumber => "employeeNumber",
            Column::UserName => "userName",
            Column::Email => "email",
            Column::GivenName => "givenName",
            Column::FamilyName => "familyName",
            Column::Department => "department",
            Column::Manager => "manager",
            Column::Status => "status",
            Column::StartDate => "startDate",
            Column::EndDate => "endDate",
            Column::Timezone => "timezone",
            Column::Groups => "groups",
        }
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn settle() -> Duration {
    Duration::from_secs(2)
}

fn comma() -> char {
    ','
}

fn delimiter<'de, D: Deserializer<'de>>(d: D) -> Result<char, D::Error> {
    match char::deserialize(d)? {
        '"' | '\n' | '\r' => Err(D::Error::custom("a quote or a line end cannot be the delimiter")),
        other => Ok(other),
    }
}
