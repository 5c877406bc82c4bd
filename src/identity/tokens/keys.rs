//! The keys that sign access tokens: from a file, or from the store.
//!
//! A file holds one private key after another (PEM, PKCS #8, Ed25519): the first signs, all verify. In the store the newest
//! signs. Whoever meets a key that it does not know reads again, so that a rotation needs no restart.
//!
//! A signature is verified once for each token and each time that the keys are read: what a token says does not change.
//! Whether it still holds (its times, its session) is asked every time.

use std::{
    collections::HashMap,
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair},
};
use chrono::{DateTime, Utc};
use jsonwebtoken::{DecodingKey, EncodingKey};
use serde_json::json;
use sha2::{Digest, Sha256};
use sqlx::PgPool;

use super::{
    access::{AccessClaims, TokenRefusal},
    file, store,
};
use crate::{
    audit::{self, Actor, Entry},
    clock::Clock,
    seal::{SealError, Sealer},
    transaction,
};

/// A key that was rotated elsewhere signs here after this time at the latest.
const STALE: Duration = Duration::from_secs(60);
/// Forged tokens must not make us read for each of them.
const PAUSE: Duration = Duration::from_secs(1);
/// Tokens whose signature is remembered; with one more all are forgotten.
const MOST_VERIFIED: usize = 20_000;

/// Where the keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// In the store: all daemons of one database share them.
    Store,
    /// In a file that somebody wrote.
    File(PathBuf),
    /// In a file of ours, made when it is missing.
    OwnFile(PathBuf),
}

#[derive(Debug, thiserror::Error)]
pub enum KeyProblem {
    #[error("cannot {what} {path}: {source}; mend it, or name another file with [auth] signing_key_file")]
    File { what: &'static str, path: PathBuf, source: io::Error },
    #[error("{0} holds no Ed25519 key in PEM (PKCS #8); make one with `openssl genpkey -algorithm ed25519`")]
    NoKey(PathBuf),
    #[error("a signing key cannot be used: {0}")]
    Unusable(String),
    #[error(
        "the signing key {kid} in the store is sealed: name the file of the master key with [auth] master_key_file"
    )]
    NoMasterKey { kid: String },
    #[error(
        "the signing key {kid} in the store was sealed with another master key: put that one into the file of [auth] \
         master_key_file as a further line; if it is lost, `kopru user rotate-keys` makes a new signing key"
    )]
    OtherMasterKey { kid: String },
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Why no new key was made.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    #[error(
        "the signing keys are in {0}, which somebody wrote: put a new key before the old one there, \
         as `openssl genpkey -algorithm ed25519` makes it"
    )]
    TheirFile(PathBuf),
    #[error(
        "the last rotation is not long ago: tokens of the key before are good until {} UTC; wait, or end them with \
         --at-once",
        .0.format("%F %T")
    )]
    TooSoon(DateTime<Utc>),
    #[error(transparent)]
    Key(#[from] KeyProblem),
}

impl From<sqlx::Error> for RotateError {
    fn from(error: sqlx::Error) -> RotateError {
        RotateError::Key(error.into())
    }
}

struct Key {
    kid: String,
    signs: EncodingKey,
    verifies: DecodingKey,
}

/// The first signs.
pub(super) struct Keys(Key, Vec<Key>, Verified);

/// What tokens with a good signature say, by the hash of the whole token.
#[derive(Default)]
struct Verified(Mutex<HashMap<[u8; 32], Arc<AccessClaims>>>);

impl Verified {
    fn find(&self, hash: &[u8; 32]) -> Option<Arc<AccessClaims>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(hash).cloned()
    }

    fn keep(&self, hash: [u8; 32], claims: &Arc<AccessClaims>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MOST_VERIFIED {
            kept.clear();
        }
        kept.insert(hash, Arc::clone(claims));
    }
}

impl Keys {
    fn of(all: Vec<Vec<u8>>) -> Result<Option<Keys>, KeyProblem> {
        let mut keys = all.into_iter().map(Key::of).collect::<Result<Vec<Key>, KeyProblem>>()?.into_iter();
        Ok(keys.next().map(|first| Keys(first, keys.collect(), Verified::default())))
    }

    pub fn signer(&self) -> (&str, &EncodingKey) {
        (&self.0.kid, &self.0.signs)
    }

    pub fn verifier(&self, kid: &str) -> Option<&DecodingKey> {
        std::iter::once(&self.0).chain(&self.1).find(|key| key.kid == kid).map(|key| &key.verifies)
    }
}

