//! Signing in, staying signed in, signing out.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Inner, People, Tokens, Visit};
use crate::{
    audit::{self, Entry},
    identity::{
        email::Email,
        lockout::{self, Attempt},
        passwords::{Password, PasswordError, Passwords},
        sessions::{self, Device, Reason, Spent},
        tokens::{KeyProblem, TokenRefusal},
        users::{self, Account, UserState},
    },
    transaction,
};

/// What somebody shows to sign in.
#[derive(Debug)]
pub struct SignIn {
    /// As it was typed.
    pub email: String,
    pub password: Password,
    /// How they call the device.
    pub device: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// No such account, or not its password. Which of them is not told.
    #[error("the e-mail address or the password is wrong")]
    Refused,
    /// The password was right, and the account is disabled.
    #[error("this account is disabled")]
    Disabled,
    /// The password was right, and nobody has approved the registration yet.
    #[error("this registration waits for approval")]
    Pending,
    #[error("too many failed attempts")]
    Locked { seconds: i64 },
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error(transparent)]
    Keys(#[from] KeyProblem),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// Unknown, used, expired or revoked.
    #[error("the refresh token is not good any more")]
    Refused,
    #[error(transparent)]
    Keys(#[from] KeyProblem),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    #[error(transparent)]
    Token(#[from] TokenRefusal),
    /// Signed out, disabled, or given new rights since.
    #[error("the session has ended")]
    Ended,
    #[error(transparent)]
    Keys(#[from] KeyProblem),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl People {
    /// Signs in with a password.
    pub async fn sign_in(&self, ask: SignIn, visit: &Visit) -> Result<Tokens, SignInError> {
        let Inner { pool, passwords, clock, .. } = &*self.0;
        let email = Email::parse(&ask.email);
        let attempt = Attempt::new(email.as_ref(), &ask.email, visit.address);
        // Held until the outcome is written: no more guesses than cores are ahead of the count.
        let turn = passwords.turn().await?;
        let now = clock.now();
        if let Some(until) = lockout::locked_until(pool, &attempt, now).await? {
            return Err(locked(until, now));
        }
        let known = match &email {
            Some(email) => users::credentials(pool, email).await?,
            None => None,
        };
        let hash = known.as_ref().and_then(|known| known.password_hash.clone());
        let good = Passwords::verify(&turn, &ask.password, hash).await?;
        let mut tx = transaction::begin(pool).await?;
        let known = match known {
            Some(known) if good => known,
            known => {
                let user = known.and_then(|known| match known.account {
                    Account::User(id) => Some(id),
                    Account::Registration => None,
                });
                fail(&mut tx, &attempt, user, visit, now).await?;
                tx.commit().await?;
                return Err(SignInError::Refused);
            }
        };
        drop(turn);
        // Whatever does not go on from here writes nothing.
        let Account::User(user_id) = known.account else { return Err(SignInError::Pending) };
        let (state, epoch) = users::signed_in(&mut tx, user_id, now).await?.ok_or(SignInError::Refused)?;
        if state != UserState::Active.as_str() {
            return Err(SignInError::Disabled);
        }
        lockout::forgive(&mut tx, &attempt).await?;
        let device = Device { name: ask.device, agent: visit.agent.clone(), address: visit.address };
        let opened = sessions::open(&mut tx, user_id, epoch, &device, now).await?;
        told(&mut tx, "user.signed_in", user_id, opened.session, visit).await?;
        tx.commit().await?;
        Ok(self.tokens(opened, now).await?)
    }

    /// Exchanges a refresh token. One that was used before ends its session.
    pub async fn refresh(&self, shown: &str, visit: &Visit) -> Result<Tokens, RefreshError> {
        let now = self.0.clock.now();
        let device = Device { name: None, agent: visit.agent.clone(), address: visit.address };
        let mut tx = transaction::begin(&self.0.pool).await?;
        match sessions::renew(&mut tx, shown, &device, now).await? {
            Spent::Renewed(opened) => {
                tx.commit().await?;
                Ok(self.tokens(opened, now).await?)
            }
            Spent::Reused { session, user_id } => {
                told(&mut tx, "refresh_token.reused", user_id, session, visit).await?;
                tx.commit().await?;
                self.forget(user_id);
                tracing::warn!(user_id, %session, "a refresh token was used twice; its session is over");
                Err(RefreshError::Refused)
            }
            Spent::Refused => Err(RefreshError::Refused),
        }
    }

    /// Ends the session of an access token, or of a refresh token. Ending one that is over is no mistake.
    pub async fn sign_out(
        &self,
        session: Option<(i64, Uuid)>,
        refresh: Option<&str>,
        visit: &Visit,
    ) -> Result<(), sqlx::Error> {
        let now = self.0.clock.now();
        let mut tx = transaction::begin(&self.0.pool).await?;
        let mut ended = Vec::new();
        if let Some((user_id, session)) = session
            && sessions::end(&mut tx, user_id, session, Reason::SignedOut, now).await?
        {
            ended.push((user_id, session));
        }
        if let Some(shown) = refresh {
            ended.extend(sessions::end_by_token(&mut tx, shown, now).await?);
        }
        for (user_id, session) in &ended {
            told(&mut tx, "user.signed_out", *user_id, *session, visit).await?;
        }
        tx.commit().await?;
        for (user_id, _) in ended {
            self.forget(user_id);
        }
        Ok(())
    }

    /// Ends one session of a person, from whichever other. `false`: there is none that is still open.
    pub async fn end_session(&self, user_id: i64, session: Uuid, visit: &Visit) -> Result<bool, sqlx::Error> {
        let mut tx = transaction::begin(&self.0.pool).await?;
        let ended = sessions::end(&mut tx, user_id, session, Reason::Revoked, self.0.clock.now()).await?;
        if ended {
            told(&mut tx, "session.revoked", user_id, session, visit).await?;
        }
        tx.commit().await?;
        self.forget(user_id);
        Ok(ended)
    }

    /// Ends every session of a person but this one.
    pub async fn end_other_sessions(&self, user_id: i64, session: Uuid, visit: &Visit) -> Result<u64, sqlx::Error> {
        let mut tx = transaction::begin(&self.0.pool).await?;
        let ended = sessions::end_all(&mut tx, user_id, Some(session), Reason::Revoked, self.0.clock.now()).await?;
        if ended > 0 {
            told(&mut tx, "session.others_revoked", user_id, session, visit).await?;
        }
        tx.commit().await?;
        self.forget(user_id);
        Ok(ended)
    }

    /// Opens a session for somebody who is known otherwise than by a password.
    pub async fn open_session(&self, user_id: i64, visit: &Visit) -> Result<Tokens, SignInError> {
        let now = self.0.clock.now();
        let mut tx = transaction::begin(&self.0.pool).await?;
        let (state, epoch) = users::signed_in(&mut tx, user_id, now).await?.ok_or(SignInError::Refused)?;
        if state != UserState::Active.as_str() {
            return Err(SignInError::Disabled);
        }
        let device = Device { name: None, agent: visit.agent.clone(), address: visit.address };
        let opened = sessions::open(&mut tx, user_id, epoch, &device, now).await?;
        tx.commit().await?;
        Ok(self.tokens(opened, now).await?)
    }
}

/// Counts a failure and writes it down; `user` is whose account was tried, if there is one.
pub(super) async fn fail(
    tx: &mut PgConnection,
    attempt: &Attempt,
    user: Option<i64>,
    visit: &Visit,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let until = lockout::failed(tx, attempt, now).await?;
    let entry = Entry {
        action: if until.is_some() { "user.sign_in_locked" } else { "user.sign_in_failed" },
        subject_kind: "user",
        subject: user.map_or_else(|| "unknown".to_owned(), |id| id.to_string()),
        detail: json!({ "lockedUntil": until }),
    };
    audit::record(tx, visit.by("nobody"), &[entry]).await
}

pub(super) fn locked(until: DateTime<Utc>, now: DateTime<Utc>) -> SignInError {
    SignInError::Locked { seconds: (until - now).num_seconds().max(0) + 1 }
}

async fn told(
    tx: &mut PgConnection,
    action: &'static str,
    user_id: i64,
    session: Uuid,
    visit: &Visit,
) -> Result<(), sqlx::Error> {
    let actor = format!("user:{user_id}");
    let detail = json!({ "session": session });
    let entry = Entry { action, subject_kind: "user", subject: user_id.to_string(), detail };
    audit::record(tx, visit.by(&actor), &[entry]).await
}
