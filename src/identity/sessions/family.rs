//! Opening, renewing and ending sessions.

use std::net::IpAddr;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::identity::{
    tokens::{self, SecretText},
    users::UserState,
};

/// How long a refresh token is good, and with it a session that nobody uses.
pub const REFRESH_LIFE: TimeDelta = TimeDelta::days(7);
const MARK: &str = "krt_";
const LONGEST_DEVICE: usize = 100;
const LONGEST_AGENT: usize = 300;

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    SignedOut,
    /// A refresh token was shown twice.
    Reuse,
    /// Somebody ended it from another session.
    Revoked,
    PasswordChanged,
    RoleChanged,
    Disabled,
}

impl Reason {
    pub const fn as_str(self) -> &'static str {
        match self {
            Reason::SignedOut => "signed_out",
            Reason::Reuse => "reuse",
            Reason::Revoked => "revoked",
            Reason::PasswordChanged => "password_changed",
            Reason::RoleChanged => "role_changed",
            Reason::Disabled => "disabled",
        }
    }
}

/// From where and with what somebody signs in.
#[derive(Debug, Clone)]
pub struct Device {
    pub name: Option<String>,
    pub agent: Option<String>,
    pub address: IpAddr,
}

impl Device {
    /// Without control characters, and no longer than is kept.
    fn kept(text: Option<&str>, longest: usize) -> Option<String> {
        let kept: String = text?.chars().filter(|letter| !letter.is_control()).take(longest).collect();
        Some(kept.trim().to_owned()).filter(|kept| !kept.is_empty())
    }
}

/// A session with its unused refresh token.
#[derive(Debug)]
pub struct Opened {
    pub session: Uuid,
    pub user_id: i64,
    pub epoch: i64,
    pub refresh: SecretText,
}

/// Begins a session. `epoch` is the user's.
pub async fn open(
    tx: &mut PgConnection,
    user_id: i64,
    epoch: i64,
    device: &Device,
    now: DateTime<Utc>,
) -> Result<Opened, sqlx::Error> {
    let session = Uuid::now_v7();
    sqlx::query!(
        "insert into identity.session (id, user_id, device, agent, address, created_at, last_used_at, expires_at)
         values ($1, $2, $3, $4, $5::text::inet, $6, $6, $7)",
        session,
        user_id,
        Device::kept(device.name.as_deref(), LONGEST_DEVICE),
        Device::kept(device.agent.as_deref(), LONGEST_AGENT),
        device.address.to_string(),
        now,
        now + REFRESH_LIFE,
    )
    .execute(&mut *tx)
    .await?;
    let refresh = give_token(tx, session, now).await?;
    Ok(Opened { session, user_id, epoch, refresh })
}

async fn give_token(tx: &mut PgConnection, session: Uuid, now: DateTime<Utc>) -> Result<SecretText, sqlx::Error> {
    let (text, hash) = tokens::fresh(MARK);
    sqlx::query!(
        "insert into identity.refresh_token (token_hash, session_id, created_at) values ($1, $2, $3)",
        &hash[..],
        session,
        now,
    )
    .execute(tx)
    .await?;
    Ok(text)
}

/// What a refresh token came to.
#[derive(Debug)]
pub enum Spent {
    Renewed(Opened),
    /// It was used before: the session is over now. To be committed.
    Reused {
        session: Uuid,
        user_id: i64,
    },
    Refused,
}

