//! Making, listing and revoking keys. Each change is an audit row of its own transaction.

use chrono::{DateTime, Utc};
use ipnet::IpNet;
use serde::Serialize;
use serde_json::json;
use sqlx::{PgConnection, PgExecutor};
use utoipa::ToSchema;

use super::{
    is_scope, known_scopes,
    secret::{self, KeyText},
};
use crate::audit::{self, Actor, Entry};

#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("`{0}` is no scope; known are {known}", known = known_scopes())]
    UnknownScope(String),
    #[error("a key needs at least one scope: {known}", known = known_scopes())]
    NoScope,
    #[error("a key's name has 1 to 100 characters and no line breaks")]
    Name,
    #[error("`{0}` cannot be the name of an instance; it is the name of a block [connectors.NAME]")]
    Instance(String),
    #[error("a rate must be at least 1 request a minute")]
    Rate,
    #[error("a key that has expired already is of no use; name a time to come")]
    Expired,
    #[error("there is no API key with the prefix `{0}`; `kopru api-key list` shows them")]
    NotFound(String),
    #[error("the key `{0}` was revoked before")]
    AlreadyRevoked(String),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// What a new key shall be.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// For people.
    pub name: String,
    /// The configured instance on whose behalf it speaks.
    pub instance: String,
    pub scopes: Vec<String>,
    /// Empty: from anywhere.
    pub allowed_networks: Vec<IpNet>,
    /// `None`: as the configuration says.
    pub rate_per_minute: Option<u32>,
    pub expires_at: Option<DateTime<Utc>>,
}

/// A key as it is listed: everything but what proves it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApiKey {
    pub id: i64,
    pub name: String,
    pub prefix: String,
    pub instance: String,
    pub scopes: Vec<String>,
    pub allowed_networks: Vec<String>,
    pub rate_per_minute: Option<i32>,
    pub expires_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
    pub revoked_by: Option<String>,
    pub created_at: DateTime<Utc>,
    pub created_by: String,
    pub last_used_at: Option<DateTime<Utc>>,
}

/// Makes a key. Its text is in the answer and nowhere else.
pub async fn create(
    tx: &mut PgConnection,
    by: Actor<'_>,
    new: &NewKey,
    now: DateTime<Utc>,
) -> Result<(ApiKey, KeyText), KeyError> {
    check(new, now)?;
    let mut scopes = new.scopes.clone();
    scopes.sort();
    scopes.dedup();
    let networks: Vec<String> = new.allowed_networks.iter().map(|network| network.trunc().to_string()).collect();
    let rate = new.rate_per_minute.map(|rate| i32::try_from(rate).unwrap_or(i32::MAX));
    let key = secret::fresh();
    let row = sqlx::query_as!(
        ApiKey,
        r#"insert into identity.api_key
             (prefix, secret_hash, name, instance, scopes, allowed_networks, rate_per_minute, expires_at, created_by)
           values ($1, $2, $3, $4, $5, $6::text[]::cidr[], $7, $8, $9)
           returning id, name, prefix, instance, scopes, allowed_networks::text[] as "allowed_networks!", rate_per_minute,
                     expires_at, revoked_at, revoked_by, created_at, created_by, last_used_at"#,
        key.prefix,
        &key.hash[..],
        new.name.trim(),
        new.instance,
        &scopes,
        &networks,
        rate,
        new.expires_at,
        by.name,
    )
    .fetch_one(&mut *tx)
    .await?;
    let detail = json!({
        "name": row.name,
        "instance": row.instance,
        "scopes": row.scopes,
        "allowedNetworks": row.allowed_networks,
        "ratePerMinute": row.rate_per_minute,
        "expiresAt": row.expires_at,
    });
    let entry = Entry { action: "api_key.created", subject_kind: "api_key", subject: row.prefix.clone(), detail };
    audit::record(tx, by, &[entry]).await?;
    Ok((row, key.text))
}

fn check(new: &NewKey, now: DateTime<Utc>) -> Result<(), KeyError> {
    let name = new.name.trim();
    if name.is_empty() || name.chars().count() > 100 || name.chars().any(char::is_control) {
        return Err(KeyError::Name);
    }
    let mut letters = new.instance.bytes();
    let begins = letters.next().is_some_and(|first| first.is_ascii_lowercase());
    if !begins || !letters.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_') {
        return Err(KeyError::Instance(new.instance.clone()));
    }
    if let Some(scope) = new.scopes.iter().find(|scope| !is_scope(scope)) {
        return Err(KeyError::UnknownScope(scope.clone()));
    }
    if new.scopes.is_empty() {
        return Err(KeyError::NoScope);
    }
    if new.rate_per_minute == Some(0) {
        return Err(KeyError::Rate);
    }
    if new.expires_at.is_some_and(|at| at <= now) {
        return Err(KeyError::Expired);
    }
    Ok(())
}

/// Newest first, a page at a time; `before` is the last id of the page before.
pub async fn list<'e>(
    db: impl PgExecutor<'e>,
    with_revoked: bool,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<ApiKey>, sqlx::Error> {
    sqlx::query_as!(
        ApiKey,
        r#"select id, name, prefix, instance, scopes, allowed_networks::text[] as "allowed_networks!", rate_per_minute,
                  expires_at, revoked_at, revoked_by, created_at, created_by, last_used_at
           from identity.api_key
           where ($1 or revoked_at is null) and ($2::bigint is null or id < $2)
           order by id desc
           limit $3"#,
        with_revoked,
        before,
        limit,
    )
    .fetch_all(db)
    .await
}

/// Ends a key for good. It holds within [`super::FRESH`] in every daemon.
pub async fn revoke(tx: &mut PgConnection, by: Actor<'_>, prefix: &str) -> Result<ApiKey, KeyError> {
    let revoked = sqlx::query_as!(
        ApiKey,
        r#"update identity.api_key set revoked_at = clock_timestamp(), revoked_by = $2
           where prefix = $1 and revoked_at is null
           returning id, name, prefix, instance, scopes, allowed_networks::text[] as "allowed_networks!", rate_per_minute,
                     expires_at, revoked_at, revoked_by, created_at, created_by, last_used_at"#,
        prefix,
        by.name,
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(key) = revoked else {
        let known = sqlx::query_scalar!(
            r#"select exists (select from identity.api_key where prefix = $1) as "known!""#,
            prefix
        )
        .fetch_one(tx)
        .await?;
        let prefix = prefix.to_owned();
        return Err(if known { KeyError::AlreadyRevoked(prefix) } else { KeyError::NotFound(prefix) });
    };
    let detail = json!({ "name": key.name });
    let entry = Entry { action: "api_key.revoked", subject_kind: "api_key", subject: key.prefix.clone(), detail };
    audit::record(tx, by, &[entry]).await?;
    Ok(key)
}
