//! One person as the personnel file has them.

use std::collections::BTreeSet;

use chrono::NaiveDate;

use crate::Organisation;
use crate::dice::For;
use crate::names;

/// The direct reports of a manager.
const SPAN: u64 = 8;
/// Nobody came earlier than so many days before the first.
const LONGEST: u64 = 6_000;

const DEPARTMENTS: [&str; 14] = [
    "Assembly",
    "Billing",
    "Customer Care",
    "Data",
    "Engineering",
    "Facilities",
    "Finance",
    "Forschung & Entwicklung",
    "Legal",
    "Logistics",
    "People",
    "Sales",
    "Security",
    "Vertrieb, Übersee",
];

/// A row of the personnel file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Never given to anybody else.
    pub employee_number: u64,
    /// Never given to anybody else either, whatever the case of its letters.
    pub user_name: String,
    pub email: String,
    pub given_name: String,
    pub family_name: String,
    pub department: &'static str,
    /// Their `employee_number`.
    pub manager: Option<u64>,
    pub status: Status,
    pub start: NaiveDate,
    /// The last day, of those who left.
    pub end: Option<NaiveDate>,
    /// Display names.
    pub groups: BTreeSet<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Active,
    /// Away for some time.
    Suspended,
    Left,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Active => "active",
            Status::Suspended => "suspended",
            Status::Left => "left",
        }
    }
}

impl Organisation {
    /// Who is in the personnel file for a seat; `None`: it is empty.
    pub fn person(&self, number: u64) -> Option<Person> {
        let seat = self.seat(number);
        if !seat.is_in_file(self.day) {
            return None;
        }
        let person = number + seat.holder * self.seats;
        let given = names::given(self.dice.throw(For::Given, person, 0));
        let family = names::family(self.dice.throw(For::Family, person, 0));
        let spelling = self.dice.below(100, For::Spelling, person, 0);
        let department = self.dice.below(DEPARTMENTS.len() as u64, For::Department, person, seat.moves);
        let department = DEPARTMENTS[usize::try_from(department).unwrap_or(0)];
        let user_name = names::user_name(given, family, person, spelling);
        let start = match seat.since {
            Some(day) => Self::date(i64::from(day)),
            None => {
                let before = 1 + self.dice.below(LONGEST, For::Since, person, 0);
                Self::date(-i64::try_from(before).unwrap_or(1))
            }
        };
        Some(Person {
            employee_number: self.employee_number(person),
            email: format!("{user_name}@example.com"),
            user_name,
            given_name: names::written(given, spelling),
            family_name: names::titled(family, spelling),
            department,
            manager: self.manager(number),
            status: match (seat.left, seat.away) {
                (Some(_), _) => Status::Left,
                (None, true) => Status::Suspended,
                (None, false) => Status::Active,
            },
            start,
            end: seat.left.map(|day| Self::date(i64::from(day) - 1)),
            groups: self.groups_of(number, &seat, department),
        })
    }

    /// The nearest above whose seat is not empty. The seats are a tree, so when a manager leaves, eight people get another.
    fn manager(&self, number: u64) -> Option<u64> {
        let managed = (self.seats * self.profile.managed).div_ceil(100);
        if number >= managed {
            return None;
        }
        let mut above = number;
        while above > 0 {
            above = (above - 1) / SPAN;
            let seat = self.seat(above);
            if seat.left.is_none() {
                return Some(self.employee_number(above + seat.holder * self.seats));
            }
        }
        None
    }

    fn employee_number(&self, person: u64) -> u64 {
        100_000 + person
    }
}
