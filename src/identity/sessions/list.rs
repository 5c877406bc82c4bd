//! The sessions of a person that are open.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;

use crate::page::{BadPage, Page, PageRequest};

const LIST: &str = "sessions";

/// A sign-in that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    pub id: Uuid,
    /// As the person called it.
    pub device: Option<String>,
    pub agent: Option<String>,
    /// Where it was used last.
    pub address: Option<String>,
    pub created_at: DateTime<Utc>,
    pub last_used_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
}

#[derive(Debug, thiserror::Error)]
pub enum ListError {
    #[error(transparent)]
    Page(#[from] BadPage),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Newest first.
pub async fn list<'e>(
    db: impl PgExecutor<'e>,
    user_id: i64,
    page: &PageRequest,
    now: DateTime<Utc>,
) -> Result<Page<Session>, ListError> {
    let after: Option<Uuid> = page.after(LIST)?;
    let rows = sqlx::query_as!(
        Session,
        "select id, device, agent, host(address) as address, created_at, last_used_at, expires_at
         from identity.session
         where user_id = $1 and revoked_at is null and expires_at > $2 and ($3::uuid is null or id < $3)
         order by id desc limit $4",
        user_id,
        now,
        after,
        page.rows(),
    )
    .fetch_all(db)
    .await?;
    Ok(page.page(LIST, rows, |session| session.id))
}
