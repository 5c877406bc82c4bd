//! Changing one's own password.

use serde_json::json;
use uuid::Uuid;

use super::{Inner, People, Tokens, Visit, sign_in};
use crate::{
    audit::{self, Entry},
    identity::{
        email::Email,
        lockout::{self, Attempt},
        passwords::{BadPassword, Password, PasswordError, Passwords},
        sessions::{self, Reason},
        tokens::KeyProblem,
        users,
    },
    transaction,
};

#[derive(Debug)]
pub struct PasswordChange {
    pub current: Password,
    pub new: Password,
}

#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    #[error("the current password is wrong")]
    Wrong,
    #[error("too many failed attempts")]
    Locked { seconds: i64 },
    #[error(transparent)]
    New(#[from] BadPassword),
    #[error("the new password is the current one")]
    Same,
    /// The account or the session has ended meanwhile.
    #[error("the session has ended")]
    Ended,
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error(transparent)]
    Keys(#[from] KeyProblem),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl People {
    /// Changes the password of a signed-in person. This session goes on with the tokens that are given, every other one ends.
    pub async fn change_password(
        &self,
        user_id: i64,
        session: Uuid,
        change: &PasswordChange,
        visit: &Visit,
    ) -> Result<Tokens, ChangeError> {
        let Inner { pool, passwords, clock, .. } = &*self.0;
        let (email, hash) = users::password_of(pool, user_id).await?.ok_or(ChangeError::Ended)?;
        let email = Email::parse(&email).ok_or(ChangeError::Ended)?;
        change.new.check(&email)?;
        if change.new == change.current {
            return Err(ChangeError::Same);
        }
        let attempt = Attempt::new(Some(&email), email.as_str(), visit.address);
        let turn = passwords.turn().await?;
        let now = clock.now();
        if let Some(until) = lockout::locked_until(pool, &attempt, now).await? {
            return Err(ChangeError::Locked { seconds: (until - now).num_seconds().max(0) + 1 });
        }
        if !Passwords::verify(&turn, &change.current, hash).await? {
            let mut tx = transaction::begin(pool).await?;
            sign_in::fail(&mut tx, &attempt, Some(user_id), visit, now).await?;
            tx.commit().await?;
            return Err(ChangeError::Wrong);
        }
        drop(turn);
        let hash = passwords.hash(&change.new).await?;
        let actor = format!("user:{user_id}");
        let mut tx = transaction::begin(pool).await?;
        let epoch = users::set_password(&mut tx, user_id, &hash, &actor, now).await?.ok_or(ChangeError::Ended)?;
        sessions::end_all(&mut tx, user_id, Some(session), Reason::PasswordChanged, now).await?;
        let opened = sessions::reissue(&mut tx, user_id, session, epoch, now).await?.ok_or(ChangeError::Ended)?;
        lockout::forgive(&mut tx, &attempt).await?;
        let entry = Entry {
            action: "user.password_changed",
            subject_kind: "user",
            subject: user_id.to_string(),
            detail: json!({ "how": "by themselves" }),
        };
        audit::record(&mut tx, visit.by(&actor), &[entry]).await?;
        tx.commit().await?;
        self.forget(user_id);
        Ok(self.tokens(opened, now).await?)
    }
}
