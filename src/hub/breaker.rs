//! One circuit breaker per connector instance, stored, so that every daemon and every person sees the same one.
//!
//! Only remote faults count. While it is open nothing is sent but probes (the connector's own `check`), and messages
//! wait without spending attempts. Some are asked less and less often the longer nothing goes well ([`Probing::longest`]).

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgExecutor;
use utoipa::ToSchema;

use super::{leases::interval, states::BreakerState};

#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CircuitBreaker)]
pub struct Breaker {
    pub connector: String,
    /// `closed`, `open` or `half_open`
    #[schema(value_type = String)]
    pub state: BreakerState,
    pub faults_in_a_row: i32,
    pub opened_at: Option<DateTime<Utc>>,
    pub next_probe_at: Option<DateTime<Utc>>,
    pub last_fault: Option<String>,
    pub last_fault_at: Option<DateTime<Utc>>,
    pub last_success_at: Option<DateTime<Utc>>,
}

pub async fn list<'e>(db: impl PgExecutor<'e>) -> Result<Vec<Breaker>, sqlx::Error> {
    let rows = sqlx::query!(
        "select connector, state, faults_in_a_row, opened_at, next_probe_at, last_fault, last_fault_at, last_success_at
         from hub.breaker order by connector"
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Breaker {
            connector: row.connector,
            state: BreakerState::parse(&row.state).unwrap_or(BreakerState::Open),
            faults_in_a_row: row.faults_in_a_row,
            opened_at: row.opened_at,
            next_probe_at: row.next_probe_at,
            last_fault: row.last_fault,
            last_fault_at: row.last_fault_at,
            last_success_at: row.last_success_at,
        })
        .collect())
}

pub async fn state<'e>(db: impl PgExecutor<'e>, connector: &str) -> Result<BreakerState, sqlx::Error> {
    let state =
        sqlx::query_scalar!("select state from hub.breaker where connector = $1", connector).fetch_optional(db).await?;
    Ok(state.and_then(|text| BreakerState::parse(&text)).unwrap_or(BreakerState::Closed))
}

/// When a system that is down is asked whether it is back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probing {
    pub after: Duration,
    /// A tenth of the time for which nothing has gone well, up to this. `None`: always after the same time.
    pub longest: Option<Duration>,
}

impl From<Duration> for Probing {
    fn from(after: Duration) -> Probing {
        Probing { after, longest: None }
    }
}

/// Counts a remote fault; at `threshold` in a row the breaker opens. Returns the state after it.
pub async fn record_fault<'e>(
    db: impl PgExecutor<'e>,
    connector: &str,
    detail: &str,
    threshold: u32,
    probing: impl Into<Probing>,
) -> Result<BreakerState, sqlx::Error> {
    let probing = probing.into();
    let state = sqlx::query_scalar!(
        r#"insert into hub.breaker as b
               (connector, faults_in_a_row, last_fault, last_fault_at, failing_since, state, opened_at, next_probe_at)
           values ($1, 1, $2, clock_timestamp(), clock_timestamp(),
                   case when $3 <= 1 then 'open' else 'closed' end,
                   case when $3 <= 1 then clock_timestamp() end,
                   case when $3 <= 1 then clock_timestamp() + $4::interval end)
           on conflict (connector) do update set
               faults_in_a_row = b.faults_in_a_row + 1,
               last_fault = excluded.last_fault,
               last_fault_at = excluded.last_fault_at,
               failing_since = case when b.last_fault_at > clock_timestamp() - interval '1 day'
                                      then coalesce(b.failing_since, excluded.failing_since) else excluded.failing_since end,
               state = case when b.state <> 'closed' or b.faults_in_a_row + 1 >= $3 then 'open' else 'closed' end,
               opened_at = case when b.state <> 'closed' then b.opened_at
                                when b.faults_in_a_row + 1 >= $3 then clock_timestamp() end,
               next_probe_at = case when b.state <> 'closed' or b.faults_in_a_row + 1 >= $3
                                    then clock_timestamp() + greatest($4::interval, least($5::interval,
                                             (clock_timestamp() - coalesce(b.failing_since, clock_timestamp())) / 10))
                               end
           returning state"#,
        connector,
        detail,
        i32::try_from(threshold).unwrap_or(i32::MAX),
        interval(probing.after),
        interval(probing.longest.unwrap_or_default()),
    )
    .fetch_one(db)
    .await?;
    Ok(BreakerState::parse(&state).unwrap_or(BreakerState::Open))
}

