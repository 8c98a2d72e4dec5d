//! Whom an order is about: somebody who is known, or a stranger by what one downstream calls them.

use std::collections::BTreeSet;

use directory::Resolved;
use lifecycle::SubjectKind;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{Console, problem::Problem};

/// What a downstream calls somebody is no longer, in bytes.
const LONGEST: usize = 1_024;

/// Either what people call somebody, or what a downstream does.
pub(crate) enum Named<'a> {
    Who(&'a str),
    Subject { value: &'a str, downstream: &'a str },
}

impl<'a> Named<'a> {
    /// Exactly one of `who` and `subject`, and with `subject` exactly one downstream.
    pub(crate) fn read(
        who: Option<&'a str>,
        subject: Option<&'a str>,
        downstreams: Option<&'a [String]>,
    ) -> Result<Self, Problem> {
        match (who, subject, downstreams) {
            (Some(who), None, _) => Ok(Named::Who(who)),
            (None, Some(value), Some([downstream])) => Ok(Named::Subject { value, downstream }),
            (None, Some(_), _) => Err(Problem::new(400, "subject is what one downstream calls somebody")
                .help("name that downstream, and no other")),
            (Some(_), Some(_), _) => Err(Problem::new(400, "who and subject exclude each other")),
            (None, None, _) => {
                Err(Problem::new(400, "who is missing").help("or subject, with the one downstream that calls them so"))
            }
        }
    }
}

pub(crate) struct Whom {
    pub subject: Uuid,
    pub kind: SubjectKind,
    /// Of a stranger: identities that go by the same text.
    known: BTreeSet<Uuid>,
}

impl Whom {
    /// Adds to an answer whom it is about. What a stranger is called is not said again.
    pub(crate) fn tell(&self, answer: &mut Value) {
        if self.kind == SubjectKind::Stranger {
            answer["subject"] = json!(self.subject);
            answer["kind"] = json!(self.kind);
            answer["known"] = json!(self.known);
        } else {
            answer["identity"] = json!(self.subject);
        }
    }
}

impl Console {
    pub(crate) async fn whom(&self, named: &Named<'_>) -> Result<Whom, Problem> {
        let (value, downstream) = match *named {
            Named::Who(who) => {
                let subject = self.one(who, false).await?;
                return Ok(Whom { subject, kind: SubjectKind::Identity, known: BTreeSet::new() });
            }
            Named::Subject { value, downstream } => (value, downstream),
        };
        if value.is_empty() || value.len() > LONGEST || value.contains('\0') {
            return Err(Problem::new(400, format!("subject is text of 1 to {LONGEST} bytes, without a NUL")));
        }
        let mut known: BTreeSet<Uuid> =
            self.directory.namesakes(&[value.to_owned()]).await?.into_iter().map(|view| view.id).collect();
        // Those among them who have left, too: nobody is called so any more, but it is they who were.
        match self.directory.resolve(value, false).await? {
            Resolved::Nobody => {}
            Resolved::One(id) => drop(known.insert(id)),
            Resolved::Several(rows) => known.extend(rows.iter().map(|row| row.id)),
        }
        let subject = self.directory.stranger(downstream, value).await?;
        Ok(Whom { subject, kind: SubjectKind::Stranger, known })
    }
}
