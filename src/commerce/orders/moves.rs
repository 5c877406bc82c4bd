//! What becomes of an order after it was placed: approved, rejected, paid, cancelled, expired.
//!
//! Who approves an order on account asks the dealer's account once more, its row locked before the order's as whoever places
//! one locks it: of two that are approved at once the second one sees the first.

use rust_decimal::Decimal;
use serde_json::{Value, json};
use sqlx::{PgConnection, PgPool};

use super::{
    PaymentMethod, State,
    credit::{self, Credit, Undecided},
    error::OrderError,
    events::{Told, istanbul_day, tell},
    place::{OrderContext, may_order, read_note, unbearable},
    queries::{interval, release},
    read::{OrderKey, find},
    view::Order,
};
use crate::{
    audit::{self, Entry},
    clock::Clock,
    outbox::{EventType, Provenance},
    principal::{Permission, Scope},
    transaction,
};

/// Orders that one statement of [`expire`] takes.
const BATCH: i64 = 100;

/// An order under its row's lock.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) id: i64,
    customer_id: i64,
    pub(super) revision: i64,
    number: String,
    pub(super) state: String,
    payment_method: String,
    currency: String,
    total: Decimal,
    approval_reasons: Vec<String>,
    /// It may be with an ERP.
    is_handed: bool,
    pub(super) cancel_requested: bool,
}

impl Held {
    pub(super) fn state(&self) -> Result<State, OrderError> {
        State::parse(&self.state).ok_or_else(|| decode(&self.state))
    }

    fn method(&self) -> Result<PaymentMethod, OrderError> {
        PaymentMethod::parse(&self.payment_method).ok_or_else(|| decode(&self.payment_method))
    }
}

/// A word that the table's own checks do not let in.
fn decode(word: &str) -> OrderError {
    OrderError::Database(sqlx::Error::Decode(format!("an order holds the unknown word `{word}`").into()))
}

/// One change of an order.
pub(super) struct Change<'a> {
    pub(super) to: State,
    pub(super) action: &'static str,
    /// As it is audited: `order.approved`.
    pub(super) audited: &'static str,
    /// What it tells, a revision each.
    pub(super) events: &'a [EventType],
    pub(super) cause: Option<&'static str>,
    pub(super) note: Option<&'a str>,
    /// What the audit is to know beside the states.
    pub(super) detail: Option<(&'static str, Value)>,
}

/// A person of the house lets a waiting order through, if the dealer's account still bears it; see
/// [`super::OrderRules::judge_again`].
pub async fn approve(
    conn: &mut PgConnection,
    cx: &OrderContext<'_>,
    order: i64,
    note: Option<&str>,
) -> Result<Order, OrderError> {
    let note = checked(note)?;
    let credit = credit_of(conn, cx, order).await?;
    let held = lock(conn, cx.principal.scope(), order).await?;
    let to = held.method()?.next();
    if held.state()? != State::PendingApproval {
        return Err(super::Forbidden { from: held.state()?, to }.into());
    }
    still_may_order(conn, held.customer_id).await?;
    let mut detail = None;
    if let Some(credit) = credit {
        let may_exceed = cx.principal.may(Permission::CreditEdit);
        cx.rules
            .judge_again(held.total, &credit, &held.approval_reasons, may_exceed)
            .map_err(|why| unbearable(why, &credit, held.total))?;
        if credit.is_exceeded_by(held.total) || credit.overdue > Decimal::ZERO {
            let limit = credit.limit.map(|limit| limit.to_string());
            let (used, overdue) = (credit.used.to_string(), credit.overdue.to_string());
            detail = Some(("account", json!({ "creditLimit": limit, "used": used, "overdue": overdue })));
        }
    }
    let events: &[EventType] = match to {
        State::Confirmed => &[EventType::OrderApproved, EventType::OrderConfirmed],
        _ => &[EventType::OrderApproved],
    };
    let note = note.as_deref();
    let change = Change { to, action: "approved", audited: "order.approved", events, cause: None, note, detail };
    make(conn, cx, &held, &change).await?;
    shown(conn, cx, order).await
}

/// A person of the house does not.
pub async fn reject(
    conn: &mut PgConnection,
    cx: &OrderContext<'_>,
    order: i64,
    note: Option<&str>,
) -> Result<Order, OrderError> {
    let note = checked(note)?;
    let held = lock(conn, cx.principal.scope(), order).await?;
    if held.state()? != State::PendingApproval {
        return Err(super::Forbidden { from: held.state()?, to: State::Cancelled }.into());
    }
    let change = Change {
        to: State::Cancelled,
        action: "rejected",
        audited: "order.rejected",
        events: &[EventType::OrderCancelled],
        cause: Some("rejected"),
        note: note.as_deref(),
        detail: None,
    };
    make(conn, cx, &held, &change).await?;
    shown(conn, cx, order).await
}

