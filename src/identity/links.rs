//! Links in mails: each is used once, for a limited time, and known by its hash.
//!
//! A new link of a purpose ends the older ones of the same person.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use super::tokens::{self, SecretText};
use crate::mail::MailKind;

const MARK: &str = "klt_";
/// Who asks again sooner gets no second mail.
const PAUSE: TimeDelta = TimeDelta::seconds(60);

/// Whose link it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    User(i64),
    Registration(i64),
}

impl Holder {
    const fn columns(self) -> (Option<i64>, Option<i64>) {
        match self {
            Holder::User(id) => (Some(id), None),
            Holder::Registration(id) => (None, Some(id)),
        }
    }
}

/// How long a link is good, and a mail without one worth sending.
pub const fn life(kind: MailKind) -> TimeDelta {
    match kind {
        MailKind::Invitation | MailKind::RegistrationApproved | MailKind::RegistrationRejected => TimeDelta::days(7),
        MailKind::Verification => TimeDelta::days(2),
        MailKind::PasswordReset => TimeDelta::hours(1),
    }
}

/// What the store calls it. It takes none of a mail that has no secret.
const fn purpose(kind: MailKind) -> &'static str {
    match kind {
        MailKind::Invitation => "invitation",
        MailKind::Verification => "verification",
        MailKind::PasswordReset => "password_reset",
        MailKind::RegistrationApproved | MailKind::RegistrationRejected => "none",
    }
}

/// Makes a link. Gives its secret, and when it ends.
pub async fn make(
    tx: &mut PgConnection,
    holder: Holder,
    kind: MailKind,
    now: DateTime<Utc>,
) -> Result<(SecretText, DateTime<Utc>), sqlx::Error> {
    let (user, registration) = holder.columns();
    sqlx::query!(
        "delete from identity.link_token where purpose = $3 and (user_id = $1 or registration_id = $2)",
        user,
        registration,
        purpose(kind),
    )
    .execute(&mut *tx)
    .await?;
    let (text, hash) = tokens::fresh(MARK);
    let expires_at = now + life(kind);
    sqlx::query!(
        "insert into identity.link_token (token_hash, user_id, registration_id, purpose, created_at, expires_at)
         values ($1, $2, $3, $4, $5, $6)",
        &hash[..],
        user,
        registration,
        purpose(kind),
        now,
        expires_at,
    )
    .execute(tx)
    .await?;
    Ok((text, expires_at))
}

/// Whether this person was sent such a link a moment ago.
pub async fn just_sent(
    tx: &mut PgConnection,
    holder: Holder,
    kind: MailKind,
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let (user, registration) = holder.columns();
    sqlx::query_scalar!(
        r#"select exists (select from identity.link_token
             where purpose = $3 and (user_id = $1 or registration_id = $2) and created_at > $4) as "sent!""#,
        user,
        registration,
        purpose(kind),
        now - PAUSE,
    )
    .fetch_one(tx)
    .await
}

/// Whose link somebody shows, if it is good. It stays good.
pub async fn holder(
    tx: &mut PgConnection,
    shown: &str,
    kinds: &[MailKind],
    now: DateTime<Utc>,
) -> Result<Option<Holder>, sqlx::Error> {
    let Some(hash) = tokens::hash_of(MARK, shown) else { return Ok(None) };
    let row = sqlx::query!(
        "select user_id, registration_id from identity.link_token
         where token_hash = $1 and purpose = any ($2) and expires_at > $3",
        &hash[..],
        &kinds.iter().map(|kind| purpose(*kind).to_owned()).collect::<Vec<_>>(),
        now,
    )
    .fetch_optional(tx)
    .await?;
    Ok(row.and_then(|row| row.user_id.map(Holder::User).or(row.registration_id.map(Holder::Registration))))
}

/// Whoever holds an older link of this person can do nothing with it any more.
pub async fn end_all(tx: &mut PgConnection, user_id: i64) -> Result<(), sqlx::Error> {
    sqlx::query!("delete from identity.link_token where user_id = $1", user_id).execute(tx).await?;
    Ok(())
}

/// Uses a link up. `false`: somebody was faster.
pub async fn spend(tx: &mut PgConnection, shown: &str) -> Result<bool, sqlx::Error> {
    let Some(hash) = tokens::hash_of(MARK, shown) else { return Ok(false) };
    let spent = sqlx::query!("delete from identity.link_token where token_hash = $1", &hash[..]).execute(tx).await?;
    Ok(spent.rows_affected() > 0)
}
