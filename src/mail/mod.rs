//! Mails that people are sent: asked for here, in the transaction of what they tell of, and sent by the hub's delivery
//! engine. Nobody waits for a mail server.
//!
//! Invariants
//! - A mail is asked for in the transaction of its cause: neither is there without the other.
//! - The secret of its link is sealed before it is stored. It stands in the clear in the mail itself and nowhere else:
//!   not in the store, not in a log, not in an answer.
//! - A mail goes out at least once: one whose outcome is unknown goes again under the same Message-ID.

mod text;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

pub use text::{Text, link, text};

use crate::seal::{SealError, Sealer};

/// The target of every mail.
pub const TARGET: &str = "mail";

/// The kind of record that a mail is for the delivery engine.
pub const AGGREGATE: &str = "mail";

/// Channel that tells the engine of new deliveries; the poll is the truth.
const CHANNEL: &str = "hub_delivery";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MailKind {
    /// Somebody was invited and chooses a password.
    Invitation,
    /// Somebody shows that an address is theirs.
    Verification,
    /// Somebody forgot a password.
    PasswordReset,
    /// A company that registered is a dealer now, and its user has a password.
    RegistrationApproved,
    /// A company that registered is none, and perhaps why.
    RegistrationRejected,
}

impl MailKind {
    pub const ALL: [MailKind; 5] = [
        MailKind::Invitation,
        MailKind::Verification,
        MailKind::PasswordReset,
        MailKind::RegistrationApproved,
        MailKind::RegistrationRejected,
    ];

    /// The page that its link leads to. The portal has them.
    pub const fn page(self) -> Option<&'static str> {
        match self {
            MailKind::Invitation => Some("invitation"),
            MailKind::Verification => Some("verify-email"),
            MailKind::PasswordReset => Some("reset-password"),
            MailKind::RegistrationApproved => Some("login"),
            MailKind::RegistrationRejected => None,
        }
    }

    /// The type of its delivery.
    pub const fn as_str(self) -> &'static str {
        match self {
            MailKind::Invitation => "mail.invitation",
            MailKind::Verification => "mail.verification",
            MailKind::PasswordReset => "mail.password_reset",
            MailKind::RegistrationApproved => "mail.registration_approved",
            MailKind::RegistrationRejected => "mail.registration_rejected",
        }
    }
}

/// The language of a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Locale {
    #[default]
    Tr,
    En,
}

impl Locale {
    pub const fn as_str(self) -> &'static str {
        match self {
            Locale::Tr => "tr",
            Locale::En => "en",
        }
    }

    pub fn parse(text: &str) -> Option<Locale> {
        match text {
            "tr" => Some(Locale::Tr),
            "en" => Some(Locale::En),
            _ => None,
        }
    }
}

/// A mail to be sent.
#[derive(Clone, Copy)]
pub struct Mail<'a> {
    pub kind: MailKind,
    /// One address, checked by whoever took it.
    pub to: &'a str,
    pub full_name: &'a str,
    pub locale: Locale,
    /// The secret of the link, as the link carries it; `None`: it has no secret.
    pub token: Option<&'a str>,
    /// What somebody wrote to the recipient.
    pub reason: Option<&'a str>,
    /// When the link ends: a mail that could not go out by then is not sent any more.
    pub expires_at: DateTime<Utc>,
    /// Who caused it: `user:12`, `cli:ayse`.
    pub origin: &'a str,
    pub correlation_id: &'a str,
}

impl std::fmt::Debug for Mail<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mail").field("kind", &self.kind).finish_non_exhaustive()
    }
}

#[derive(Debug, thiserror::Error)]
pub enum MailError {
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error("a stored mail is not understood: {0}")]
    Stored(#[from] serde_json::Error),
}

/// A mail as its delivery carries it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Stored {
    pub kind: MailKind,
    pub to: String,
    pub full_name: String,
    pub locale: Locale,
    /// Sealed; see [`Stored::token`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub expires_at: DateTime<Utc>,
}

impl Stored {
    /// The secret of its link in the clear, for the mail itself; empty when it has none.
    pub fn token(&self, sealer: &Sealer, id: Uuid) -> Result<String, MailError> {
        let Some(sealed) = &self.token else { return Ok(String::new()) };
        let bytes = sealer.open(&context(id), sealed)?;
        String::from_utf8(bytes).map_err(|_| SealError::Open.into())
    }
}

/// Asks for a mail. It goes out when the caller's transaction has committed. Returns the id of its delivery.
pub async fn request(db: &mut PgConnection, sealer: &Sealer, mail: &Mail<'_>) -> Result<Uuid, MailError> {
    let id = Uuid::now_v7();
    let stored = Stored {
        kind: mail.kind,
        to: mail.to.to_owned(),
        full_name: mail.full_name.to_owned(),
        locale: mail.locale,
        token: mail.token.map(|token| sealer.seal(&context(id), token.as_bytes())).transpose()?,
        reason: mail.reason.map(str::to_owned),
        expires_at: mail.expires_at,
    };
    sqlx::query!(
        "insert into hub.delivery (id, target, type, aggregate, origin, label, payload, correlation_id, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        id,
        TARGET,
        mail.kind.as_str(),
        AGGREGATE,
        mail.origin,
        mail.to,
        serde_json::to_value(&stored)?,
        mail.correlation_id,
        mail.expires_at,
    )
    .execute(&mut *db)
    .await?;
    sqlx::query!("select pg_notify($1, '')", CHANNEL).fetch_one(db).await?;
    Ok(id)
}

/// A sealed token opens in its own mail only.
fn context(id: Uuid) -> String {
    format!("mail:{id}")
}
