//! Reading people.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor};

use super::{User, UserState};
use crate::{
    identity::{email::Email, links, sessions::ListError},
    mail::Locale,
    page::{Page, PageRequest},
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

/// Which people are meant; every field narrows.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub role: Option<Role>,
    pub state: Option<UserState>,
    pub company_id: Option<i64>,
    /// A part of the name or of the address.
    pub search: Option<String>,
}

const LIST: &str = "users";

/// In the order in which they came.
pub async fn list<'e>(
    db: impl PgExecutor<'e>,
    scope: Scope,
    filter: &Filter,
    page: &PageRequest,
) -> Result<Page<User>, ListError> {
    let after: Option<i64> = page.after(LIST)?;
    let rows = sqlx::query_as!(
        Row,
        "select id, company_id, role, state, email, full_name, phone, locale, created_at, updated_at, last_sign_in_at
         from identity.app_user
         where ($1 or company_id = $2)
           and ($3::text is null or role = $3)
           and ($4::text is null or state = $4)
           and ($5::bigint is null or company_id = $5)
           and ($6::text is null or position(commerce.fold($6) in commerce.fold(full_name || ' ' || email)) > 0)
           and ($7::bigint is null or id > $7)
         order by id limit $8",
        scope.is_house(),
        scope.company_id(),
        filter.role.map(Role::as_str),
        filter.state.map(UserState::as_str),
        filter.company_id,
        filter.search,
        after,
        page.rows(),
    )
    .fetch_all(db)
    .await?;
    let users = rows.into_iter().map(User::try_from).collect::<Result<Vec<User>, sqlx::Error>>()?;
    Ok(page.page(LIST, users, |user| user.id))
}

/// Whose password it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Account {
    User(i64),
    /// Somebody who has shown that the address is theirs, and waits for approval.
    Registration,
}

/// What is compared when somebody signs in.
pub struct Credentials {
    pub account: Account,
    pub password_hash: Option<String>,
}

pub async fn credentials<'e>(db: impl PgExecutor<'e>, email: &Email) -> Result<Option<Credentials>, sqlx::Error> {
    let row = sqlx::query!(
        "select id, password_hash from identity.app_user where email = $1
         union all
         select null, password_hash from identity.registration
         where email = $1 and state = 'pending' and verified_at is not null
         limit 1",
        email.as_str(),
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| Credentials {
        account: row.id.map_or(Account::Registration, Account::User),
        password_hash: row.password_hash,
    }))
}

/// Address and hash of somebody who is active.
pub async fn password_of<'e>(
    db: impl PgExecutor<'e>,
    id: i64,
) -> Result<Option<(String, Option<String>)>, sqlx::Error> {
    let row = sqlx::query!("select email, password_hash from identity.app_user where id = $1 and state = 'active'", id)
        .fetch_optional(db)
        .await?;
    Ok(row.map(|row| (row.email, row.password_hash)))
}

/// Sets a password; who was invited is active from now on. Every token and link that was given before ends. Gives the new epoch;
/// `None`: there is nobody who could have one.
pub async fn set_password(
    tx: &mut PgConnection,
    id: i64,
    hash: &str,
    by: &str,
    now: DateTime<Utc>,
) -> Result<Option<i64>, sqlx::Error> {
    links::end_all(tx, id).await?;
    sqlx::query_scalar!(
        "update identity.app_user
         set password_hash = $2, password_changed_at = $3, session_epoch = session_epoch + 1, state = 'active',
             updated_at = $3, updated_by = $4
         where id = $1 and state in ('active', 'invited')
         returning session_epoch",
        id,
        hash,
        now,
        by,
    )
    .fetch_optional(tx)
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
