//! Bearer tokens: 256 random bits, of which only the SHA-256 is stored.

use chrono::{DateTime, Utc};
use rand::RngExt;
use serde::Serialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::{Directory, Result};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenKind {
    /// Lets a source push by SCIM.
    Source,
    /// Lets a person use the admin API.
    Admin,
}

impl TokenKind {
    fn as_str(self) -> &'static str {
        match self {
            TokenKind::Source => "source",
            TokenKind::Admin => "admin",
        }
    }
}

/// What is known of a token; never the token.
#[derive(Debug, Clone, Serialize)]
pub struct TokenRow {
    pub id: Uuid,
    pub kind: String,
    /// The source, or the administrator.
    pub name: String,
    #[serde(serialize_with = "crate::instant::ms")]
    pub created_at: DateTime<Utc>,
    #[serde(serialize_with = "crate::instant::ms_option")]
    pub expires_at: Option<DateTime<Utc>>,
    #[serde(serialize_with = "crate::instant::ms_option")]
    pub revoked_at: Option<DateTime<Utc>>,
    /// To the minute.
    #[serde(serialize_with = "crate::instant::ms_option")]
    pub last_used_at: Option<DateTime<Utc>>,
}

/// A new token: a prefix that scanners for leaked secrets can know, then 64 hex digits.
pub fn generate() -> String {
    let bytes: [u8; 32] = rand::rng().random();
    format!("leaver_{}", hex::encode(bytes))
}

pub fn hash(token: &str) -> Vec<u8> {
    Sha256::digest(token.as_bytes()).to_vec()
}

impl Directory {
    /// Stores the hash of `token`.
    pub async fn create_token(
        &self,
        kind: TokenKind,
        name: &str,
        token: &str,
        expires_at: Option<DateTime<Utc>>,
    ) -> Result<Uuid> {
        let id = Uuid::now_v7();
        sqlx::query!(
            "INSERT INTO secrets.tokens (id, kind, name, hash, expires_at) VALUES ($1, $2, $3, $4, $5)",
            id,
            kind.as_str(),
            name,
            hash(token),
            expires_at
        )
        .execute(&self.pool)
        .await?;
        Ok(id)
    }

    /// The name behind a live token of this kind; `None`: not accepted.
    pub async fn check_token(&self, kind: TokenKind, token: &str) -> Result<Option<String>> {
        let presented = hash(token);
        let row = sqlx::query!(
            r#"SELECT id, name, hash,
                      last_used_at IS NULL OR last_used_at < clock_timestamp() - interval '1 minute' AS "stale!"
               FROM secrets.tokens WHERE hash = $1 AND kind = $2 AND revoked_at IS NULL
                 AND (expires_at IS NULL OR expires_at > clock_timestamp())"#,
            presented,
            kind.as_str()
        )
        .fetch_optional(&self.pool)
        .await?;
        // The index lookup compares digests of what was presented; the digest itself is compared in constant time.
        let Some(row) = row.filter(|r| bool::from(r.hash.ct_eq(&presented))) else { return Ok(None) };
        if row.stale {
            // To the minute, so that who calls often does not write each time.
            sqlx::query!("UPDATE secrets.tokens SET last_used_at = clock_timestamp() WHERE id = $1", row.id)
                .execute(&self.pool)
                .await?;
        }
        Ok(Some(row.name))
    }

    /// Whether this very token was ever stored, live or revoked: a revoked one is not made live again by a restart.
    pub async fn knows_token(&self, token: &str) -> Result<bool> {
        let known = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM secrets.tokens WHERE hash = $1) AS "known!""#,
            hash(token)
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(known)
    }

    pub async fn tokens(&self) -> Result<Vec<TokenRow>> {
        Ok(sqlx::query_as!(
            TokenRow,
            "SELECT id, kind, name, created_at, expires_at, revoked_at, last_used_at FROM secrets.tokens ORDER BY created_at"
        )
        .fetch_all(&self.pool)
        .await?)
    }

    /// Whether there was a live token of that id.
    pub async fn revoke_token(&self, id: Uuid) -> Result<bool> {
        let done = sqlx::query!(
            "UPDATE secrets.tokens SET revoked_at = clock_timestamp() WHERE id = $1 AND revoked_at IS NULL",
            id
        )
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }
}