/// Cancels an order that no ERP has; of one that was handed over it is asked for, and the ERP's word decides.
pub async fn cancel(
    conn: &mut PgConnection,
    cx: &OrderContext<'_>,
    order: i64,
    note: Option<&str>,
) -> Result<Order, OrderError> {
    let note = checked(note)?;
    let held = lock(conn, cx.principal.scope(), order).await?;
    held.state()?.to(State::Cancelled)?;
    if held.is_handed {
        // Asked for once; again changes nothing.
        if !held.cancel_requested {
            request_cancel(conn, &cx.by, &held, note.as_deref()).await?;
        }
    } else {
        let change = Change {
            to: State::Cancelled,
            action: "cancelled",
            audited: "order.cancelled",
            events: &[EventType::OrderCancelled],
            cause: Some("cancelled"),
            note: note.as_deref(),
            detail: None,
        };
        make(conn, cx, &held, &change).await?;
    }
    shown(conn, cx, order).await
}

/// The card was charged: the order is one. Who charged an order that cannot be confirmed any more gets the refusal, and
/// has to look at the money.
pub async fn paid(conn: &mut PgConnection, cx: &OrderContext<'_>, order: i64) -> Result<Order, OrderError> {
    let held = lock(conn, cx.principal.scope(), order).await?;
    if held.state()? != State::PendingPayment {
        return Err(super::Forbidden { from: held.state()?, to: State::Confirmed }.into());
    }
    still_may_order(conn, held.customer_id).await?;
    let change = Change {
        to: State::Confirmed,
        action: "paid",
        audited: "order.paid",
        events: &[EventType::OrderConfirmed],
        cause: None,
        note: None,
        detail: None,
    };
    make(conn, cx, &held, &change).await?;
    shown(conn, cx, order).await
}

/// Cancels what was not paid or approved in time, in batches; gives how many. Several daemons may do it at once: each takes what no
/// other has in hand.
pub async fn expire(pool: &PgPool, clock: &Clock) -> Result<usize, OrderError> {
    let mut expired = 0;
    loop {
        let mut tx = transaction::begin(pool).await?;
        let due = sqlx::query_as!(
            Held,
            r#"
            select id, customer_id, revision, number, state, payment_method, currency, total,
                approval_reasons, handed_at is not null as "is_handed!", cancel_requested_at is not null as "cancel_requested!"
            from commerce.sales_order
            where expires_at <= clock_timestamp()
            order by expires_at
            limit $1
            for no key update skip locked
            "#,
            BATCH,
        )
        .fetch_all(&mut *tx)
        .await?;
        let by =
            Provenance { origin: "hub", bulk: false, correlation_id: "order-expiry", place: None, now: clock.now() };
        let change = Change {
            to: State::Cancelled,
            action: "expired",
            audited: "order.expired",
            events: &[EventType::OrderCancelled],
            cause: Some("expired"),
            note: None,
            detail: None,
        };
        for held in &due {
            write(&mut tx, &by, held, &change, None).await?;
        }
        // All at once, so that the levels of all of them are locked in one order.
        let ids: Vec<i64> = due.iter().map(|held| held.id).collect();
        release(&mut tx, by.now, &ids, "expired").await?;
        tx.commit().await?;
        expired += due.len();
        if i64::try_from(due.len()).unwrap_or(BATCH) < BATCH {
            return Ok(expired);
        }
    }
}

fn checked(note: Option<&str>) -> Result<Option<String>, OrderError> {
    let mut faults = Vec::new();
    let note = read_note(note, &mut faults);
    if faults.is_empty() { Ok(note) } else { Err(OrderError::Invalid(faults)) }
}

pub(super) async fn lock(conn: &mut PgConnection, scope: Scope, order: i64) -> Result<Held, OrderError> {
    let held = sqlx::query_as!(
        Held,
        r#"
        select id, customer_id, revision, number, state, payment_method, currency, total,
            approval_reasons, handed_at is not null as "is_handed!", cancel_requested_at is not null as "cancel_requested!"
        from commerce.sales_order
        where id = $1 and ($2 or customer_id = $3)
        for no key update
        "#,
        order,
        scope.is_house(),
        scope.company_id(),
    )
    .fetch_optional(conn)
    .await?;
    held.ok_or(OrderError::NotFound)
}

/// The dealer may have been barred since the order was placed.
async fn still_may_order(conn: &mut PgConnection, customer: i64) -> Result<(), OrderError> {
    let now = sqlx::query!(
        r#"select deleted_at is not null as "is_deleted!", is_active, is_approved from commerce.customer where id = $1"#,
        customer,
    )
    .fetch_one(conn)
    .await?;
    may_order(now.is_deleted, now.is_active, now.is_approved)
}

