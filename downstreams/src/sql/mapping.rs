//! Their column types and ours; pure.
//!
//! The operator's statements decide the types. Values are bound as what PostgreSQL itself inferred for `$1` and as the
//! type of the session id that `find` returns, so `where user_id = $1` and `where id = $2` need no casts and can use
//! their indexes.

use chrono::{DateTime, Utc};
use sqlx::{
    Arguments, Column, Decode, Either, Encode, Postgres, Row, Statement, Type, TypeInfo,
    encode::IsNull,
    error::BoxDynError,
    postgres::{PgArgumentBuffer, PgArguments, PgRow, PgStatement, PgTypeInfo},
};
use uuid::Uuid;

use crate::{Error, Session, SessionId, SessionKind};

/// What `find` or `verify` takes and gives.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    subject: Kind,
    session: Kind,
    /// The index of the column with the time of signing in.
    auth_time: Option<usize>,
}

/// The column of a place that says since when something is there, and the key under which the configuration names it.
#[derive(Debug, Clone)]
pub(super) struct Begun {
    pub(super) key: &'static str,
    pub(super) column: Option<String>,
}

/// What `recheck` takes.
#[derive(Debug, Clone)]
pub(super) struct Marking {
    subject: Kind,
    /// Whether the instant is milliseconds, and no timestamptz.
    milliseconds: bool,
}

/// A type in which ids are kept.
#[derive(Debug, Clone, PartialEq)]
enum Kind {
    /// Text under its own type: comparing citext as text would heed case.
    Text(PgTypeInfo),
    Uuid,
    Int4,
    Int8,
}