impl Key {
    fn of(pkcs8: Vec<u8>) -> Result<Key, KeyProblem> {
        let unusable = |_| KeyProblem::Unusable("it is not an Ed25519 key in PKCS #8".to_owned());
        let pair = Ed25519KeyPair::from_pkcs8(&pkcs8).map_err(unusable)?;
        let public = pair.public_key().as_ref();
        Ok(Key {
            kid: kid_of(public),
            signs: EncodingKey::from_ed_der(&pkcs8),
            verifies: DecodingKey::from_ed_der(public),
        })
    }
}

/// The name of a new key.
pub(super) fn kid_of_key(pkcs8: &[u8]) -> Result<String, KeyProblem> {
    Ok(Key::of(pkcs8.to_vec())?.kid)
}

fn kid_of(public: &[u8]) -> String {
    Sha256::digest(public).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn make() -> Result<Vec<u8>, KeyProblem> {
    let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new());
    made.map(|key| key.as_ref().to_vec()).map_err(|_| KeyProblem::Unusable("none could be made".to_owned()))
}

/// The keys in use, read when they are first needed.
pub struct SigningKeys {
    pool: PgPool,
    clock: Clock,
    source: KeySource,
    /// For keys in the store. `None`: no master key is configured, and they lie there in the clear.
    sealer: Option<Sealer>,
    held: Mutex<Option<(Instant, Arc<Keys>)>>,
}

impl std::fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKeys").field("source", &self.source).finish_non_exhaustive()
    }
}

impl SigningKeys {
    pub fn new(pool: PgPool, clock: Clock, source: KeySource, sealer: Option<Sealer>) -> SigningKeys {
        SigningKeys { pool, clock, source, sealer, held: Mutex::default() }
    }

    pub async fn sign(&self, claims: &AccessClaims) -> Result<String, KeyProblem> {
        claims.sign(&*self.keys(STALE).await?)
    }

    pub async fn read(&self, token: &str) -> Result<Result<Arc<AccessClaims>, TokenRefusal>, KeyProblem> {
        let mut keys = self.keys(STALE).await?;
        let hash: [u8; 32] = Sha256::digest(token).into();
        if let Some(claims) = keys.2.find(&hash) {
            return Ok(claims.check(self.clock.now()).map(|()| claims));
        }
        let Some(kid) = AccessClaims::named_key(token) else { return Ok(Err(TokenRefusal::Foreign)) };
        if keys.verifier(&kid).is_none() {
            keys = self.keys(PAUSE).await?;
        }
        let claims = match AccessClaims::read(&keys, &kid, token) {
            Ok(claims) => Arc::new(claims),
            Err(refusal) => return Ok(Err(refusal)),
        };
        keys.2.keep(hash, &claims);
        Ok(claims.check(self.clock.now()).map(|()| claims))
    }

    /// At most so old.
    async fn keys(&self, age: Duration) -> Result<Arc<Keys>, KeyProblem> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((at, keys)) = held
            && at.elapsed() < age
        {
            return Ok(keys);
        }
        let read = match &self.source {
            KeySource::Store => Keys::of(store::read(&self.pool, self.sealer.as_ref(), self.clock.now()).await?)?,
            KeySource::File(path) => Keys::of(file::read(path)?)?,
            KeySource::OwnFile(path) => {
                if !path.exists() {
                    file::make(path)?;
                }
                Keys::of(file::read(path)?)?
            }
        };
        let keys = Arc::new(read.ok_or_else(|| KeyProblem::Unusable("there is none".to_owned()))?);
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), Arc::clone(&keys)));
        Ok(keys)
    }

    /// Makes a new key, which signs from now on; the one before verifies what it has signed. Daemons take it over when they
    /// meet it, within a minute. `at_once`: whatever the tokens of the key before that are still good for.
    pub async fn rotate(&self, by: Actor<'_>, at_once: bool) -> Result<String, RotateError> {
        let now = self.clock.now();
        let mut tx = transaction::begin(&self.pool).await?;
        let kid = match &self.source {
            KeySource::File(path) => return Err(RotateError::TheirFile(path.clone())),
            KeySource::OwnFile(path) => file::rotate(path)?,
            KeySource::Store => {
                if let Some(until) = store::overlaps_until(&mut tx, now).await?.filter(|_| !at_once) {
                    return Err(RotateError::TooSoon(until));
                }
                store::rotate(&mut tx, self.sealer.as_ref(), now).await?
            }
        };
        let entry = Entry {
            action: "signing_key.rotated",
            subject_kind: "signing_key",
            subject: kid.clone(),
            detail: json!({ "atOnce": at_once }),
        };
        audit::record(&mut tx, by, &[entry]).await?;
        tx.commit().await?;
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(kid)
    }
}
