//! Changing a person: name, telephone, language, role, and whether they may come in.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use sqlx::PgConnection;

use super::{
    User, UserError, UserState,
    create::{fits, name, phone},
    queries::Row,
    rights::may_give,
};
use crate::{
    audit::{self, Actor, Entry},
    identity::{
        links,
        sessions::{self, Reason},
    },
    mail::Locale,
    principal::{Principal, Role},
};

/// What shall be different; what is not given stays.
#[derive(Debug, Clone, Default)]
pub struct UserChange {
    pub full_name: Option<String>,
    /// Empty: none.
    pub phone: Option<String>,
    pub locale: Option<Locale>,
    pub role: Option<Role>,
    /// Whether they may come in.
    pub active: Option<bool>,
}

/// Changes a person whom `giver` sees. A changed role, and being disabled, end every token that was given before.
pub async fn change(
    tx: &mut PgConnection,
    giver: &Principal,
    by: Actor<'_>,
    id: i64,
    change: &UserChange,
    now: DateTime<Utc>,
) -> Result<User, UserError> {
    let before = lock(tx, giver, id).await?.ok_or(UserError::NotFound)?;
    may_give(giver, before.role, before.company_id)?;
    let full_name = match &change.full_name {
        Some(text) => name(text)?.to_owned(),
        None => before.full_name.clone(),
    };
    let phone = match &change.phone {
        Some(text) => phone(Some(text))?,
        None => before.phone.clone(),
    };
    let role = change.role.unwrap_or(before.role);
    if role != before.role {
        may_give(giver, role, before.company_id)?;
        fits(role, before.company_id)?;
    }
    let state = match (change.active, before.state) {
        (Some(false), _) => UserState::Disabled,
        (Some(true), UserState::Invited) => return Err(UserError::NotYetActive),
        (Some(true), UserState::Disabled) if !has_password(tx, id).await? => UserState::Invited,
        (Some(true), _) => UserState::Active,
        (None, state) => state,
    };
    let leaves = role != before.role || state != before.state;
    if before.state == UserState::Active && leaves {
        keep_one(tx, &before).await?;
    }
    let row = sqlx::query_as!(
        Row,
        "update identity.app_user
         set full_name = $2, phone = $3, locale = $4, role = $5, state = $6, updated_at = $7, updated_by = $8,
             session_epoch = session_epoch + case when $9 then 1 else 0 end
         where id = $1
         returning id, company_id, role, state, email, full_name, phone, locale, created_at, updated_at, last_sign_in_at",
        id,
        full_name,
        phone,
        change.locale.unwrap_or(before.locale).as_str(),
        role.as_str(),
        state.as_str(),
        now,
        by.name,
        leaves,
    )
    .fetch_one(&mut *tx)
    .await?;
    let after = User::try_from(row)?;
    if state == UserState::Disabled && before.state != UserState::Disabled {
        sessions::end_all(tx, id, None, Reason::Disabled, now).await?;
        links::end_all(tx, id).await?;
    }
    let detail = different(&before, &after);
    if !detail.is_empty() {
        let entry = Entry {
            action: "user.changed",
            subject_kind: "user",
            subject: id.to_string(),
            detail: Value::Object(detail),
        };
        audit::record(tx, by, &[entry]).await?;
    }
    Ok(after)
}

async fn lock(tx: &mut PgConnection, giver: &Principal, id: i64) -> Result<Option<User>, sqlx::Error> {
    let scope = giver.scope();
    let row = sqlx::query_as!(
        Row,
        "select id, company_id, role, state, email, full_name, phone, locale, created_at, updated_at, last_sign_in_at
         from identity.app_user where id = $1 and ($2 or company_id = $3) for no key update",
        id,
        scope.is_house(),
        scope.company_id(),
    )
    .fetch_optional(tx)
    .await?;
    row.map(User::try_from).transpose()
}

async fn has_password(tx: &mut PgConnection, id: i64) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(r#"select password_hash is not null as "has!" from identity.app_user where id = $1"#, id)
        .fetch_one(tx)
        .await
}

/// A company keeps an owner, the house a super admin. The others are locked as well: of two who would go at once one stays.
async fn keep_one(tx: &mut PgConnection, going: &User) -> Result<(), UserError> {
    if !matches!(going.role, Role::DealerOwner | Role::SuperAdmin) {
        return Ok(());
    }
    let peers = sqlx::query_scalar!(
        "select id from identity.app_user
         where role = $1 and company_id is not distinct from $2 and state = 'active'
         order by id for no key update",
        going.role.as_str(),
        going.company_id,
    )
    .fetch_all(tx)
    .await?;
    match peers.iter().any(|id| *id != going.id) {
        true => Ok(()),
        false if going.role == Role::SuperAdmin => Err(UserError::LastSuperAdmin),
        false => Err(UserError::LastOwner),
    }
}

/// Roles and states with what they were; of what is personal only that it changed.
fn different(before: &User, after: &User) -> Map<String, Value> {
    let mut detail = Map::new();
    let mut add = |field: &str, value: Value| detail.insert(field.to_owned(), value);
    if before.role != after.role {
        add("role", json!({ "before": before.role.as_str(), "after": after.role.as_str() }));
    }
    if before.state != after.state {
        add("state", json!({ "before": before.state.as_str(), "after": after.state.as_str() }));
    }
    let personal = [
        ("fullName", before.full_name != after.full_name),
        ("phone", before.phone != after.phone),
        ("locale", before.locale != after.locale),
    ];
    let changed: Vec<&str> = personal.iter().filter(|(_, differs)| *differs).map(|(field, _)| *field).collect();
    if !changed.is_empty() {
        add("changed", json!(changed));
    }
    detail
}
