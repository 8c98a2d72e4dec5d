//! Their keys, JSON and MessagePack into our words; pure.

use std::{borrow::Cow, fmt};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::ConfigError;

/// The way to the user inside a session: `passport.user`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path(Vec<String>);

impl Path {
    pub(super) fn parse(path: &str) -> Result<Self, ConfigError> {
        let parts: Vec<String> = path.split('.').map(str::to_owned).collect();
        if parts.iter().any(String::is_empty) {
            return Err(ConfigError::EmptyPathPart);
        }
        Ok(Self(parts))
    }

    /// The user of a session. `None` for visitors who have not signed in, and for what is not JSON: the application
    /// that owns the store could not read it either, so it is no session.
    ///
    /// Walks the text once and copies nothing: this runs for every session of the store, in every pass.
    pub(super) fn user_in_json<'a>(&self, session: &'a [u8]) -> Option<Cow<'a, str>> {
        let mut json = serde_json::Deserializer::from_slice(session);
        let user = At(&self.0).deserialize(&mut json).ok()?;
        json.end().ok()?;
        user
    }

    /// The user of a session in MessagePack or, as Flask-Session reads either, in JSON. No mapping of MessagePack
    /// begins as an object of JSON does.
    pub(super) fn user_in_msgpack<'a>(&self, session: &'a [u8]) -> Option<Cow<'a, str>> {
        if session.first() == Some(&b'{') {
            return self.user_in_json(session);
        }
        let mut msgpack = rmp_serde::Deserializer::from_read_ref(session);
        At(&self.0).deserialize(&mut msgpack).ok()?
    }
}

/// A key with a gap in it: `user:{subject}:sessions`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    before: String,
    after: String,
}

impl Template {
    pub(super) fn parse(key: &'static str, template: &str, gap: &'static str) -> Result<Self, ConfigError> {
        match template.split_once(gap) {
            Some((before, after)) if !after.contains(gap) => Ok(Self::new(before, after)),
            _ => Err(ConfigError::Gap { key, gap }),
        }
    }

    pub(super) fn new(before: impl Into<String>, after: impl Into<String>) -> Self {
        Self { before: before.into(), after: after.into() }
    }

    pub(super) fn with(&self, value: &str) -> String {
        format!("{}{value}{}", self.before, self.after)
    }

    /// What stands in the gap of `key`. Keys that are not UTF-8 are not ours to know.
    pub(super) fn gap<'a>(&self, key: &'a [u8]) -> Option<&'a str> {
        std::str::from_utf8(key).ok()?.strip_prefix(&*self.before)?.strip_suffix(&*self.after)
    }

    /// A `MATCH` pattern for exactly the keys that fit.
    pub(super) fn pattern(&self) -> String {
        let literally = |text: &str| {
            let special = |c| matches!(c, '*' | '?' | '[' | ']' | '^' | '-' | '\\');
            text.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect::<String>()
        };
        format!("{}*{}", literally(&self.before), literally(&self.after))
    }
}

/// Product and version out of the server's `INFO`.
pub(super) fn product(info: &str) -> String {
    let value = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
    // Valkey also states the version of Redis that it stands in for.
    match (value("valkey_version"), value("redis_version")) {
        (Some(version), _) => format!("Valkey {version}"),
        (None, Some(version)) => format!("Redis {version}"),
        (None, None) => "Redis".into(),
    }
}

/// Reads the value at the rest of a path and skips everything beside it.
#[derive(Clone, Copy)]
struct At<'p>(&'p [String]);

impl<'de> DeserializeSeed<'de> for At<'_> {
    type Value = Option<Cow<'de, str>>;

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<Self::Value, D::Error> {
        d.deserialize_any(self)
    }
}

impl At<'_> {
    /// A value counts only where the path ends.
    fn here<'de>(self, value: impl FnOnce() -> Cow<'de, str>) -> Option<Cow<'de, str>> {
        self.0.is_empty().then(value)
    }
}

impl<'de> Visitor<'de> for At<'_> {
    type Value = Option<Cow<'de, str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON or MessagePack")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let Some((name, rest)) = self.0.split_first() else {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(None);
        };
        let mut found = None;
        while let Some(matches) = map.next_key_seed(Is(name))? {
            if matches {
                // The last of equal names wins, as it does for JSON.parse in the application.
                found = map.next_value_seed(At(rest))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(self.here(|| Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(self.here(|| Cow::Owned(value.to_owned())))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(self.here(|| Cow::Owned(value.to_string())))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(self.here(|| Cow::Owned(value.to_string())))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(self.here(|| Cow::Owned(value.to_string())))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<Self::Value, E> {
        Ok(None)
    }

    /// An extension of MessagePack, such as a time.
    fn visit_newtype_struct<D: Deserializer<'de>>(self, extension: D) -> Result<Self::Value, D::Error> {
        IgnoredAny.visit_newtype_struct(extension).map(|_| None)
    }
}

/// Whether a member's name is the wanted one, without copying it.
struct Is<'p>(&'p str);

impl<'de> DeserializeSeed<'de> for Is<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, d: D) -> Result<bool, D::Error> {
        d.deserialize_any(self)
    }
}

/// Names in MessagePack may be of any type.
impl<'de> Visitor<'de> for Is<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<bool, E> {
        Ok(name == self.0)
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_u64<E>(self, _: u64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_i64<E>(self, _: i64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_f64<E>(self, _: f64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_bool<E>(self, _: bool) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<bool, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(false)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, extension: D) -> Result<bool, D::Error> {
        IgnoredAny.visit_newtype_struct(extension).map(|_| false)
    }
}
