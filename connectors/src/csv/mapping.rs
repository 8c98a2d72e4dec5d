//! Their rows to our facts; pure.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use lifecycle::{AccountFacts, Standing, account::Profile};
use serde_json::Value;

use super::{
    config::{Column, Config, Map},
    dates::{self, Stated},
    fault::{Fault, Flaw},
    header::Header,
    rows::Row,
};
use crate::Parked;

/// Everybody on a page.
#[derive(Debug, Default)]
pub(super) struct People {
    pub accounts: Vec<AccountFacts>,
    pub parked: Vec<Parked>,
    /// Native ids of those whose row is parked as a whole.
    pub seen_only: Vec<String>,
}

#[cfg(test)]
impl People {
    /// Rows after the header.
    pub fn rows(&self) -> usize {
        self.accounts.len() + self.seen_only.len()
    }
}

/// Reads one row.
pub(super) fn read(row: &Row<'_>, header: &Header, config: &Config, zone: Tz, people: &mut People) -> Result<(), Flaw> {
    let native_id = key(row, header)?;
    let (facts, flaws) = Person { row, header, map: &config.map, zone }.facts(native_id);
    match facts {
        Some(facts) => people.accounts.push(facts),
        None => people.seen_only.push(native_id.to_owned()),
    }
    let park = |flaw: Flaw| Parked { at: flaw.at(&header.names), reason: flaw.fault.to_string() };
    people.parked.extend(flaws.into_iter().map(park));
    Ok(())
}

/// Who a row is about. A row that does not even say that could be anybody, so the whole file is refused for it.
pub(super) fn key<'a>(row: &'a Row<'_>, header: &Header) -> Result<&'a str, Flaw> {
    let flaw = |column: usize, fault| Flaw { row: row.number, column: Some(column + 1), fault };
    let (found, expected) = (row.cells.len(), header.names.len());
    if found != expected {
        return Err(flaw(found.min(expected), Fault::FieldCount { found, expected }));
    }
    match row.cells[header.key].trim() {
        "" => Err(flaw(header.key, Fault::EmptyKey)),
        key => Ok(key),
    }
}

/// One row, with as many cells as the header.
struct Person<'a> {
    row: &'a Row<'a>,
    header: &'a Header,
    map: &'a Map,
    /// The source's.
    zone: Tz,
}

impl Person<'_> {
    /// The facts, and what could not be read. There are none where a date is unreadable: without its last day, a person
    /// would seem to stay for ever; but a status that denies needs no date and is taken at its word. An unreadable status is
    /// only unknown, and a zone matters only to a day.
    fn facts(&self, native_id: &str) -> (Option<AccountFacts>, Vec<Flaw>) {
        let mut flaws = Vec::new();
        let status = self.read(Column::Status, |word| standing(self.map, word), &mut flaws);
        let zone = self.read(Column::Timezone, zone, &mut flaws).map(|stated| stated.unwrap_or(self.zone));
        let start = self.read(Column::StartDate, date, &mut flaws);
        let end = self.read(Column::EndDate, date, &mut flaws);
        let starts_at =
            start.and_then(|stated| instant(stated, zone, |day, zone| Some(dates::first_instant(day, zone))));
        let ends_at = end.and_then(|stated| instant(stated, zone, dates::end_of));
        let denied = status.flatten().is_some_and(Standing::denies);
        let (starts_at, ends_at) = match (starts_at, ends_at) {
            (Some(starts_at), Some(ends_at)) => (starts_at, ends_at),
            _ if denied => (None, None),
            _ => return (None, flaws),
        };
        let facts = AccountFacts {
            native_id: native_id.to_owned(),
            external_id: None,
            profile: self.profile(),
            standing: match self.header.column(Column::Status) {
                None => Standing::Active,
                Some(_) => status.flatten().unwrap_or(Standing::Unknown),
            },
            starts_at,
            ends_at,
            kind: None,
            attributes: self.attributes(),
            groups: self.groups(),
        };
        (Some(facts), flaws)
    }

    /// What a column says: `None` where that cannot be understood, `Some(None)` where it says nothing.
    fn read<T>(
        &self,
        column: Column,
        parse: impl FnOnce(&str) -> Result<T, Fault>,
        flaws: &mut Vec<Flaw>,
    ) -> Option<Option<T>> {
        let at = |fault| Flaw { row: self.row.number, column: self.header.column(column).map(|i| i + 1), fault };
        self.cell(column).map(parse).transpose().map_err(|fault| flaws.push(at(fault))).ok()
    }

    fn cell(&self, column: Column) -> Option<&str> {
        self.cell_at(self.header.column(column)?)
    }

    fn cell_at(&self, i: usize) -> Option<&str> {
        Some(self.row.cells[i].trim()).filter(|cell| !cell.is_empty())
    }

    fn profile(&self) -> Profile {
        let text = |column| self.cell(column).map(str::to_owned);
        let names: Vec<&str> =
            [Column::GivenName, Column::FamilyName].into_iter().filter_map(|c| self.cell(c)).collect();
        Profile {
            user_name: text(Column::UserName),
            email: text(Column::Email),
            employee_number: text(Column::EmployeeNumber),
            display_name: (!names.is_empty()).then(|| names.join(" ")),
            department: text(Column::Department),
            manager: text(Column::Manager),
        }
    }

    fn attributes(&self) -> Value {
        let named = |i: &usize| Some((self.header.names[*i].clone(), self.cell_at(*i)?.into()));
        Value::Object(self.header.attributes.iter().filter_map(named).collect())
    }

    /// Sorted and without repetition, so that another order is no change. `None` without the column: then the file does
    /// not speak of groups at all, which is not the same as nobody being in any.
    fn groups(&self) -> Option<Vec<String>> {
        let cell = self.row.cells[self.header.column(Column::Groups)?].as_ref();
        let names = cell.split(';').map(str::trim).filter(|name| !name.is_empty());
        Some(names.collect::<BTreeSet<_>>().into_iter().map(str::to_owned).collect())
    }
}

fn standing(map: &Map, word: &str) -> Result<Standing, Fault> {
    match map.word(word) {
        Some("active") => Ok(Standing::Active),
        Some("suspended") => Ok(Standing::Inactive),
        Some("left") => Ok(Standing::Gone),
        _ => Err(Fault::NotAStatus),
    }
}

fn zone(name: &str) -> Result<Tz, Fault> {
    name.parse().map_err(|_| Fault::NotAZone)
}

fn date(cell: &str) -> Result<Stated, Fault> {
    dates::parse(cell).ok_or(Fault::NotADate)
}

/// `None` where the date is a day and its zone is not known.
fn instant(
    stated: Option<Stated>,
    zone: Option<Tz>,
    of_day: impl FnOnce(NaiveDate, Tz) -> Option<DateTime<Utc>>,
) -> Option<Option<DateTime<Utc>>> {
    match stated {
        None => Some(None),
        Some(Stated::Instant(instant)) => Some(Some(instant)),
        Some(Stated::Day(day)) => Some(of_day(day, zone?)),
    }
}
