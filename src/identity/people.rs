//! Signing in, staying signed in, signing out.

use std::{net::IpAddr, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

use super::{
    email::Email,
    lockout::{self, Attempt},
    passwords::{Password, PasswordError, Passwords},
    sessions::{self, Device, FRESH, Opened, SessionRing, Spent},
    tokens::{ACCESS_LIFE, AccessClaims, KeyProblem, KeySource, SecretText, SigningKeys, TokenRefusal},
    users::{self, UserState},
};
use crate::{
    audit::{self, Actor, Entry},
    clock::Clock,
    principal::Principal,
};

/// What people need to be known by: keys, hashing cores, the sessions that were asked for lately. Cheap to clone.
#[derive(Debug, Clone)]
pub struct People(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pool: PgPool,
    clock: Clock,
    passwords: Passwords,
    keys: SigningKeys,
    ring: SessionRing,
}

/// Who comes, from where, in which request.
#[derive(Debug, Clone)]
pub struct Visit {
    pub address: IpAddr,
    /// The `User-Agent`.
    pub agent: Option<String>,
    pub correlation_id: String,
}

/// What somebody shows to sign in.
#[derive(Debug)]
pub struct SignIn {
    /// As it was typed.
    pub email: String,
    pub password: Password,
    /// How they call the device.
    pub device: Option<String>,
}

/// What a signed-in person holds.
#[derive(Debug)]
pub struct Tokens {
    pub access: String,
    pub refresh: SecretText,
    /// Seconds for which `access` is good.
    pub expires_in: i64,
    pub user_id: i64,
    pub session: Uuid,
}

#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// No such account, or not its password. Which of them is not told.
    #[error("the e-mail address or the password is wrong")]
    Refused,
    /// The password was right.
    #[error("this account is {}", .0.as_str())]
    State(UserState),
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
    pub fn new(pool: PgPool, clock: Clock, source: KeySource) -> People {
        People::remembering(pool, clock, source, FRESH)
    }

    /// With another time than [`FRESH`] for what is remembered of sessions.
    pub fn remembering(pool: PgPool, clock: Clock, source: KeySource, fresh: Duration) -> People {
        People(Arc::new(Inner {
            passwords: Passwords::default(),
            keys: SigningKeys::new(pool.clone(), clock.clone(), source),
            ring: SessionRing::new(pool.clone(), fresh),
            pool,
            clock,
        }))
    }

    pub fn passwords(&self) -> &Passwords {
        &self.0.passwords
    }

    /// Whether tokens can be signed: keys that cannot be read are told at the start.
    pub async fn check(&self) -> Result<(), KeyProblem> {
        self.0.keys.sign(&AccessClaims::new(0, Uuid::nil(), 0, self.0.clock.now())).await.map(drop)
    }

    /// Who shows this access token, and in which session.
    pub async fn verify(&self, token: &str) -> Result<(Principal, Uuid), AccessError> {
        let claims = self.0.keys.read(token).await??;
        let live = self.0.ring.look_up(claims.sid).await?;
        let good =
            live.filter(|live| live.open && live.epoch == claims.epoch && Some(live.user_id) == claims.user_id());
        let live = good.ok_or(AccessError::Ended)?;
        Ok((Principal::user(live.user_id, live.role, live.company), claims.sid))
    }

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
        let mut tx = pool.begin().await?;
        let Some(known) = known.filter(|_| good) else {
            let until = lockout::failed(&mut tx, &attempt, now).await?;
            tx.commit().await?;
            tracing::info!(address = %visit.address, locked = until.is_some(), "a sign-in failed");
            return Err(SignInError::Refused);
        };
        drop(turn);
        let (state, epoch) = users::signed_in(&mut tx, known.id, now).await?.ok_or(SignInError::Refused)?;
        match UserState::parse(&state) {
            Some(UserState::Active) => {}
            // Nothing is written: the transaction ends here.
            Some(other) => return Err(SignInError::State(other)),
            None => return Err(SignInError::Refused),
        }
        lockout::forgive(&mut tx, &attempt).await?;
        let device = Device { name: ask.device, agent: visit.agent.clone(), address: visit.address };
        let opened = sessions::open(&mut tx, known.id, epoch, &device, now).await?;
        let actor = format!("user:{}", known.id);
        let by = Actor { name: &actor, correlation_id: &visit.correlation_id };
        let entry = Entry {
            action: "user.signed_in",
            subject_kind: "user",
            subject: known.id.to_string(),
            detail: json!({ "session": opened.session }),
        };
        audit::record(&mut tx, by, &[entry]).await?;
        tx.commit().await?;
        Ok(self.tokens(opened, now).await?)
    }

    /// Exchanges a refresh token. One that was used before ends its session.
    pub async fn refresh(&self, shown: &str, visit: &Visit) -> Result<Tokens, RefreshError> {
        let now = self.0.clock.now();
        let device = Device { name: None, agent: visit.agent.clone(), address: visit.address };
        let mut tx = self.0.pool.begin().await?;
        match sessions::renew(&mut tx, shown, &device, now).await? {
            Spent::Renewed(opened) => {
                tx.commit().await?;
                Ok(self.tokens(opened, now).await?)
            }
            Spent::Reused { session, user_id } => {
                let actor = format!("user:{user_id}");
                let by = Actor { name: &actor, correlation_id: &visit.correlation_id };
                let detail = json!({ "session": session });
                let entry = Entry {
                    action: "refresh_token.reused",
                    subject_kind: "user",
                    subject: user_id.to_string(),
                    detail,
                };
                audit::record(&mut tx, by, &[entry]).await?;
                tx.commit().await?;
                self.0.ring.forget(user_id);
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
        let mut tx = self.0.pool.begin().await?;
        let mut ended = Vec::new();
        if let Some((user_id, session)) = session
            && sessions::end(&mut tx, user_id, session, sessions::Reason::SignedOut, now).await?
        {
            ended.push((user_id, session));
        }
        if let Some(shown) = refresh {
            ended.extend(sessions::end_by_token(&mut tx, shown, now).await?);
        }
        for (user_id, session) in &ended {
            let actor = format!("user:{user_id}");
            let by = Actor { name: &actor, correlation_id: &visit.correlation_id };
            let detail = json!({ "session": session });
            let entry = Entry { action: "user.signed_out", subject_kind: "user", subject: user_id.to_string(), detail };
            audit::record(&mut tx, by, &[entry]).await?;
        }
        tx.commit().await?;
        for (user_id, _) in ended {
            self.0.ring.forget(user_id);
        }
        Ok(())
    }

    /// What this daemon remembers of a user's sessions is read anew; others do so within [`FRESH`].
    pub fn forget(&self, user_id: i64) {
        self.0.ring.forget(user_id);
    }

    /// Opens a session for somebody who was known otherwise than by a password: after a reset, and in tests.
    pub async fn open_session(&self, user_id: i64, visit: &Visit) -> Result<Tokens, SignInError> {
        let now = self.0.clock.now();
        let mut tx = self.0.pool.begin().await?;
        let (state, epoch) = users::signed_in(&mut tx, user_id, now).await?.ok_or(SignInError::Refused)?;
        let state = UserState::parse(&state).ok_or(SignInError::Refused)?;
        if state != UserState::Active {
            return Err(SignInError::State(state));
        }
        let device = Device { name: None, agent: visit.agent.clone(), address: visit.address };
        let opened = sessions::open(&mut tx, user_id, epoch, &device, now).await?;
        tx.commit().await?;
        Ok(self.tokens(opened, now).await?)
    }

    async fn tokens(&self, opened: Opened, now: DateTime<Utc>) -> Result<Tokens, KeyProblem> {
        let Opened { session, user_id, epoch, refresh } = opened;
        let access = self.0.keys.sign(&AccessClaims::new(user_id, session, epoch, now)).await?;
        Ok(Tokens { access, refresh, expires_in: ACCESS_LIFE.num_seconds(), user_id, session })
    }
}

fn locked(until: DateTime<Utc>, now: DateTime<Utc>) -> SignInError {
    SignInError::Locked { seconds: (until - now).num_seconds().max(0) + 1 }
}
