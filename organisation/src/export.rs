//! The personnel file as the csv connector reads it, written row by row.

use std::io::{self, Write};

use sha2::{Digest, Sha256};

use crate::{Organisation, Person};

/// The header.
pub const COLUMNS: [&str; 11] = [
    "employeeNumber",
    "userName",
    "email",
    "givenName",
    "familyName",
    "department",
    "manager",
    "status",
    "startDate",
    "endDate",
    "groups",
];

/// What the manifest of a file states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Without the header.
    pub rows: u64,
    /// Of the bytes, hex.
    pub sha256: String,
}

/// Writes everybody; `seat` hears how many seats were looked at so far.
///
/// # Errors
/// What `to` refuses.
pub fn write(organisation: &Organisation, to: impl Write, mut seat: impl FnMut(u64)) -> io::Result<Written> {
    let mut file = csv::WriterBuilder::new().buffer_capacity(1 << 16).from_writer(Hashed { to, hash: Sha256::new() });
    file.write_record(COLUMNS)?;
    let mut rows = 0;
    for number in 0..organisation.seats() {
        if let Some(person) = organisation.person(number) {
            file.write_record(cells(&person))?;
            rows += 1;
        }
        seat(number + 1);
    }
    let written = file.into_inner().map_err(|refused| io::Error::other(refused.to_string()))?;
    let Hashed { mut to, hash } = written;
    to.flush()?;
    Ok(Written { rows, sha256: hex::encode(hash.finalize()) })
}

fn cells(person: &Person) -> [String; 11] {
    let groups: Vec<&str> = person.groups.iter().map(String::as_str).collect();
    [
        person.employee_number.to_string(),
        person.user_name.clone(),
        person.email.clone(),
        person.given_name.clone(),
        person.family_name.clone(),
        person.department.to_owned(),
        person.manager.map(|number| number.to_string()).unwrap_or_default(),
        person.status.as_str().to_owned(),
        person.start.to_string(),
        person.end.map(|day| day.to_string()).unwrap_or_default(),
        groups.join(";"),
    ]
}

/// Passes on what it is given and keeps its digest.
struct Hashed<W> {
    to: W,
    hash: Sha256,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