/// Notes that the system answered real work. Writes only when there is something to note, at most once in a while. An
/// open breaker stays: what was under way when it opened proves nothing, and closing is more than this.
pub async fn record_success<'e>(db: impl PgExecutor<'e>, connector: &str) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into hub.breaker as b (connector, last_success_at) values ($1, clock_timestamp())
         on conflict (connector) do update
             set faults_in_a_row = 0, last_success_at = clock_timestamp(), failing_since = null
         where b.state = 'closed'
           and (b.faults_in_a_row > 0 or b.failing_since is not null or b.last_success_at is null
                or b.last_success_at < clock_timestamp() - interval '10 seconds')",
        connector,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Whether the system answered real work since then.
pub async fn answered_since<'e>(
    db: impl PgExecutor<'e>,
    connector: &str,
    since: Option<DateTime<Utc>>,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists (select from hub.breaker where connector = $1 and last_success_at > $2) as "yes!""#,
        connector,
        since,
    )
    .fetch_one(db)
    .await
}

/// It asks for patience: no fault, but nothing went well either.
pub async fn record_patience<'e>(db: impl PgExecutor<'e>, connector: &str, detail: &str) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into hub.breaker as b (connector, last_fault, last_fault_at, failing_since)
         values ($1, $2, clock_timestamp(), clock_timestamp())
         on conflict (connector) do update
             set last_fault = excluded.last_fault, last_fault_at = excluded.last_fault_at,
                 failing_since = case when b.last_fault_at > clock_timestamp() - interval '1 day'
                                      then coalesce(b.failing_since, excluded.failing_since) else excluded.failing_since end",
        connector,
        detail,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// A probe came back: the system answers.
pub async fn close<'e>(db: impl PgExecutor<'e>, connector: &str) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update hub.breaker
         set state = 'closed', faults_in_a_row = 0, opened_at = null, next_probe_at = null,
             last_success_at = clock_timestamp(), failing_since = null
         where connector = $1",
        connector,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Somebody is there again, which proves nothing yet: work may go, and one more fault opens the breaker.
pub async fn let_try<'e>(db: impl PgExecutor<'e>, connector: &str, threshold: u32) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update hub.breaker
         set state = 'closed', faults_in_a_row = greatest($2 - 1, 0), opened_at = null, next_probe_at = null
         where connector = $1",
        connector,
        i32::try_from(threshold).unwrap_or(i32::MAX),
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The last fault of one of which nothing has gone well for longer than this, and which was tried all that time: days on which nobody
/// asked it anything say nothing of it.
pub async fn has_failed_for<'e>(
    db: impl PgExecutor<'e>,
    connector: &str,
    time: Duration,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select coalesce(last_fault, '') as "fault!" from hub.breaker
           where connector = $1 and failing_since < clock_timestamp() - $2::interval
             and last_fault_at > clock_timestamp() - interval '1 day'"#,
        connector,
        interval(time),
    )
    .fetch_optional(db)
    .await
}

/// Open breakers whose time for a probe has come.
pub async fn due_probes<'e>(db: impl PgExecutor<'e>, connectors: &[String]) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar!(
        "select connector from hub.breaker
         where state <> 'closed' and next_probe_at <= clock_timestamp() and connector = any($1)
         order by next_probe_at",
        connectors,
    )
    .fetch_all(db)
    .await
}

/// Takes the due probe of an open breaker: half open until its result is recorded. `false`: somebody else has it.
pub async fn claim_probe<'e>(
    db: impl PgExecutor<'e>,
    connector: &str,
    probe_after: Duration,
) -> Result<bool, sqlx::Error> {
    let claimed = sqlx::query!(
        "update hub.breaker set state = 'half_open', next_probe_at = clock_timestamp() + $2::interval
         where connector = $1 and state <> 'closed' and next_probe_at <= clock_timestamp()",
        connector,
        interval(probe_after),
    )
    .execute(db)
    .await?;
    Ok(claimed.rows_affected() == 1)
}
