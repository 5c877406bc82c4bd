//! The keys that sign access tokens: from a file, or from the store.
//!
//! A file holds one private key after another (PEM, PKCS #8, Ed25519): the first signs, all verify. In the store the newest
//! signs. Whoever meets a key that it does not know reads again, so that a rotation needs no restart.
//!
//! A signature is verified once for each token and each time that the keys are read: what a token says does not change.
//! Whether it still holds (its times, its session) is asked every time.

use std::{
    collections::HashMap,
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use jsonwebtoken::{DecodingKey, EncodingKey};
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, PgPool};

use super::access::{AccessClaims, TokenRefusal};
use crate::clock::Clock;

/// A key that was rotated elsewhere signs here after this time at the latest.
const STALE: Duration = Duration::from_secs(60);
/// Forged tokens must not make us read for each of them.
const PAUSE: Duration = Duration::from_secs(1);
/// Kept beside the newest: those whose tokens may still be about.
const OLDER_KEPT: i64 = 1;
/// Tokens whose signature is remembered; with one more all are forgotten.
const MOST_VERIFIED: usize = 20_000;

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

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
    #[error(transparent)]
    Database(#[from] sqlx::Error),
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

fn kid_of(public: &[u8]) -> String {
    Sha256::digest(public).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn make() -> Result<Vec<u8>, KeyProblem> {
    let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new());
    made.map(|key| key.as_ref().to_vec()).map_err(|_| KeyProblem::Unusable("none could be made".to_owned()))
}

/// The keys in use, read when they are first needed.
pub struct SigningKeys {
    pool: PgPool,
    clock: Clock,
    source: KeySource,
    held: Mutex<Option<(Instant, Arc<Keys>)>>,
}

impl std::fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKeys").field("source", &self.source).finish_non_exhaustive()
    }
}

impl SigningKeys {
    pub fn new(pool: PgPool, clock: Clock, source: KeySource) -> SigningKeys {
        SigningKeys { pool, clock, source, held: Mutex::default() }
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
            KeySource::Store => Keys::of(from_store(&self.pool, self.clock.now()).await?)?,
            KeySource::File(path) => Keys::of(from_file(path)?)?,
            KeySource::OwnFile(path) => {
                if !path.exists() {
                    write_own(path)?;
                }
                Keys::of(from_file(path)?)?
            }
        };
        let keys = Arc::new(read.ok_or_else(|| KeyProblem::Unusable("there is none".to_owned()))?);
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), Arc::clone(&keys)));
        Ok(keys)
    }
}

fn from_file(path: &Path) -> Result<Vec<Vec<u8>>, KeyProblem> {
    let text =
        fs::read_to_string(path).map_err(|source| KeyProblem::File { what: "read", path: path.to_owned(), source })?;
    let no_key = || KeyProblem::NoKey(path.to_owned());
    let mut keys = Vec::new();
    for block in text.split(BEGIN).skip(1) {
        let (body, _) = block.split_once(END).ok_or_else(no_key)?;
        let packed: String = body.split_whitespace().collect();
        keys.push(STANDARD.decode(packed).map_err(|_| no_key())?);
    }
    if keys.is_empty() { Err(no_key()) } else { Ok(keys) }
}

/// Two processes that start at once end with one file: whoever links first has made it.
fn write_own(path: &Path) -> Result<(), KeyProblem> {
    let broken = |what| move |source| KeyProblem::File { what, path: path.to_owned(), source };
    let text = format!("{BEGIN}\n{}\n{END}\n", STANDARD.encode(make()?));
    let draft = path.with_extension(format!("{}.tmp", std::process::id()));
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft).map_err(broken("make"))?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(broken("write"))?;
    let linked = match fs::hard_link(&draft, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    };
    fs::remove_file(&draft).map_err(broken("write"))?;
    linked.map_err(broken("write"))
}

async fn from_store(pool: &PgPool, now: DateTime<Utc>) -> Result<Vec<Vec<u8>>, KeyProblem> {
    loop {
        let found =
            sqlx::query_scalar!("select pkcs8 from identity.signing_key order by id desc limit $1", OLDER_KEPT + 1)
                .fetch_all(pool)
                .await?;
        if !found.is_empty() {
            return Ok(found);
        }
        // The first of several daemons makes it, the others find it.
        let mut tx = pool.begin().await?;
        sqlx::query!("lock table identity.signing_key in exclusive mode").execute(&mut *tx).await?;
        let there = sqlx::query_scalar!(r#"select exists (select from identity.signing_key) as "there!""#);
        if !there.fetch_one(&mut *tx).await? {
            rotate(&mut tx, now).await?;
        }
        tx.commit().await?;
    }
}

/// Makes a new key in the store, which signs from now on. The one before verifies what it has signed; older ones go.
pub async fn rotate(tx: &mut PgConnection, now: DateTime<Utc>) -> Result<String, KeyProblem> {
    let pkcs8 = make()?;
    let kid = Key::of(pkcs8.clone())?.kid;
    sqlx::query!("insert into identity.signing_key (kid, created_at, pkcs8) values ($1, $2, $3)", kid, now, pkcs8)
        .execute(&mut *tx)
        .await?;
    sqlx::query!(
        "delete from identity.signing_key where id not in
           (select id from identity.signing_key order by id desc limit $1)",
        OLDER_KEPT + 1
    )
    .execute(&mut *tx)
    .await?;
    Ok(kid)
}
