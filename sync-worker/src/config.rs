//! What an operator may set for one source.

use connectors::Config as Connector;
use lifecycle::brake::{Bounds, Limits};
use schemars::JsonSchema;
use serde::Deserialize;

/// One entry of `sources:`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub connector: Connector,
    /// When a pulled source is read: cron with 5 fields, or 6 with seconds first. Absent: only on request.
    #[serde(default)]
    pub schedule: Option<String>,
    /// When everything is read although the source can tell what changed; absent: only when it has to be.
    #[serde(default)]
    pub snapshot_schedule: Option<String>,
    /// Each source is read later than its schedules say by a share of this that its name decides, so that many with the same
    /// schedule do not all begin at once. Absent: none is.
    #[serde(default, with = "humantime_serde")]
    #[schemars(with = "String")]
    pub jitter: std::time::Duration,
    /// IANA zone of the schedules and of dates without a zone of their own.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub timezone: Option<chrono_tz::Tz>,
    /// Fields that link an account to an identity, first decisive one first. Absent: links to nobody.
    #[serde(default)]
    pub correlate: Vec<String>,
    /// What this source rules: `lifecycle` (who may activate) and fields whose value wins.
    #[serde(default)]
    pub authority: Vec<String>,
    /// What it means that somebody is missing from a complete snapshot.
    #[serde(default)]
    pub absence: Absence,
    /// `ignore`: this source never ends access.
    #[serde(default)]
    pub lifecycle: Lifecycle,
    #[serde(default)]
    pub brake: Brake,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Absence {
    #[default]
    Disable,
    Delete,
    Ignore,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Lifecycle {
    #[default]
    Follow,
    Ignore,
}

/// See [`lifecycle::brake`].
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Brake {
    /// A share of the active identities in scope, such as `5%`.
    pub max_disable: Share,
    /// The brake never holds fewer than this.
    pub min: u64,
    /// A bound of its own for accounts that are gone for good; absent: they count with those that are disabled.
    pub delete: Option<Bound>,
    /// A bound of its own for lost privileged groups.
    pub privileged_loss: Option<Bound>,
    /// How many pushed deactivations apply within a window; more are held.
    pub burst: Burst,
    /// A held plan that nobody has answered for so long is made anew from what is stored, and alarms again.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub expires: std::time::Duration,
}

const WEEK: std::time::Duration = std::time::Duration::from_secs(7 * 86_400);

impl Default for Brake {
    fn default() -> Self {
        let Limits { max_disable, min } = Limits::default();
        Self {
            max_disable: Share(max_disable),
            min,
            delete: None,
            privileged_loss: None,
            burst: Burst::default(),
            expires: WEEK,
        }
    }
}

impl Brake {
    pub fn limits(&self) -> Limits {
        Limits { max_disable: self.max_disable.0, min: self.min }
    }

    pub fn bounds(&self) -> Bounds {
        let own = |bound: &Option<Bound>| bound.map(|b| Limits { max_disable: b.max.0, min: b.min });
        Bounds { limits: self.limits(), delete: own(&self.delete), privileged_loss: own(&self.privileged_loss) }
    }
}

/// The larger of a share of the active identities in scope and an absolute count.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bound {
    pub max: Share,
    pub min: u64,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Burst {
    pub count: u64,
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub window: std::time::Duration,
}

impl Default for Burst {
    fn default() -> Self {
        Self { count: 50, window: std::time::Duration::from_secs(60) }
    }
}

/// A share of a whole, written `5%`.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub struct Share(pub f64);

impl TryFrom<String> for Share {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.strip_suffix('%')
            .and_then(|number| number.trim().parse::<f64>().ok())
            .filter(|percent| (0.0..=100.0).contains(percent))
            .map(|percent| Share(percent / 100.0))
            .ok_or_else(|| "a share is written as a percentage, such as 5%".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn brake(value: serde_json::Value) -> Result<Brake, serde_json::Error> {
        serde_json::from_value(value)
    }

    #[test]
    fn a_class_has_a_bound_of_its_own_only_where_one_is_set() {
        let default = brake(json!({})).expect("nothing is required");
        assert_eq!(default.bounds(), Bounds::default());
        let bounds = brake(json!({
            "max_disable": "10%", "min": 30, "delete": {"max": "1%", "min": 2}, "privileged_loss": {"max": "0%", "min": 0}
        }))
        .expect("a brake")
        .bounds();
        let of = |max_disable, min| Limits { max_disable, min };
        let expected = Bounds { limits: of(0.1, 30), delete: Some(of(0.01, 2)), privileged_loss: Some(of(0.0, 0)) };
        assert_eq!(bounds, expected);
        for half in [json!({"max": "1%"}), json!({"min": 1}), json!({"max": "1%", "min": 1, "mx": 1})] {
            assert!(brake(json!({"delete": half})).is_err(), "{half}");
            assert!(brake(json!({"privileged_loss": half})).is_err(), "{half}");
        }
    }

    #[test]
    fn a_held_plan_waits_for_a_week_or_as_long_as_is_set() {
        let expires = |value| brake(value).ok().map(|brake| brake.expires);
        assert_eq!(expires(json!({})), Some(WEEK));
        assert_eq!(expires(json!({"expires": "36h"})), Some(std::time::Duration::from_secs(36 * 3_600)));
        assert_eq!(expires(json!({"expires": 36})), None, "a number has no unit");
    }

    #[test]
    fn a_share_is_a_percentage() {
        assert_eq!(Share::try_from("5%".to_owned()), Ok(Share(0.05)));
        for wrong in ["5", "101%", "-1%", "five%", ""] {
            assert!(Share::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }
}
