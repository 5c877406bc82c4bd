//! People as they come: signing in, staying signed in, signing out; passwords that are changed, forgotten and chosen.
//!
//! Invariants
//! - Whether an address has an account is told to nobody: answers to those who are not signed in are the same, and take the same
//!   time, whether it has one or not.
//! - Every change of a password ends every other session of that person.

mod choose_password;
mod own_password;
mod sign_in;

use std::{net::IpAddr, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

pub use choose_password::LinkError;
pub use own_password::{ChangeError, PasswordChange};
pub use sign_in::{AccessError, RefreshError, SignIn, SignInError};

use super::{
    links::{self, Holder},
    passwords::Passwords,
    sessions::{FRESH, Opened, SessionRing},
    tokens::{ACCESS_LIFE, AccessClaims, KeyProblem, KeySource, RotateError, SecretText, SigningKeys},
};
use crate::{
    audit::{Actor, Origin},
    clock::Clock,
    mail::{self, Locale, Mail, MailError, MailKind},
    outbox::Provenance,
    principal::Principal,
    seal::Sealer,
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
    /// `None`: no master key is configured, and no mail can be sent.
    sealer: Option<Sealer>,
}

/// Who comes, from where, in which request.
#[derive(Debug, Clone)]
pub struct Visit {
    pub address: IpAddr,
    /// The `User-Agent`.
    pub agent: Option<String>,
    pub correlation_id: String,
}

impl Visit {
    /// Somebody who acts on this visit.
    pub fn by<'a>(&'a self, actor: &'a str) -> Actor<'a> {
        let place = Some(Origin { address: self.address, agent: self.agent.as_deref() });
        Actor { name: actor, correlation_id: &self.correlation_id, place }
    }

    /// The same for commands.
    pub fn provenance<'a>(&'a self, actor: &'a str, now: DateTime<Utc>) -> Provenance<'a> {
        let Actor { name, correlation_id, place } = self.by(actor);
        Provenance { origin: name, bulk: false, correlation_id, place, now }
    }
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

/// Why a mail could not be asked for.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    #[error("no mail can be sent: there is no master key to seal its link with; set [auth] master_key_file")]
    NoMasterKey,
    #[error(transparent)]
    Mail(#[from] MailError),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// To whom a link goes.
#[derive(Debug, Clone, Copy)]
pub struct Addressee<'a> {
    pub holder: Holder,
    pub email: &'a str,
    pub full_name: &'a str,
    pub locale: Locale,
}

impl People {
    pub fn new(pool: PgPool, clock: Clock, source: KeySource, sealer: Option<Sealer>) -> People {
        People::remembering(pool, clock, source, sealer, FRESH)
    }

    /// With another time than [`FRESH`] for what is remembered of sessions.
    pub fn remembering(
        pool: PgPool,
        clock: Clock,
        source: KeySource,
        sealer: Option<Sealer>,
        fresh: Duration,
    ) -> People {
        People(Arc::new(Inner {
            passwords: Passwords::default(),
            keys: SigningKeys::new(pool.clone(), clock.clone(), source, sealer.clone()),
            ring: SessionRing::new(pool.clone(), fresh),
            pool,
            clock,
            sealer,
        }))
    }

    pub(super) fn pool(&self) -> &PgPool {
        &self.0.pool
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.0.clock
    }

    pub fn passwords(&self) -> &Passwords {
        &self.0.passwords
    }

    /// Whether tokens can be signed: keys that cannot be read are told at the start.
    pub async fn check(&self) -> Result<(), KeyProblem> {
        self.0.keys.sign(&AccessClaims::new(0, Uuid::nil(), 0, self.0.clock.now())).await.map(drop)
    }

    /// Makes a new key for the tokens; see [`SigningKeys::rotate`].
    pub async fn rotate_keys(&self, by: Actor<'_>, at_once: bool) -> Result<String, RotateError> {
        self.0.keys.rotate(by, at_once).await
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

    /// What this daemon remembers of a user's sessions is read anew; others do so within [`FRESH`].
    pub fn forget(&self, user_id: i64) {
        self.0.ring.forget(user_id);
    }

    /// Mails somebody a link, in the transaction of what it is for.
    pub async fn send_link(
        &self,
        tx: &mut PgConnection,
        to: Addressee<'_>,
        kind: MailKind,
        by: Actor<'_>,
    ) -> Result<(), SendError> {
        let sealer = self.0.sealer.as_ref().ok_or(SendError::NoMasterKey)?;
        let (token, expires_at) = links::make(tx, to.holder, kind, self.0.clock.now()).await?;
        let mail = Mail {
            kind,
            to: to.email,
            full_name: to.full_name,
            locale: to.locale,
            token: Some(token.expose()),
            reason: None,
            expires_at,
            origin: by.name,
            correlation_id: by.correlation_id,
        };
        mail::request(tx, sealer, &mail).await?;
        Ok(())
    }

    /// Mails somebody what became of something; without a master key nobody is mailed anything.
    pub async fn tell(
        &self,
        tx: &mut PgConnection,
        to: Addressee<'_>,
        kind: MailKind,
        reason: Option<&str>,
        by: Actor<'_>,
    ) -> Result<(), MailError> {
        let Some(sealer) = self.0.sealer.as_ref() else { return Ok(()) };
        let mail = Mail {
            kind,
            to: to.email,
            full_name: to.full_name,
            locale: to.locale,
            token: None,
            reason,
            expires_at: self.0.clock.now() + links::life(kind),
            origin: by.name,
            correlation_id: by.correlation_id,
        };
        mail::request(tx, sealer, &mail).await.map(drop)
    }

    async fn tokens(&self, opened: Opened, now: DateTime<Utc>) -> Result<Tokens, KeyProblem> {
        let Opened { session, user_id, epoch, refresh } = opened;
        let access = self.0.keys.sign(&AccessClaims::new(user_id, session, epoch, now)).await?;
        Ok(Tokens { access, refresh, expires_in: ACCESS_LIFE.num_seconds(), user_id, session })
    }
}
