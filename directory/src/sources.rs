//! The configured sources: what each one's word counts for.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use crate::privileged::{GroupAttribute, Privileged};
use crate::{Directory, Result};

/// How one source takes part in identity.
#[derive(Debug, Clone, Default)]
pub struct SourceRules {
    pub kind: String,
    pub correlate: Vec<String>,
    pub authority: Vec<String>,
    pub ignores_lifecycle: bool,
}

/// All sources by name, and which groups are privileged.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    rules: BTreeMap<String, SourceRules>,
    privileged: Privileged,
}

impl Sources {
    /// `privileged` are patterns over display names.
    pub fn new(rules: BTreeMap<String, SourceRules>, privileged: &[String]) -> Result<Self, globset::Error> {
        Ok(Self { rules, privileged: Privileged::by_names(privileged)? })
    }

    /// The same, where a group is privileged also by any of these.
    pub fn privileged_by(self, attributes: Vec<GroupAttribute>) -> Self {
        Self { privileged: self.privileged.or_by(attributes), ..self }
    }

    /// Rules of a source; one that is no longer configured has no authority and still denies.
    pub(crate) fn rules(&self, name: &str) -> &SourceRules {
        static FORMER: std::sync::LazyLock<SourceRules> = std::sync::LazyLock::new(SourceRules::default);
        self.rules.get(name).unwrap_or(&FORMER)
    }

    /// `attributes` are those of the group as its source states it.
    pub fn is_privileged(&self, group: &str, attributes: &Value) -> bool {
        self.privileged.is(group, attributes)
    }

    pub fn names(&self) -> impl Iterator<Item = (&str, &SourceRules)> {
        self.rules.iter().map(|(name, rules)| (name.as_str(), rules))
    }
}

/// What is stored of a source's runs.
#[derive(Debug, Clone)]
pub struct SourceRow {
    pub id: Uuid,
    pub name: String,
    pub fingerprint: Option<String>,
    pub rows_applied: Option<i64>,
    pub baselined_at: Option<DateTime<Utc>>,
    pub baseline_open: bool,
}

impl Directory {
    /// Stores the configured sources and re-reads which groups are privileged. Called once at start.
    pub async fn register_sources(&self) -> Result<()> {
        for (name, rules) in self.sources.names() {
            sqlx::query!(
                "INSERT INTO directory.sources (name, kind) VALUES ($1, $2)
                 ON CONFLICT (name) DO UPDATE SET kind = excluded.kind WHERE sources.kind <> excluded.kind",
                name,
                rules.kind
            )
            .execute(&self.pool)
            .await?;
        }
        let groups = sqlx::query!("SELECT id, display_name, privileged, attributes FROM directory.groups")
            .fetch_all(&self.pool)
            .await?;
        let changed: Vec<Uuid> = groups
            .iter()
            .filter(|g| self.sources.is_privileged(&g.display_name, &g.attributes) != g.privileged)
            .map(|g| g.id)
            .collect();
        if !changed.is_empty() {
            sqlx::query!("UPDATE directory.groups SET privileged = NOT privileged WHERE id = ANY($1)", &changed)
                .execute(&self.pool)
                .await?;
        }
        Ok(())
    }

    pub async fn source(&self, name: &str) -> Result<Option<SourceRow>> {
        Ok(sqlx::query_as!(
            SourceRow,
            "SELECT id, name, fingerprint, rows_applied, baselined_at, baseline_open FROM directory.sources WHERE name = $1",
            name
        )
        .fetch_optional(&self.pool)
        .await?)
    }
}
