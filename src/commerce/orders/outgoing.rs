//! An order on its way to an ERP, and what the ERP makes of it.
//!
//! Invariants
//! - An order is handed over under its row's lock, before anything is sent. From then on a cancellation is only asked for.
//! - What was not taken is given back; a cancellation that was asked for meanwhile is made then.
//! - `sent_at` and the ERP's number are set once.

use serde_json::Value;
use sqlx::PgConnection;

use super::{
    State,
    error::OrderError,
    moves::{Change, Held, announce, lock, write},
    queries::release,
};
use crate::{
    outbox::{EventType, Provenance},
    principal::Scope,
};

/// How an order stands towards the ERP.
#[derive(Debug, Clone, PartialEq)]
pub enum Handing {
    /// It is to be sent: what there is to tell.
    Ready(Value),
    /// It may be over there, and somebody wants it cancelled.
    CancelAsked(Value),
    /// It is over there, under this number.
    Sent(Option<String>),
    /// It was cancelled before it was sent, or is none any more.
    NotWanted,
}

/// Hands an order over. It stays handed over until [`taken`] or [`given_back`].
pub async fn hand_over(conn: &mut PgConnection, by: &Provenance<'_>, order: i64) -> Result<Handing, OrderError> {
    let handed = sqlx::query_scalar!(
        "update commerce.sales_order set handed_at = coalesce(handed_at, $2)
         where id = $1 and confirmed_at is not null and state <> 'cancelled' and sent_at is null
           and cancel_requested_at is null
         returning id",
        order,
        by.now,
    )
    .fetch_optional(&mut *conn)
    .await?;
    match handed {
        Some(_) => Ok(record(conn, order).await?.map_or(Handing::NotWanted, Handing::Ready)),
        None => standing(conn, order).await,
    }
}

/// The same without handing it over.
pub async fn standing(conn: &mut PgConnection, order: i64) -> Result<Handing, OrderError> {
    let row = sqlx::query!(
        r#"select state = 'cancelled' as "is_cancelled!", confirmed_at is not null as "is_confirmed!",
                  sent_at is not null as "is_sent!", cancel_requested_at is not null as "cancel_requested!",
                  external_number
           from commerce.sales_order where id = $1"#,
        order,
    )
    .fetch_optional(&mut *conn)
    .await?;
    Ok(match row {
        Some(row) if row.is_sent => Handing::Sent(row.external_number),
        Some(row) if row.is_confirmed && !row.is_cancelled => {
            let Some(record) = record(conn, order).await? else { return Ok(Handing::NotWanted) };
            if row.cancel_requested { Handing::CancelAsked(record) } else { Handing::Ready(record) }
        }
        _ => Handing::NotWanted,
    })
}

async fn record(conn: &mut PgConnection, order: i64) -> Result<Option<Value>, sqlx::Error> {
    sqlx::query_file_scalar!("src/commerce/orders/sql/outgoing.sql", order).fetch_optional(conn).await
}

/// Orders that nobody was told of yet: confirmed, and nothing of them sent or shipped.
pub async fn untold(conn: &mut PgConnection) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar!(
        "select id from commerce.sales_order
         where state = 'confirmed' and confirmed_at is not null and handed_at is null and sent_at is null
         order by id"
    )
    .fetch_all(conn)
    .await
}

/// The ERP has it, under this number, and holds its goods or does not.
pub async fn taken(
    conn: &mut PgConnection,
    by: &Provenance<'_>,
    order: i64,
    number: Option<&str>,
    holds_goods: bool,
) -> Result<(), OrderError> {
    let held = lock(conn, Scope::house(), order).await?;
    let written = sqlx::query!(
        "with changed as (
            update commerce.sales_order
            set sent_at = $3, handed_at = coalesce(handed_at, $3), external_number = coalesce(external_number, $4),
                reserved_there = $8, revision = $2, updated_at = $3
            where id = $1 and sent_at is null and confirmed_at is not null
            returning id
         )
         insert into commerce.sales_order_history
            (order_id, revision, at, action, from_state, state, actor, correlation_id, note)
         select id, $2, $3, 'sent', $5, $5, $6, $7, $4 from changed",
        held.id,
        held.revision + 1,
        by.now,
        number,
        held.state,
        by.origin,
        by.correlation_id,
        holds_goods,
    )
    .execute(&mut *conn)
    .await?
    .rows_affected();
    if written == 0 {
        return Ok(());
    }
    let state = held.state()?;
    let change = Change {
        to: state,
        action: "sent",
        audited: "order.sent",
        events: &[EventType::OrderUpdated],
        cause: Some("sent"),
        note: None,
        detail: None,
    };
    announce(conn, by, &held, state, &change).await
}

/// The ERP did not take it, for sure. Gives whether it was cancelled now, since somebody had asked for that.
pub async fn given_back(conn: &mut PgConnection, by: &Provenance<'_>, order: i64) -> Result<bool, OrderError> {
    let held = lock(conn, Scope::house(), order).await?;
    if held.cancel_requested {
        return cancelled(conn, by, &held).await;
    }
    sqlx::query!("update commerce.sales_order set handed_at = null where id = $1 and sent_at is null", order)
        .execute(conn)
        .await?;
    Ok(false)
}

/// The ERP cancelled it, or never had it. `false`: it could not be cancelled any more over here.
pub async fn cancel_agreed(conn: &mut PgConnection, by: &Provenance<'_>, order: i64) -> Result<bool, OrderError> {
    let held = lock(conn, Scope::house(), order).await?;
    cancelled(conn, by, &held).await
}

async fn cancelled(conn: &mut PgConnection, by: &Provenance<'_>, held: &Held) -> Result<bool, OrderError> {
    if held.state()?.to(State::Cancelled).is_err() {
        return Ok(false);
    }
    let change = Change {
        to: State::Cancelled,
        action: "cancelled",
        audited: "order.cancelled",
        events: &[EventType::OrderCancelled],
        cause: Some("cancelled"),
        note: None,
        detail: None,
    };
    write(conn, by, held, &change, None).await?;
    release(conn, by.now, &[held.id], "cancelled").await?;
    Ok(true)
}

/// Whether somebody waits for the ERP to cancel it.
pub async fn cancel_is_asked(conn: &mut PgConnection, order: i64) -> Result<bool, OrderError> {
    let asked = sqlx::query_scalar!(
        r#"select cancel_requested_at is not null and state <> 'cancelled' as "asked!"
           from commerce.sales_order where id = $1"#,
        order,
    )
    .fetch_optional(conn)
    .await?;
    Ok(asked.unwrap_or(false))
}
