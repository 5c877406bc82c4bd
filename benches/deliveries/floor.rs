//! A bare queue on the same server: claim, commit, complete, commit.

use std::time::Instant;

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use uuid::Uuid;

use crate::{Failure, per_second};

const TABLES: &str = "
    drop schema if exists bare cascade;
    create schema bare;
    create table bare.job (
        id uuid primary key, state text not null default 'received', due_at timestamptz not null default clock_timestamp(),
        payload jsonb not null, lease_owner uuid, lease_until timestamptz
    ) with (fillfactor = 70);
    create index job_due on bare.job (due_at, id) where state = 'received';
    create table bare.done (id uuid primary key, finished_at timestamptz not null default clock_timestamp())";

const CLAIM: &str = "
    update bare.job j set state = 'working', lease_owner = $2, lease_until = clock_timestamp() + interval '10 seconds'
    from (select id from bare.job where state = 'received' order by due_at, id limit $1 for update skip locked) due
    where j.id = due.id returning j.id";

const COMPLETE: &str = "
    with gone as (delete from bare.job where id = any($1) and lease_owner = $2 returning id)
    insert into bare.done (id) select id from gone";

/// Jobs a second.
pub async fn run(url: &str, jobs: i64, workers: usize, batch: i64) -> Result<u64, Failure> {
    let mut db = PgConnection::connect(url).await?;
    db.execute(TABLES).await?;
    let fill = format!(
        "insert into bare.job (id, payload) select hub.new_id(), jsonb_build_object('id', n) from generate_series(1, {jobs}) n"
    );
    db.execute(AssertSqlSafe(fill)).await?;
    db.execute("vacuum analyze bare.job").await?;
    let began = Instant::now();
    let mut tasks = Vec::new();
    for _ in 0..workers {
        let mut conn = PgConnection::connect(url).await?;
        tasks.push(tokio::spawn(async move {
            let owner = Uuid::now_v7();
            loop {
                let ids: Vec<Uuid> = sqlx::query_scalar(CLAIM).bind(batch).bind(owner).fetch_all(&mut conn).await?;
                if ids.is_empty() {
                    return Ok::<_, Failure>(());
                }
                sqlx::query(COMPLETE).bind(&ids).bind(owner).execute(&mut conn).await?;
            }
        }));
    }
    for task in tasks {
        task.await??;
    }
    let took = began.elapsed();
    let done: i64 = sqlx::query_scalar("select count(*) from bare.done").fetch_one(&mut db).await?;
    db.execute("drop schema bare cascade").await?;
    if done == jobs { Ok(per_second(jobs, took)) } else { Err(format!("{done} of {jobs} jobs were done").into()) }
}