/// Exchanges a refresh token for the next one of its session.
pub async fn renew(
    tx: &mut PgConnection,
    shown: &str,
    device: &Device,
    now: DateTime<Utc>,
) -> Result<Spent, sqlx::Error> {
    let Some(hash) = tokens::hash_of(MARK, shown) else { return Ok(Spent::Refused) };
    let row = sqlx::query!(
        "select t.used_at, s.id, s.user_id, s.expires_at, s.revoked_at, u.state, u.session_epoch
         from identity.refresh_token t
         join identity.session s on s.id = t.session_id
         join identity.app_user u on u.id = s.user_id
         where t.token_hash = $1
         for update of t, s",
        &hash[..],
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = row else { return Ok(Spent::Refused) };
    if row.revoked_at.is_some() || row.expires_at <= now || row.state != UserState::Active.as_str() {
        return Ok(Spent::Refused);
    }
    if row.used_at.is_some() {
        end(tx, row.user_id, row.id, Reason::Reuse, now).await?;
        return Ok(Spent::Reused { session: row.id, user_id: row.user_id });
    }
    sqlx::query!("update identity.refresh_token set used_at = $2 where token_hash = $1", &hash[..], now)
        .execute(&mut *tx)
        .await?;
    sqlx::query!(
        "update identity.session set last_used_at = $2, expires_at = $3, address = $4::text::inet,
                agent = coalesce($5, agent)
         where id = $1",
        row.id,
        now,
        now + REFRESH_LIFE,
        device.address.to_string(),
        Device::kept(device.agent.as_deref(), LONGEST_AGENT),
    )
    .execute(&mut *tx)
    .await?;
    let refresh = give_token(tx, row.id, now).await?;
    Ok(Spent::Renewed(Opened { session: row.id, user_id: row.user_id, epoch: row.session_epoch, refresh }))
}

/// Gives an open session a new refresh token in place of its unused one. `None`: it is over.
pub async fn reissue(
    tx: &mut PgConnection,
    user_id: i64,
    session: Uuid,
    epoch: i64,
    now: DateTime<Utc>,
) -> Result<Option<Opened>, sqlx::Error> {
    let open = sqlx::query!(
        "update identity.session set last_used_at = $3, expires_at = $4
         where id = $2 and user_id = $1 and revoked_at is null",
        user_id,
        session,
        now,
        now + REFRESH_LIFE,
    )
    .execute(&mut *tx)
    .await?;
    if open.rows_affected() == 0 {
        return Ok(None);
    }
    // Gone, not used: whoever still holds it is no thief.
    sqlx::query!("delete from identity.refresh_token where session_id = $1 and used_at is null", session)
        .execute(&mut *tx)
        .await?;
    let refresh = give_token(tx, session, now).await?;
    Ok(Some(Opened { session, user_id, epoch, refresh }))
}

/// Ends one session of this user. `false`: there is none that is still open.
pub async fn end(
    tx: &mut PgConnection,
    user_id: i64,
    session: Uuid,
    reason: Reason,
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let ended = sqlx::query!(
        "update identity.session set revoked_at = $3, revoked_reason = $4
         where id = $2 and user_id = $1 and revoked_at is null and expires_at > $3",
        user_id,
        session,
        now,
        reason.as_str(),
    )
    .execute(tx)
    .await?;
    Ok(ended.rows_affected() > 0)
}

/// Ends the session that this refresh token belongs to, used or not. Gives whose it was.
pub async fn end_by_token(
    tx: &mut PgConnection,
    shown: &str,
    now: DateTime<Utc>,
) -> Result<Option<(i64, Uuid)>, sqlx::Error> {
    let Some(hash) = tokens::hash_of(MARK, shown) else { return Ok(None) };
    let ended = sqlx::query!(
        "update identity.session s set revoked_at = $2, revoked_reason = $3
         from identity.refresh_token t
         where t.token_hash = $1 and s.id = t.session_id and s.revoked_at is null and s.expires_at > $2
         returning s.user_id, s.id",
        &hash[..],
        now,
        Reason::SignedOut.as_str(),
    )
    .fetch_optional(tx)
    .await?;
    Ok(ended.map(|row| (row.user_id, row.id)))
}

/// Ends every session of a user, but the one that is to stay.
pub async fn end_all(
    tx: &mut PgConnection,
    user_id: i64,
    but: Option<Uuid>,
    reason: Reason,
    now: DateTime<Utc>,
) -> Result<u64, sqlx::Error> {
    let ended = sqlx::query!(
        "update identity.session set revoked_at = $3, revoked_reason = $4
         where user_id = $1 and id is distinct from $2 and revoked_at is null and expires_at > $3",
        user_id,
        but,
        now,
        reason.as_str(),
    )
    .execute(tx)
    .await?;
    Ok(ended.rows_affected())
}
