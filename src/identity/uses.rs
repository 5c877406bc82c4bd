//! How keys are used: counted in memory, written in batches by a task of its own, never on a request's way.
//!
//! What is counted and not yet written is lost with a process that is killed: at most [`EVERY`] of counts. A process that
//! is stopped writes them first.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use serde::Serialize;
use sqlx::{PgExecutor, PgPool};
use tokio_util::sync::CancellationToken;

use crate::{clock::Clock, transaction};

/// How often the counts are written.
pub const EVERY: Duration = Duration::from_secs(2);
/// Kinds of use that are told apart at a time; beyond it their addresses are folded into one.
const MOST: usize = 20_000;

/// What became of a key that was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    Accepted,
    Unknown,
    Revoked,
    Expired,
    Address,
    Scope,
    Rate,
}

impl Outcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Accepted => "accepted",
            Outcome::Unknown => "unknown",
            Outcome::Revoked => "revoked",
            Outcome::Expired => "expired",
            Outcome::Address => "address",
            Outcome::Scope => "scope",
            Outcome::Rate => "rate",
        }
    }
}

/// One kind of use.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Use {
    /// `None`: no key of ours.
    pub key_id: Option<i64>,
    pub address: Option<IpAddr>,
    pub method: String,
    /// The pattern, not the path.
    pub route: String,
    pub outcome: Outcome,
}

/// Counts of this process that are not written yet.
#[derive(Debug)]
pub struct UseCounter {
    pool: PgPool,
    clock: Clock,
    open: Mutex<HashMap<(DateTime<Utc>, Use), i64>>,
}

impl UseCounter {
    pub fn new(pool: PgPool, clock: Clock) -> UseCounter {
        UseCounter { pool, clock, open: Mutex::default() }
    }

    pub fn count(&self, used: Use) {
        let now = self.clock.now();
        self.add(now.duration_trunc(TimeDelta::minutes(1)).unwrap_or(now), used, 1);
    }

    fn add(&self, minute: DateTime<Utc>, used: Use, times: i64) {
        let mut open = self.lock();
        let mut kind = (minute, used);
        if open.len() >= MOST && !open.contains_key(&kind) {
            kind.1.address = None;
        }
        *open.entry(kind).or_default() += times;
    }

    /// Writes what was counted until now.
    pub async fn flush(&self) -> Result<(), sqlx::Error> {
        let taken = std::mem::take(&mut *self.lock());
        if taken.is_empty() {
            return Ok(());
        }
        // In one order everywhere: two daemons that count the same must not wait for each other in a circle.
        let mut rows: Vec<_> = taken.into_iter().collect();
        rows.sort_by_key(|((minute, used), _)| {
            (*minute, used.key_id, used.route.clone(), used.method.clone(), used.address, used.outcome.as_str())
        });
        let written = write(&self.pool, &rows).await;
        if written.is_err() {
            for ((minute, used), times) in rows {
                self.add(minute, used, times);
            }
        }
        written
    }

    /// Writes every [`EVERY`], and a last time when `until` comes.
    pub async fn run(&self, until: CancellationToken) {
        loop {
            let last = tokio::select! {
                () = tokio::time::sleep(EVERY) => false,
                () = until.cancelled() => true,
            };
            if let Err(error) = self.flush().await {
                tracing::warn!(%error, "uses of API keys could not be written; they are kept and written later");
            }
            if last {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(DateTime<Utc>, Use), i64>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn write(pool: &PgPool, rows: &[((DateTime<Utc>, Use), i64)]) -> Result<(), sqlx::Error> {
    let addresses: Vec<Option<String>> =
        rows.iter().map(|((_, used), _)| used.address.map(|address| address.to_string())).collect();
    let mut tx = transaction::begin(pool).await?;
    sqlx::query!(
        "insert into identity.api_key_use as u (minute, key_id, address, method, route, outcome, uses)
         select minute, key_id, address::inet, method, route, outcome, uses
         from unnest($1::timestamptz[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[])
              as n (minute, key_id, address, method, route, outcome, uses)
         on conflict on constraint api_key_use_key do update set uses = u.uses + excluded.uses",
        &rows.iter().map(|((minute, _), _)| *minute).collect::<Vec<_>>(),
        &rows.iter().map(|((_, used), _)| used.key_id).collect::<Vec<_>>() as &[Option<i64>],
        &addresses as &[Option<String>],
        &rows.iter().map(|((_, used), _)| used.method.clone()).collect::<Vec<_>>(),
        &rows.iter().map(|((_, used), _)| used.route.clone()).collect::<Vec<_>>(),
        &rows.iter().map(|((_, used), _)| used.outcome.as_str().to_owned()).collect::<Vec<_>>(),
        &rows.iter().map(|(_, times)| *times).collect::<Vec<_>>(),
    )
    .execute(&mut *tx)
    .await?;
    let mut used: Vec<i64> = rows
        .iter()
        .filter(|((_, used), _)| used.outcome == Outcome::Accepted)
        .filter_map(|((_, used), _)| used.key_id)
        .collect();
    used.sort_unstable();
    used.dedup();
    sqlx::query!(
        "with used as materialized (
           select id from identity.api_key where id = any($1) order by id for no key update
         )
         update identity.api_key k set last_used_at = clock_timestamp() from used where used.id = k.id",
        &used,
    )
    .execute(&mut *tx)
    .await?;
    tx.commit().await
}

/// A row as it is listed.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UseLine {
    pub id: i64,
    pub minute: DateTime<Utc>,
    /// Missing: no key of ours was shown.
    pub prefix: Option<String>,
    pub name: Option<String>,
    /// Missing: too many at once to tell them apart.
    pub address: Option<String>,
    pub method: String,
    pub route: String,
    pub outcome: String,
    pub uses: i64,
}

/// Which uses are meant; every field narrows.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub prefix: Option<String>,
    pub outcome: Option<String>,
    pub since: Option<DateTime<Utc>>,
}

/// Newest minute first, a page at a time; `before` is the last id of the page before.
pub async fn list<'e>(
    db: impl PgExecutor<'e>,
    filter: &Filter,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<UseLine>, sqlx::Error> {
    sqlx::query_as!(
        UseLine,
        r#"select u.id, u.minute, k.prefix as "prefix?", k.name as "name?", host(u.address) as address, u.method, u.route,
                  u.outcome, u.uses
           from identity.api_key_use u left join identity.api_key k on k.id = u.key_id
           where ($1::text is null or k.prefix = $1)
             and ($2::text is null or u.outcome = $2)
             and ($3::timestamptz is null or u.minute >= $3)
             and ($4::bigint is null
                  or (u.minute, u.id) < (select b.minute, b.id from identity.api_key_use b where b.id = $4))
           order by u.minute desc, u.id desc
           limit $5"#,
        filter.prefix,
        filter.outcome,
        filter.since,
        before,
        limit,
    )
    .fetch_all(db)
    .await
}
