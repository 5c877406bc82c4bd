//! Reading people.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor};

use super::{Locale, User, UserState};
use crate::{
    identity::email::Email,
    principal::{Role, Scope},
};

/// A row of `identity.app_user` as it is read.
pub(super) struct Row {
    pub id: i64,
    pub company_id: Option<i64>,
    pub role: String,
    pub state: String,
    pub email: String,
    pub full_name: String,
    pub phone: Option<String>,
    pub locale: String,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub last_sign_in_at: Option<DateTime<Utc>>,
}

impl TryFrom<Row> for User {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> Result<User, sqlx::Error> {
        let unknown = |what: &str, text: &str| sqlx::Error::Decode(format!("the {what} `{text}` is not known").into());
        Ok(User {
            id: row.id,
            company_id: row.company_id,
            role: Role::parse(&row.role).ok_or_else(|| unknown("role", &row.role))?,
            state: UserState::parse(&row.state).ok_or_else(|| unknown("state", &row.state))?,
            email: row.email,
            full_name: row.full_name,
            phone: row.phone,
            locale: Locale::parse(&row.locale).unwrap_or_default(),
            created_at: row.created_at,
            updated_at: row.updated_at,
            last_sign_in_at: row.last_sign_in_at,
        })
    }
}

/// One person that this scope may see.
pub async fn find<'e>(db: impl PgExecutor<'e>, scope: Scope, id: i64) -> Result<Option<User>, sqlx::Error> {
    let row = sqlx::query_as!(
        Row,
        "select id, company_id, role, state, email, full_name, phone, locale, created_at, updated_at, last_sign_in_at
         from identity.app_user where id = $1 and ($2 or company_id = $3)",
        id,
        scope.is_house(),
        scope.company_id(),
    )
    .fetch_optional(db)
    .await?;
    row.map(User::try_from).transpose()
}

pub async fn find_by_email<'e>(db: impl PgExecutor<'e>, email: &Email) -> Result<Option<User>, sqlx::Error> {
    let row = sqlx::query_as!(
        Row,
        "select id, company_id, role, state, email, full_name, phone, locale, created_at, updated_at, last_sign_in_at
         from identity.app_user where email = $1",
        email.as_str(),
    )
    .fetch_optional(db)
    .await?;
    row.map(User::try_from).transpose()
}

/// What is compared when somebody signs in.
pub struct Credentials {
    pub id: i64,
    pub password_hash: Option<String>,
}

pub async fn credentials<'e>(db: impl PgExecutor<'e>, email: &Email) -> Result<Option<Credentials>, sqlx::Error> {
    sqlx::query_as!(Credentials, "select id, password_hash from identity.app_user where email = $1", email.as_str(),)
        .fetch_optional(db)
        .await
}

/// Notes a sign-in, and gives the state and epoch of that moment: what changes afterwards waits for us.
pub async fn signed_in(
    tx: &mut PgConnection,
    id: i64,
    now: DateTime<Utc>,
) -> Result<Option<(String, i64)>, sqlx::Error> {
    let row = sqlx::query!(
        "update identity.app_user set last_sign_in_at = $2 where id = $1 returning state, session_epoch",
        id,
        now,
    )
    .fetch_optional(tx)
    .await?;
    Ok(row.map(|row| (row.state, row.session_epoch)))
}
