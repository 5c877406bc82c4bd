//! A forgotten password, and choosing one by the link of a mail.

use serde_json::json;

use super::{Addressee, Inner, People, SendError, Visit};
use crate::{
    audit::{self, Entry},
    identity::{
        email::Email,
        links::{self, Holder},
        lockout,
        passwords::{BadPassword, Password, PasswordError},
        sessions::{self, Reason},
        users::{self, UserState},
    },
    mail::MailKind,
    principal::Scope,
    transaction,
};

#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// Unknown, used, expired, or of somebody who may not come any more.
    #[error("the link is not good any more")]
    Refused,
    #[error(transparent)]
    New(#[from] BadPassword),
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl People {
    /// Mails a link to whoever has this address, and nothing to an address that nobody has. A second one within a minute is not
    /// sent.
    pub async fn forgot_password(&self, typed: &str, visit: &Visit) -> Result<(), SendError> {
        let Some(email) = Email::parse(typed) else { return Ok(()) };
        let Inner { pool, clock, .. } = &*self.0;
        let Some(user) = users::find_by_email(pool, &email).await? else { return Ok(()) };
        let kind = match user.state {
            UserState::Active => MailKind::PasswordReset,
            // Who has no password yet is asked to choose one.
            UserState::Invited => MailKind::Invitation,
            UserState::Disabled => return Ok(()),
        };
        let holder = Holder::User(user.id);
        let mut tx = transaction::begin(pool).await?;
        if links::just_sent(&mut tx, holder, kind, clock.now()).await? {
            return Ok(());
        }
        let to = Addressee { holder, email: &user.email, full_name: &user.full_name, locale: user.locale };
        let by = visit.by("nobody");
        self.send_link(&mut tx, to, kind, by).await?;
        let entry = Entry {
            action: "user.password_forgotten",
            subject_kind: "user",
            subject: user.id.to_string(),
            detail: json!({}),
        };
        audit::record(&mut tx, by, &[entry]).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Chooses a password by the link of an invitation or of a reset. Every session of that person ends.
    pub async fn choose_password(&self, token: &str, new: &Password, visit: &Visit) -> Result<(), LinkError> {
        const KINDS: [MailKind; 2] = [MailKind::Invitation, MailKind::PasswordReset];
        let Inner { pool, passwords, clock, .. } = &*self.0;
        let now = clock.now();
        let mut db = pool.acquire().await?;
        let found = links::holder(&mut db, token, &KINDS, now).await?;
        drop(db);
        let Some(Holder::User(user_id)) = found else { return Err(LinkError::Refused) };
        let user = users::find(pool, Scope::house(), user_id).await?.ok_or(LinkError::Refused)?;
        let email = Email::parse(&user.email).ok_or(LinkError::Refused)?;
        if user.state == UserState::Disabled {
            return Err(LinkError::Refused);
        }
        // A password that is not good uses nothing up.
        new.check(&email)?;
        let hash = passwords.hash(new).await?;
        let actor = format!("user:{user_id}");
        let mut tx = transaction::begin(pool).await?;
        if !links::spend(&mut tx, token).await? {
            return Err(LinkError::Refused);
        }
        users::set_password(&mut tx, user_id, &hash, &actor, now).await?.ok_or(LinkError::Refused)?;
        sessions::end_all(&mut tx, user_id, None, Reason::PasswordChanged, now).await?;
        lockout::forgive_everywhere(&mut tx, &email).await?;
        let entry = Entry {
            action: "user.password_changed",
            subject_kind: "user",
            subject: user_id.to_string(),
            detail: json!({ "how": "by a link", "firstPassword": user.state == UserState::Invited }),
        };
        audit::record(&mut tx, visit.by(&actor), &[entry]).await?;
        tx.commit().await?;
        self.forget(user_id);
        Ok(())
    }
}
