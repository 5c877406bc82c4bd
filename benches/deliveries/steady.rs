//! So many events a second for a while, beside a snapshot that somebody holds open from the beginning: how many are delivered, and
//! how long one waits from being made to being claimed, tenth by tenth.

use std::time::{Duration, Instant};

use sqlx::{Connection, Executor, PgConnection};

use crate::{Failure, hub::Hub, receiver::Receiver};

/// Events are made in as many portions of a second.
const PORTIONS: u32 = 10;
const PARTS: u32 = 10;

#[derive(Debug, serde::Serialize)]
pub struct Tenth {
    pub delivered_per_second: u64,
    /// From the making of a delivery to its claim, by the database's clock.
    pub claimed_p50_ms: f64,
    pub claimed_p99_ms: f64,
}

pub async fn run(hub: &Hub, receiver: &Receiver, rate: u32, seconds: u32) -> Result<Vec<Tenth>, Failure> {
    let mut reader = PgConnection::connect(&hub.url()).await?;
    reader.execute("begin isolation level repeatable read").await?;
    reader.execute("select count(*) from hub.delivery").await?;
    let mut db = PgConnection::connect(&hub.url()).await?;
    let mut tenths = Vec::new();
    let began = Instant::now();
    let mut portion = 0;
    for part in 1..=PARTS {
        let (before, since) = (receiver.count(), Instant::now());
        let from: chrono::DateTime<chrono::Utc> =
            sqlx::query_scalar("select clock_timestamp()").fetch_one(&mut db).await?;
        while portion < seconds * PORTIONS / PARTS * part {
            let due = began + Duration::from_secs(1) * portion / PORTIONS;
            tokio::time::sleep_until(due.into()).await;
            hub.happen(i64::from(rate / PORTIONS)).await?;
            portion += 1;
        }
        let took = since.elapsed();
        let arrived = i64::try_from(receiver.count() - before)?;
        let (p50, p99): (f64, f64) = sqlx::query_as(
            "select coalesce(percentile_cont(0.5) within group (order by w.ms), 0)::float8,
                    coalesce(percentile_cont(0.99) within group (order by w.ms), 0)::float8
             from hub.delivery_history h
             join hub.attempt a on a.message_id = h.id
             cross join lateral (select extract(epoch from a.started_at - h.created_at) * 1000 as ms) w
             where h.id >= hub.uuid_at($1) and a.id >= hub.uuid_at($1)",
        )
        .bind(from)
        .fetch_one(&mut db)
        .await?;
        let round = |number: f64| (number * 10.0).round() / 10.0;
        tenths.push(Tenth {
            delivered_per_second: crate::per_second(arrived, took),
            claimed_p50_ms: round(p50),
            claimed_p99_ms: round(p99),
        });
    }
    hub.until_finished(0).await?;
    reader.execute("commit").await?;
    Ok(tenths)
}
