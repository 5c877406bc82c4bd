//! Making a person.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;

use super::{User, UserState, queries::Row};
use crate::{
    audit::{self, Actor, Entry},
    identity::{email::Email, passwords::BadPassword},
    mail::Locale,
    principal::Role,
    turkish,
};

const LONGEST_NAME: usize = 200;

#[derive(Debug, Clone)]
pub struct NewUser {
    pub email: Email,
    pub full_name: String,
    pub phone: Option<String>,
    pub role: Role,
    /// Of a dealer's role, and of no other.
    pub company_id: Option<i64>,
    pub locale: Locale,
    pub state: UserState,
    /// By [`crate::identity::passwords::Passwords::hash`]. An active user has one.
    pub password_hash: Option<String>,
}

/// Why a person was not made or changed.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    #[error("this e-mail address belongs to another user")]
    EmailTaken,
    #[error("a name has 1 to {LONGEST_NAME} characters, none of them a control character")]
    Name,
    #[error("the role {} belongs to a dealer company; name the company", .0.as_str())]
    CompanyMissing(Role),
    #[error("the role {} is the house's; it has no company", .0.as_str())]
    CompanyGiven(Role),
    #[error("there is no company with the id {0}")]
    NoCompany(i64),
    #[error("`{0}` is no telephone number, as in +90 532 555 01 87")]
    Phone(String),
    #[error("there is no such user")]
    NotFound,
    /// Of the house, of another company, or with more rights than who would give it.
    #[error("you may not give or take the role {}", .0.as_str())]
    RoleNotYours(Role),
    #[error("this is the company's last active owner; make somebody else an owner first")]
    LastOwner,
    #[error("this is the last active super admin; make somebody else one first")]
    LastSuperAdmin,
    #[error("this user has no password yet and becomes active by choosing one; send the invitation again")]
    NotYetActive,
    #[error(transparent)]
    Password(#[from] BadPassword),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Trimmed, or why not.
pub(in crate::identity) fn name(text: &str) -> Result<&str, UserError> {
    let name = text.trim();
    let good = !name.is_empty() && name.chars().count() <= LONGEST_NAME && !name.chars().any(char::is_control);
    if good { Ok(name) } else { Err(UserError::Name) }
}

/// A dealer's role has a company, another has none.
pub(super) fn fits(role: Role, company_id: Option<i64>) -> Result<(), UserError> {
    match company_id {
        None if role.is_dealer() => Err(UserError::CompanyMissing(role)),
        Some(_) if !role.is_dealer() => Err(UserError::CompanyGiven(role)),
        _ => Ok(()),
    }
}

/// In E.164; empty is none.
pub(in crate::identity) fn phone(text: Option<&str>) -> Result<Option<String>, UserError> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    turkish::to_e164(text).map(Some).ok_or_else(|| UserError::Phone(text.chars().take(40).collect()))
}

pub async fn create(
    tx: &mut PgConnection,
    by: Actor<'_>,
    new: &NewUser,
    now: DateTime<Utc>,
) -> Result<User, UserError> {
    let full_name = name(&new.full_name)?;
    let phone = phone(new.phone.as_deref())?;
    fits(new.role, new.company_id)?;
    let row = sqlx::query_as!(
        Row,
        "insert into identity.app_user
           (email, full_name, phone, role, company_id, locale, state, password_hash, password_changed_at,
            created_at, updated_at, created_by, updated_by)
         values ($1, $2, $3, $4, $5, $6, $7, $8, case when $8::text is not null then $9::timestamptz end, $9, $9, $10, $10)
         on conflict on constraint app_user_email_key do nothing
         returning id, company_id, role, state, email, full_name, phone, locale, created_at, updated_at, last_sign_in_at",
        new.email.as_str(),
        full_name,
        phone,
        new.role.as_str(),
        new.company_id,
        new.locale.as_str(),
        new.state.as_str(),
        new.password_hash,
        now,
        by.name,
    )
    .fetch_optional(&mut *tx)
    .await
    .map_err(|error| match (new.company_id, error.as_database_error().and_then(|error| error.constraint())) {
        (Some(company), Some("app_user_company_id_fkey")) => UserError::NoCompany(company),
        _ => UserError::Database(error),
    })?;
    let user = User::try_from(row.ok_or(UserError::EmailTaken)?)?;
    let detail = json!({ "role": user.role.as_str(), "companyId": user.company_id, "state": user.state.as_str() });
    let entry = Entry { action: "user.created", subject_kind: "user", subject: user.id.to_string(), detail };
    audit::record(tx, by, &[entry]).await?;
    Ok(user)
}
