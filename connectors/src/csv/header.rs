//! Which column of the file is which of ours.

use std::collections::{BTreeMap, HashMap};

use super::{
    config::{Column, Config},
    fault::{Fault, Flaw},
    rows::Row,
};

#[derive(Debug)]
pub(super) struct Header {
    /// As they stand in the file, trimmed; `column 7` where the seventh has none.
    pub names: Vec<String>,
    /// Where the native id is.
    pub key: usize,
    /// Columns without a field of their own in the facts, in the order of their names, so that moving a column is no
    /// change.
    pub attributes: Vec<usize>,
    ours: BTreeMap<Column, usize>,
}

impl Header {
    pub fn read(row: &Row<'_>, config: &Config) -> Result<Self, Flaw> {
        let names: Vec<String> = row.cells.iter().enumerate().map(|(i, cell)| name(i, cell)).collect();
        let mut by_name = HashMap::new();
        for (i, name) in names.iter().enumerate() {
            if let Some(first) = by_name.insert(name.to_lowercase(), i) {
                let fault = Fault::DuplicateHeader { first: first + 1, second: i + 1 };
                return Err(Flaw { row: row.number, column: None, fault });
            }
        }
        let find = |name: &str| by_name.get(&name.trim().to_lowercase()).copied();
        let theirs = |column: Column| config.map.columns().get(&column).map_or(column.name(), String::as_str);
        let ours: BTreeMap<_, _> = Column::ALL.into_iter().filter_map(|c| Some((c, find(theirs(c))?))).collect();

        let missing = |wanted: &str| {
            let fault = match ours.len() {
                // A single match may be chance: somebody's job title is Manager.
                0 | 1 => Fault::NoHeader,
                _ => Fault::NoColumn { wanted: wanted.to_owned(), found: names.clone() },
            };
            Flaw { row: row.number, column: None, fault }
        };
        // A renamed status column must not make everybody active: what the operator named has to be there.
        if let Some(lost) = config.map.columns().iter().find(|(column, _)| !ours.contains_key(column)) {
            return Err(missing(lost.1));
        }
        let key = Column::ALL.into_iter().find(|column| column.name().eq_ignore_ascii_case(config.key.trim()));
        let key = key.and_then(|column| ours.get(&column).copied()).or_else(|| find(&config.key));
        let key = key.ok_or_else(|| missing(&config.key))?;

        let has_field = |i: usize| ours.iter().any(|(column, at)| *at == i && is_fact(*column));
        let mut attributes: Vec<usize> = (0..names.len()).filter(|i| !has_field(*i)).collect();
        attributes.sort_by(|a, b| names[*a].cmp(&names[*b]));
        Ok(Self { key, attributes, ours, names })
    }

    pub fn column(&self, column: Column) -> Option<usize> {
        self.ours.get(&column).copied()
    }
}

fn name(i: usize, cell: &str) -> String {
    match cell.trim() {
        "" => format!("column {}", i + 1),
        name => name.to_owned(),
    }
}

/// Whether the facts have a field that holds all that this column says. The parts of a name are only joined there, and
/// the zone is used up.
fn is_fact(column: Column) -> bool {
    !matches!(column, Column::GivenName | Column::FamilyName | Column::Timezone)
}
