//! Verifying: what is known of a key is read from the store at most every [`FRESH`], so a request costs no round trip.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use ipnet::IpNet;
use sqlx::PgPool;

use super::secret;
use crate::clock::Clock;

/// How old an answer about a key may be: a revocation holds everywhere after this time.
pub const FRESH: Duration = Duration::from_secs(5);
/// Keys that are remembered; guesses must not fill the memory.
const MOST: usize = 10_000;

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiCaller {
    pub key_id: i64,
    pub prefix: String,
    pub name: String,
    /// The configured instance on whose behalf it speaks.
    pub instance: String,
    pub scopes: Vec<String>,
    /// `None`: as the configuration says.
    pub rate_per_minute: Option<u32>,
    pub expires_at: Option<DateTime<Utc>>,
}

impl ApiCaller {
    pub fn may(&self, scope: &str) -> bool {
        self.scopes.iter().any(|held| held == scope)
    }

    /// The name under which audit rows and stored answers know it.
    pub fn actor(&self) -> String {
        format!("api-key:{}", self.prefix)
    }
}

/// Why a key was not taken.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// No such key, or not its secret, or not the text of a key at all.
    #[error("the API key is not known")]
    Unknown,
    #[error("the API key was revoked")]
    Revoked(i64),
    #[error("the API key has expired")]
    Expired(i64),
    #[error("the API key may not be used from this address")]
    Address(i64),
    #[error("the API key cannot be checked: {0}")]
    Database(#[from] sqlx::Error),
}

#[derive(Debug)]
struct Known {
    hash: [u8; 32],
    revoked: bool,
    networks: Vec<IpNet>,
    caller: ApiCaller,
}

/// By prefix, with the moment of the answer. `None`: there is no such key.
type Remembered = HashMap<String, (Instant, Option<Arc<Known>>)>;

/// The keys that were asked for lately.
#[derive(Debug)]
pub struct KeyRing {
    pool: PgPool,
    clock: Clock,
    fresh: Duration,
    known: Mutex<Remembered>,
}

impl KeyRing {
    pub fn new(pool: PgPool, clock: Clock) -> KeyRing {
        KeyRing { pool, clock, fresh: FRESH, known: Mutex::default() }
    }

    /// Remembers for another time than [`FRESH`].
    pub fn remembering(self, fresh: Duration) -> KeyRing {
        KeyRing { fresh, ..self }
    }

    /// Who shows this key from this address.
    pub async fn verify(&self, text: &str, from: IpAddr) -> Result<ApiCaller, Refusal> {
        let shown = secret::read(text).ok_or(Refusal::Unknown)?;
        let known = self.look_up(shown.prefix).await?;
        // Compared in any case, so that an unknown prefix takes no less time.
        let hash = known.as_ref().map_or([0; 32], |known| known.hash);
        let proven = secret::equal(&hash, &shown.hash);
        let Some(known) = known.filter(|_| proven) else { return Err(Refusal::Unknown) };
        let caller = &known.caller;
        if known.revoked {
            return Err(Refusal::Revoked(caller.key_id));
        }
        if caller.expires_at.is_some_and(|at| at <= self.clock.now()) {
            return Err(Refusal::Expired(caller.key_id));
        }
        if !known.networks.is_empty() && !known.networks.iter().any(|network| network.contains(&from)) {
            return Err(Refusal::Address(caller.key_id));
        }
        Ok(caller.clone())
    }

    async fn look_up(&self, prefix: &str) -> Result<Option<Arc<Known>>, sqlx::Error> {
        if let Some((at, known)) = self.lock().get(prefix)
            && at.elapsed() < self.fresh
        {
            return Ok(known.clone());
        }
        // From before the question: what changes while it is under way is asked for again in time.
        let asked = Instant::now();
        let known = self.read(prefix).await?.map(Arc::new);
        let mut all = self.lock();
        if all.len() >= MOST {
            all.retain(|_, (at, _)| at.elapsed() < self.fresh);
        }
        if all.len() < MOST {
            all.insert(prefix.to_owned(), (asked, known.clone()));
        }
        Ok(known)
    }

    async fn read(&self, prefix: &str) -> Result<Option<Known>, sqlx::Error> {
        let row = sqlx::query!(
            r#"select id, name, prefix, secret_hash, instance, scopes, allowed_networks::text[] as "networks!",
                      rate_per_minute, expires_at, revoked_at is not null as "revoked!"
               from identity.api_key where prefix = $1"#,
            prefix,
        )
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let decode = |error: Box<dyn std::error::Error + Send + Sync>| sqlx::Error::Decode(error);
        let networks: Result<Vec<IpNet>, _> = row.networks.iter().map(|network| network.parse()).collect();
        Ok(Some(Known {
            hash: row.secret_hash.try_into().map_err(|_| decode("a key's hash is not a SHA-256".into()))?,
            revoked: row.revoked,
            networks: networks.map_err(|error| decode(Box::new(error)))?,
            caller: ApiCaller {
                key_id: row.id,
                prefix: row.prefix,
                name: row.name,
                instance: row.instance,
                scopes: row.scopes,
                rate_per_minute: row.rate_per_minute.and_then(|rate| u32::try_from(rate).ok()),
                expires_at: row.expires_at,
            },
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Remembered> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
