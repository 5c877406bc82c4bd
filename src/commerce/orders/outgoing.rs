//! An order on its way to an ERP, and what the ERP makes of it.
//!
//! Invariants
//! - An order is handed over under its row's lock, before anything is sent. From then on a cancellation is only asked for.
//! - What was not taken is given back; a cancellation that was asked for meanwhile is made then.
//! - `sent_at` and the ERP's number are set once.

use serde_json::{Value, json};
use sqlx::PgConnection;

use super::{
    State,
    error::OrderError,
    events::Told,
    moves::{Change, Held, lock, write},
    queries::release,
};
use crate::{
    audit::{self, Actor, Entry},
    outbox::{self, EventType, Events, Provenance},
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

/// Hands an order over, unless somebody wants it cancelled. It stays handed over until [`taken`] or [`given_back`].
pub async fn hand_over(conn: &mut PgConnection, by: &Provenance<'_>, order: i64) -> Result<Handing, OrderError> {
    loop {
        let row =
            sqlx::query_file!("src/commerce/orders/sql/outgoing.sql", order, by.now).fetch_optional(&mut *conn).await?;
        return Ok(match row {
            Some(row) if row.is_handed => Handing::Ready(row.record),
            Some(row) if row.is_sent => Handing::Sent(row.external_number),
            Some(row) if row.is_confirmed && !row.is_cancelled => match row.cancel_requested {
                true => Handing::CancelAsked(row.record),
                // Somebody else moved it while the statement ran.
                false => continue,
            },
            _ => Handing::NotWanted,
        });
    }
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

/// An order that an ERP has.
#[derive(Debug, Clone, Copy)]
pub struct Taken<'a> {
    pub order: i64,
    /// What it calls it.
    pub number: Option<&'a str>,
    pub holds_goods: bool,
    /// What it was sent by.
    pub correlation_id: &'a str,
}

/// Locks orders by rising id, for what follows on several of them in one transaction.
pub async fn lock_all(conn: &mut PgConnection, orders: &[i64]) -> Result<(), sqlx::Error> {
    sqlx::query_scalar!(
        "select id from commerce.sales_order where id = any ($1) order by id for no key update",
        orders
    )
    .fetch_all(conn)
    .await?;
    Ok(())
}

/// The ERP has these orders. What it has already, and what was never confirmed, stays as it is.
pub async fn taken(conn: &mut PgConnection, by: &Provenance<'_>, taken: &[Taken<'_>]) -> Result<(), OrderError> {
    let orders: Vec<i64> = taken.iter().map(|one| one.order).collect();
    lock_all(conn, &orders).await?;
    let changed = sqlx::query!(
        r#"with changed as (
            update commerce.sales_order o
            set sent_at = $1, handed_at = coalesce(o.handed_at, $1), external_number = coalesce(o.external_number, t.number),
                reserved_there = t.holds_goods, revision = o.revision + 1, updated_at = $1
            from unnest($3::bigint[], $4::text[], $5::boolean[], $6::text[]) as t (id, number, holds_goods, correlation_id)
            where o.id = t.id and o.sent_at is null and o.confirmed_at is not null
            returning o.id, o.revision, o.customer_id, o.number, o.state, o.payment_method, o.currency, o.total,
                t.correlation_id, t.number as theirs
         ), noted as (
            insert into commerce.sales_order_history
                (order_id, revision, at, action, from_state, state, actor, correlation_id, note)
            select id, revision, $1, 'sent', state, state, $2, correlation_id, theirs from changed
         )
         select id, revision, customer_id, number, state, payment_method, currency, total, correlation_id as "correlation_id!"
         from changed order by id"#,
        by.now,
        by.origin,
        &orders,
        &taken.iter().map(|one| one.number).collect::<Vec<_>>() as _,
        &taken.iter().map(|one| one.holds_goods).collect::<Vec<_>>(),
        &taken.iter().map(|one| one.correlation_id).collect::<Vec<_>>() as _,
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut events = Vec::with_capacity(changed.len());
    let mut entries = Vec::with_capacity(changed.len());
    for row in &changed {
        let told = Told {
            id: row.id,
            number: &row.number,
            customer_id: row.customer_id,
            state: &row.state,
            payment_method: &row.payment_method,
            total: row.total,
            currency: &row.currency,
            revision: row.revision,
            cause: Some("sent"),
        };
        let mut one = Events::new(EventType::OrderUpdated, 1).from_request(&row.correlation_id);
        one.push(row.id, row.revision, &told)?;
        events.push(one);
        let detail = json!({ "id": row.id, "from": row.state, "to": row.state });
        entries.push(Entry { action: "order.sent", subject_kind: "order", subject: row.number.clone(), detail });
    }
    outbox::append_all(conn, by, &events).await?;
    let who = |correlation_id| Actor { correlation_id, ..by.actor() };
    let entries: Vec<(Actor<'_>, &Entry)> =
        changed.iter().zip(&entries).map(|(row, entry)| (who(row.correlation_id.as_str()), entry)).collect();
    audit::record_each(conn, &entries).await?;
    Ok(())
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