/// What the dealer's account bears of an order on account that waits for approval, the dealer's row locked.
async fn credit_of(conn: &mut PgConnection, cx: &OrderContext<'_>, order: i64) -> Result<Option<Credit>, OrderError> {
    let scope = cx.principal.scope();
    let found = sqlx::query!(
        "select customer_id, currency from commerce.sales_order
         where id = $1 and ($2 or customer_id = $3) and payment_method = 'account' and state = 'pending_approval'",
        order,
        scope.is_house(),
        scope.company_id(),
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(found) = found else { return Ok(None) };
    let day = istanbul_day(cx.by.now);
    Ok(Some(credit::ask(conn, found.customer_id, &found.currency, day, Undecided::Left).await?))
}

async fn shown(conn: &mut PgConnection, cx: &OrderContext<'_>, order: i64) -> Result<Order, OrderError> {
    find(conn, cx.principal.scope(), OrderKey::Id(order)).await?.ok_or(OrderError::NotFound)
}

/// A change of state, with what it does to stock.
async fn make(
    conn: &mut PgConnection,
    cx: &OrderContext<'_>,
    held: &Held,
    change: &Change<'_>,
) -> Result<(), OrderError> {
    let by = &cx.by;
    write(conn, by, held, change, cx.rules.runs_out(change.to)).await?;
    match change.to {
        State::Confirmed => {
            sqlx::query!("update commerce.sales_order_line set confirmed = ordered where order_id = $1", held.id)
                .execute(conn)
                .await?;
        }
        State::Cancelled => release(conn, by.now, &[held.id], "cancelled").await?,
        _ => {}
    }
    Ok(())
}

/// Row, history, events and audit of a change of state, or of what changed within one.
pub(super) async fn write(
    conn: &mut PgConnection,
    by: &Provenance<'_>,
    held: &Held,
    change: &Change<'_>,
    expires_in: Option<std::time::Duration>,
) -> Result<(), OrderError> {
    let from = held.state()?;
    let to = if change.to == from { from } else { from.to(change.to)? };
    let revision = held.revision + i64::try_from(change.events.len()).unwrap_or(1);
    sqlx::query!(
        "with changed as (
            update commerce.sales_order
            set state = $2, revision = $3, updated_at = $4, expires_at = clock_timestamp() + $5::interval,
                confirmed_at = case when $2 = 'confirmed' then $4 else confirmed_at end
            where id = $1
         )
         insert into commerce.sales_order_history
            (order_id, revision, at, action, from_state, state, actor, correlation_id, note)
         values ($1, $3, $4, $6, $7, $2, $8, $9, $10)",
        held.id,
        to.as_str(),
        revision,
        by.now,
        expires_in.map(interval) as _,
        change.action,
        from.as_str(),
        by.origin,
        by.correlation_id,
        change.note,
    )
    .execute(&mut *conn)
    .await?;
    announce(conn, by, held, to, change).await
}

async fn request_cancel(
    conn: &mut PgConnection,
    by: &Provenance<'_>,
    held: &Held,
    note: Option<&str>,
) -> Result<(), OrderError> {
    sqlx::query!(
        "with changed as (
            update commerce.sales_order
            set cancel_requested_at = $3, revision = $2, updated_at = $3
            where id = $1
         )
         insert into commerce.sales_order_history
            (order_id, revision, at, action, from_state, state, actor, correlation_id, note)
         values ($1, $2, $3, 'cancel_requested', $4, $4, $5, $6, $7)",
        held.id,
        held.revision + 1,
        by.now,
        held.state,
        by.origin,
        by.correlation_id,
        note,
    )
    .execute(&mut *conn)
    .await?;
    let state = held.state()?;
    let change = Change {
        to: state,
        action: "cancel_requested",
        audited: "order.cancel_requested",
        events: &[EventType::OrderUpdated],
        cause: Some("cancel_requested"),
        note,
        detail: None,
    };
    announce(conn, by, held, state, &change).await
}

pub(super) async fn announce(
    conn: &mut PgConnection,
    by: &Provenance<'_>,
    held: &Held,
    state: State,
    change: &Change<'_>,
) -> Result<(), OrderError> {
    let told = Told {
        id: held.id,
        number: &held.number,
        customer_id: held.customer_id,
        state: state.as_str(),
        payment_method: &held.payment_method,
        total: held.total,
        currency: &held.currency,
        revision: held.revision + 1,
        cause: change.cause,
    };
    tell(conn, by, change.events, &told).await?;
    let mut detail = json!({ "id": held.id, "from": held.state, "to": state.as_str() });
    if let Some((name, value)) = &change.detail {
        detail[*name] = value.clone();
    }
    let subject = held.number.clone();
    let entry = Entry { action: change.audited, subject_kind: "order", subject, detail };
    audit::record(conn, by.actor(), &[entry]).await?;
    Ok(())
}
