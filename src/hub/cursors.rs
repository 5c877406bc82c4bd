//! Where passes stand. A cursor is written in the transaction of the work that it stands for, so a crash repeats work
//! and never skips any.

use chrono::{DateTime, Utc};
use kopru_sdk::{Cursor, Pass};
use sqlx::PgExecutor;

#[derive(Debug, Clone)]
pub struct Position {
    pub cursor: Cursor,
    /// When the pass began, by the database's clock.
    pub pass_started_at: DateTime<Utc>,
}

pub async fn read<'e>(
    db: impl PgExecutor<'e>,
    connector: &str,
    stream: &str,
    pass: Pass,
) -> Result<Option<Position>, sqlx::Error> {
    let row = sqlx::query!(
        "select position, pass_started_at from hub.cursor where connector = $1 and stream = $2 and pass = $3",
        connector,
        stream,
        pass.as_str(),
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| Position { cursor: Cursor(row.position), pass_started_at: row.pass_started_at }))
}

pub async fn write<'e>(
    db: impl PgExecutor<'e>,
    connector: &str,
    stream: &str,
    pass: Pass,
    position: &Position,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "insert into hub.cursor (connector, stream, pass, position, pass_started_at) values ($1, $2, $3, $4, $5)
         on conflict (connector, stream, pass) do update
             set position = excluded.position, pass_started_at = excluded.pass_started_at,
                 updated_at = clock_timestamp()",
        connector,
        stream,
        pass.as_str(),
        position.cursor.0,
        position.pass_started_at,
    )
    .execute(db)
    .await?;
    Ok(())
}

pub async fn clear<'e>(db: impl PgExecutor<'e>, connector: &str, stream: &str, pass: Pass) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "delete from hub.cursor where connector = $1 and stream = $2 and pass = $3",
        connector,
        stream,
        pass.as_str(),
    )
    .execute(db)
    .await?;
    Ok(())
}
