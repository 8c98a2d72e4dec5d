//! The file that HR exports.

use std::fmt::Write as _;
use std::path::Path;

/// A row of the HR file, and what SCIM says of the same person.
#[derive(Debug, Clone)]
pub struct Person {
    pub number: String,
    pub user: String,
    pub email: String,
    pub department: String,
    pub status: &'static str,
}

/// An active person; the user name gives the address, the number is what correlates.
pub fn person(number: u32, user: &str) -> Person {
    Person {
        number: number.to_string(),
        user: user.to_owned(),
        email: format!("{user}@example.com"),
        department: "Finance".to_owned(),
        status: "active",
    }
}

impl Person {
    /// The same person with another word in the column `status`.
    pub fn status(&self, status: &'static str) -> Self {
        Self { status, ..self.clone() }
    }
}

/// Replaces the file at once, so that no reader sees half of it.
pub(super) fn write(path: &Path, people: &[Person]) {
    let mut rows = "employeeNumber,userName,email,department,status\n".to_owned();
    for Person { number, user, email, department, status } in people {
        writeln!(rows, "{number},{user},{email},{department},{status}").expect("a string grows");
    }
    let new = path.with_extension("csv.new");
    std::fs::write(&new, rows).expect("the world's folder can be written");
    std::fs::rename(&new, path).expect("a file in the world's folder can be renamed");
}
