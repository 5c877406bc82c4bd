//! Approving and rejecting.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;

use super::{Registration, queries};
use crate::{
    audit::{self, Actor, Entry},
    identity::{
        email::Email,
        links::Holder,
        people::{Addressee, People, SendError},
        users::{self, Locale, NewUser, User, UserError, UserState},
    },
    mail::MailKind,
    principal::Role,
};

const LONGEST_REASON: usize = 500;

/// Whether the company is a new one or one that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    New,
    Join,
}

impl Kind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::New => "new",
            Kind::Join => "join",
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Approval {
    pub kind: Kind,
    /// The company, made or chosen in the same transaction.
    pub customer_id: i64,
    /// A dealer's.
    pub role: Role,
}

#[derive(Debug, thiserror::Error)]
pub enum DecisionError {
    #[error("there is no such registration")]
    NotFound,
    #[error("this registration was {0} before")]
    Decided(String),
    #[error("a reason has at most {LONGEST_REASON} characters, none of them a control character")]
    Reason,
    #[error(transparent)]
    User(#[from] UserError),
    #[error(transparent)]
    Send(#[from] SendError),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// A registration that nobody has decided, locked until the transaction ends.
pub async fn pending(tx: &mut PgConnection, id: i64) -> Result<Registration, DecisionError> {
    sqlx::query!("select id from identity.registration where id = $1 for update", id).fetch_optional(&mut *tx).await?;
    let found = queries::find(tx, id).await?.ok_or(DecisionError::NotFound)?;
    if found.state == "pending" { Ok(found) } else { Err(DecisionError::Decided(found.state)) }
}

/// Makes the user of a registration that [`pending`] gave.
pub async fn approve(
    tx: &mut PgConnection,
    people: &People,
    registration: &Registration,
    approval: Approval,
    by: Actor<'_>,
    now: DateTime<Utc>,
) -> Result<User, DecisionError> {
    let hash = sqlx::query_scalar!("select password_hash from identity.registration where id = $1", registration.id)
        .fetch_one(&mut *tx)
        .await?;
    let hash = hash.filter(|_| registration.email_verified);
    let new = NewUser {
        email: Email::parse(&registration.email)
            .ok_or_else(|| sqlx::Error::Decode("a stored address is none".into()))?,
        full_name: registration.full_name.clone(),
        phone: registration.phone.clone(),
        role: approval.role,
        company_id: Some(approval.customer_id),
        locale: Locale::parse(&registration.locale).unwrap_or_default(),
        state: if hash.is_some() { UserState::Active } else { UserState::Invited },
        password_hash: hash,
    };
    let user = users::create(tx, by, &new, now).await?;
    let to = Addressee {
        holder: Holder::User(user.id),
        email: &user.email,
        full_name: &user.full_name,
        locale: user.locale,
    };
    if user.state == UserState::Active {
        people.tell(tx, to, MailKind::RegistrationApproved, None, by).await.map_err(SendError::from)?;
    } else {
        match people.send_link(tx, to, MailKind::Invitation, by).await {
            // `kopru user reset-link` makes one by hand.
            Ok(()) | Err(SendError::NoMasterKey) => {}
            Err(error) => return Err(error.into()),
        }
    }
    sqlx::query!(
        "update identity.registration
         set state = 'approved', decision = $2, customer_id = $3, user_id = $4, decided_by = $5, decided_at = $6,
             updated_at = $6, password_hash = null
         where id = $1",
        registration.id,
        approval.kind.as_str(),
        approval.customer_id,
        user.id,
        by.name,
        now,
    )
    .execute(&mut *tx)
    .await?;
    let entry = Entry {
        action: "registration.approved",
        subject_kind: "registration",
        subject: registration.id.to_string(),
        detail: json!({
            "decision": approval.kind.as_str(), "customerId": approval.customer_id, "userId": user.id,
            "role": approval.role.as_str(),
        }),
    };
    audit::record(tx, by, &[entry]).await?;
    Ok(user)
}

/// Rejects a registration that [`pending`] gave. Its password is forgotten; whoever showed that the address is theirs is
/// told, with the reason.
pub async fn reject(
    tx: &mut PgConnection,
    people: &People,
    registration: &Registration,
    reason: Option<&str>,
    by: Actor<'_>,
    now: DateTime<Utc>,
) -> Result<Registration, DecisionError> {
    let reason = reason.map(str::trim).filter(|reason| !reason.is_empty());
    if reason.is_some_and(|text| text.chars().count() > LONGEST_REASON || text.chars().any(char::is_control)) {
        return Err(DecisionError::Reason);
    }
    sqlx::query!(
        "update identity.registration
         set state = 'rejected', reason = $2, decided_by = $3, decided_at = $4, updated_at = $4, password_hash = null
         where id = $1",
        registration.id,
        reason,
        by.name,
        now,
    )
    .execute(&mut *tx)
    .await?;
    let entry = Entry {
        action: "registration.rejected",
        subject_kind: "registration",
        subject: registration.id.to_string(),
        detail: json!({}),
    };
    audit::record(tx, by, &[entry]).await?;
    if registration.email_verified {
        let to = Addressee {
            holder: Holder::Registration(registration.id),
            email: &registration.email,
            full_name: &registration.full_name,
            locale: Locale::parse(&registration.locale).unwrap_or_default(),
        };
        people.tell(tx, to, MailKind::RegistrationRejected, reason, by).await.map_err(SendError::from)?;
    }
    queries::find(tx, registration.id).await?.ok_or(DecisionError::NotFound)
}