/// The statements do not fit together. Mended by the operator, so it says what to write.
#[derive(Debug, thiserror::Error)]
pub(super) enum Misfit {
    #[error("`{statement}` returns no column")]
    NoColumn { statement: &'static str },
    #[error(
        "`{statement}` returns a session id of type {found}: it can be text, varchar, uuid, int4 or int8 (cast it)"
    )]
    SessionType { statement: &'static str, found: String },
    #[error("`{statement}` compares $1 with type {found}: it can be text, varchar, uuid, int4 or int8 (cast it)")]
    SubjectType { statement: &'static str, found: String },
    #[error("`recheck` takes {found} values: $1 is the user, $2 the instant")]
    MarkParameters { found: usize },
    #[error("`recheck` takes $1 as type {found}: it can be text, varchar, uuid, int4 or int8 (cast it)")]
    MarkSubject { found: String },
    #[error("`recheck` takes $2 as type {found}: it can be timestamptz, or int8 for milliseconds since 1970 (cast it)")]
    MarkInstant { found: String },
    #[error("`{statement}` takes more than $1")]
    Parameters { statement: &'static str },
    #[error("`{statement}` returns no column {column}, which `{key}` names")]
    NoTime { statement: &'static str, key: &'static str, column: String },
    #[error("`{statement}` returns {column} as {found}: what `{key}` names has to be timestamptz")]
    TimeType { statement: &'static str, key: &'static str, column: String, found: String },
    #[error("`{statement}` returns a column {key}: set `{key}: {key}` to have it used, or leave it out")]
    UnusedTime { statement: &'static str, key: &'static str },
    #[error("`find` and `verify` return session ids of different types")]
    Different,
    #[error("a session has no id")]
    NullId,
    #[error("a value is no {wanted}, which the statement compares it with")]
    Value { wanted: &'static str },
    #[error("a value cannot be bound")]
    Bind(#[source] BoxDynError),
}

impl From<Misfit> for Error {
    fn from(misfit: Misfit) -> Self {
        Error::Rejected(Box::new(misfit))
    }
}

impl Shape {
    /// What PostgreSQL made of the prepared `find` or `verify`.
    pub(super) fn of(prepared: &PgStatement, statement: &'static str, begun: &Begun) -> Result<Self, Misfit> {
        let subject = match prepared.parameters() {
            Some(Either::Left([one])) => {
                Kind::of(one).ok_or_else(|| Misfit::SubjectType { statement, found: one.name().to_owned() })?
            }
            _ => return Err(Misfit::Parameters { statement }),
        };
        let columns = prepared.columns();
        let id = columns.first().ok_or(Misfit::NoColumn { statement })?.type_info();
        let session = Kind::of(id).ok_or_else(|| Misfit::SessionType { statement, found: id.name().to_owned() })?;
        let place = |name: &str| columns.iter().position(|column| column.name() == name);
        let key = begun.key;
        let auth_time = match &begun.column {
            Some(column) => {
                let column = || column.clone();
                let index = place(&column()).ok_or_else(|| Misfit::NoTime { statement, key, column: column() })?;
                let found = columns[index].type_info().name();
                if found != "TIMESTAMPTZ" {
                    return Err(Misfit::TimeType { statement, key, column: column(), found: found.to_owned() });
                }
                Some(index)
            }
            // To ignore it would end what began after the cutoff.
            None if place(key).is_some() => return Err(Misfit::UnusedTime { statement, key }),
            None => None,
        };
        Ok(Self { subject, session, auth_time })
    }

    /// `find` and `verify` have to speak of the same ids.
    pub(super) fn agrees_with(&self, other: &Shape) -> Result<(), Misfit> {
        if self.session == other.session { Ok(()) } else { Err(Misfit::Different) }
    }

    /// The argument of `find` and `verify`.
    pub(super) fn subject(&self, value: &str) -> Result<PgArguments, Misfit> {
        let mut arguments = PgArguments::default();
        self.subject.bind(&mut arguments, value)?;
        Ok(arguments)
    }

    /// The arguments of `end`.
    pub(super) fn session(&self, value: &str, session: &SessionId) -> Result<PgArguments, Misfit> {
        let mut arguments = self.subject(value)?;
        self.session.bind(&mut arguments, session.expose())?;
        Ok(arguments)
    }

    /// A value of the right type for `$1`, where it does not matter which.
    pub(super) fn nobody(&self) -> &'static str {
        self.subject.zero()
    }

    /// A session id of the right type that no session has.
    pub(super) fn no_session(&self) -> SessionId {
        SessionId::new(self.session.zero())
    }

    /// The first column of a row.
    pub(super) fn id(&self, row: &PgRow) -> Result<String, Error> {
        let id = match self.session {
            Kind::Text(_) => get::<String>(row, 0)?,
            Kind::Uuid => get::<Uuid>(row, 0)?.map(|id| id.to_string()),
            Kind::Int4 => get::<i32>(row, 0)?.map(|id| id.to_string()),
            Kind::Int8 => get::<i64>(row, 0)?.map(|id| id.to_string()),
        };
        Ok(id.ok_or(Misfit::NullId)?)
    }

    pub(super) fn read(&self, row: &PgRow) -> Result<Session, Error> {
        let auth_time = match self.auth_time {
            Some(index) => get::<DateTime<Utc>>(row, index)?,
            None => None,
        };
        Ok(Session { id: SessionId::new(self.id(row)?), kind: SessionKind::Session, auth_time })
    }
}

impl Marking {
    /// What PostgreSQL made of the prepared `recheck`.
    pub(super) fn of(prepared: &PgStatement) -> Result<Self, Misfit> {
        let Some(Either::Left(types)) = prepared.parameters() else { return Err(Misfit::MarkParameters { found: 0 }) };
        let [user, instant] = types else { return Err(Misfit::MarkParameters { found: types.len() }) };
        let subject = Kind::of(user).ok_or_else(|| Misfit::MarkSubject { found: user.name().to_owned() })?;
        let milliseconds = match instant.name() {
            "TIMESTAMPTZ" => false,
            "INT8" => true,
            found => return Err(Misfit::MarkInstant { found: found.to_owned() }),
        };
        Ok(Self { subject, milliseconds })
    }

    /// The arguments of `recheck`.
    pub(super) fn arguments(&self, value: &str, milliseconds: i64) -> Result<PgArguments, Misfit> {
        let mut arguments = PgArguments::default();
        self.subject.bind(&mut arguments, value)?;
        match self.milliseconds {
            true => arguments.add(milliseconds),
            false => arguments.add(DateTime::from_timestamp_millis(milliseconds)),
        }
        .map_err(Misfit::Bind)?;
        Ok(arguments)
    }

    /// A value of the right type for `$1` that is nobody's.
    pub(super) fn nobody(&self) -> &'static str {
        self.subject.zero()
    }
}

fn get<'r, T: Decode<'r, Postgres> + Type<Postgres>>(row: &'r PgRow, index: usize) -> Result<Option<T>, Error> {
    // Unchecked, as every spelling of text reads alike; the types were checked with the statement.
    row.try_get_unchecked(index).map_err(|cause| Error::Rejected(Box::new(cause)))
}

impl Kind {
    fn of(found: &PgTypeInfo) -> Option<Self> {
        match found.name() {
            "TEXT" | "VARCHAR" | "citext" => Some(Kind::Text(found.clone())),
            "UUID" => Some(Kind::Uuid),
            "INT4" => Some(Kind::Int4),
            "INT8" => Some(Kind::Int8),
            _ => None,
        }
    }

    /// Binds `value`, which has to be written as PostgreSQL would write it: that "042" is not user 42 must not depend
    /// on a parser.
    fn bind(&self, arguments: &mut PgArguments, value: &str) -> Result<(), Misfit> {
        match self {
            Kind::Text(declared) => arguments.add(Text { value, declared: declared.clone() }),
            Kind::Uuid => arguments.add(
                Uuid::try_parse(value)
                    .ok()
                    .filter(|id| id.to_string().eq_ignore_ascii_case(value))
                    .ok_or(Misfit::Value { wanted: "uuid" })?,
            ),
            Kind::Int4 => arguments.add(integer::<i32>(value)?),
            Kind::Int8 => arguments.add(integer::<i64>(value)?),
        }
        .map_err(Misfit::Bind)
    }

    fn zero(&self) -> &'static str {
        match self {
            Kind::Text(_) => "",
            Kind::Uuid => "00000000-0000-0000-0000-000000000000",
            Kind::Int4 | Kind::Int8 => "0",
        }
    }
}

fn integer<T: std::str::FromStr + ToString>(value: &str) -> Result<T, Misfit> {
    value.parse().ok().filter(|number: &T| number.to_string() == value).ok_or(Misfit::Value { wanted: "integer" })
}

/// Text under the type that the statement expects; all of them travel as their UTF-8.
struct Text<'a> {
    value: &'a str,
    declared: PgTypeInfo,
}

impl Type<Postgres> for Text<'_> {
    fn type_info() -> PgTypeInfo {
        <str as Type<Postgres>>::type_info()
    }
}

impl<'q> Encode<'q, Postgres> for Text<'_> {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.extend_from_slice(self.value.as_bytes());
        Ok(IsNull::No)
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(self.declared.clone())
    }
}
