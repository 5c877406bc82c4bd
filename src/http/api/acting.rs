//! Who does something to an order or a cart, and the one way in which it is done: once for each `Idempotency-Key`.

use std::sync::Arc;

use axum::{
    extract::{FromRef, FromRequestParts},
    http::{StatusCode, request::Parts},
    response::Response,
};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;

use crate::{
    commerce::{
        carts,
        orders::{self, NamedFault, NewOrder, Order, OrderContext, OrderError, OrderRules},
    },
    http::{
        correlation::CorrelationId,
        idempotency::{Answer, Idempotent, Stop},
        problem::{FieldError, Problem},
        router::HttpState,
        signed_in::SignedIn,
    },
    money,
    principal::Permission,
};
use rust_decimal::Decimal;

/// A signed-in caller in a request, with the rules in force.
pub(super) struct Acting {
    pub(super) caller: SignedIn,
    actor: String,
    correlation_id: CorrelationId,
    rules: OrderRules,
    now: DateTime<Utc>,
}

/// What is done.
pub(super) enum Deed {
    Place(NewOrder),
    Cancel { order: i64, note: Option<String> },
    Approve { order: i64, note: Option<String> },
    Reject { order: i64, note: Option<String> },
    PutItem { product: i64, quantity: Decimal, unit: Option<String> },
    RemoveItem { product: i64 },
    ClearCart,
}

impl<S> FromRequestParts<S> for Acting
where
    S: Send + Sync,
    HttpState: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Acting, Problem> {
        let caller = SignedIn::from_request_parts(parts, state).await?;
        let Ok(correlation_id) = CorrelationId::from_request_parts(parts, state).await;
        let http = HttpState::from_ref(state);
        Ok(Acting { actor: caller.actor(), caller, correlation_id, rules: http.order_rules, now: http.clock.now() })
    }
}

impl Acting {
    pub(super) fn require(&self, permission: Permission) -> Result<(), Problem> {
        self.caller.require(permission)
    }

    pub(super) fn context(&self) -> OrderContext<'_> {
        OrderContext::new(&self.caller, &self.actor, self.correlation_id.as_str(), self.now, &self.rules)
    }

    /// Does it, and answers what came of it.
    pub(super) async fn perform(self, request: &Idempotent, body: &Bytes, deed: Deed) -> Result<Response, Problem> {
        let work = Arc::new((self, deed));
        let actor = work.0.actor.clone();
        request
            .run(&actor, body, |tx| {
                let work = Arc::clone(&work);
                Box::pin(async move { work.1.done(tx, &work.0.context()).await })
            })
            .await
    }
}

impl Deed {
    async fn done(&self, conn: &mut PgConnection, cx: &OrderContext<'_>) -> Result<Answer, Stop> {
        let order = |order: Result<Order, OrderError>| answer(StatusCode::OK, order);
        match self {
            Deed::Place(new) => answer(StatusCode::CREATED, orders::place(conn, cx, new).await),
            Deed::Cancel { order: id, note } => order(orders::cancel(conn, cx, *id, note.as_deref()).await),
            Deed::Approve { order: id, note } => order(orders::approve(conn, cx, *id, note.as_deref()).await),
            Deed::Reject { order: id, note } => order(orders::reject(conn, cx, *id, note.as_deref()).await),
            Deed::PutItem { product, quantity, unit } => {
                answer(StatusCode::OK, carts::put(conn, cx, *product, *quantity, unit.as_deref()).await)
            }
            Deed::RemoveItem { product } => answer(StatusCode::OK, carts::remove(conn, cx, *product).await),
            Deed::ClearCart => answer(StatusCode::OK, carts::empty(conn, cx).await),
        }
    }
}

fn answer<T: Serialize>(status: StatusCode, done: Result<T, OrderError>) -> Result<Answer, Stop> {
    Ok(Answer::json(status, &done.map_err(refused)?)?)
}

fn refused(error: OrderError) -> Stop {
    match error {
        OrderError::Database(error) => error.into(),
        error => problem(error).into(),
    }
}

/// What a caller is told.
pub(super) fn problem(error: OrderError) -> Problem {
    let conflict = |code, title, detail: String| Problem::new(StatusCode::CONFLICT, code, title, detail);
    let said = error.to_string();
    match error {
        OrderError::Invalid(faults) => Problem::invalid(errors(faults)),
        OrderError::NotEnough(faults) => {
            conflict("insufficient_stock", "There is not enough in stock", said).with_errors(errors(faults))
        }
        OrderError::Changed(faults) => {
            let detail = format!("{said}; look at the cart and order again");
            conflict("cart_changed", "The cart has changed", detail).with_errors(errors(faults))
        }
        OrderError::CartEmpty => conflict("cart_empty", "The cart is empty", said),
        OrderError::NoCart => Problem::new(StatusCode::FORBIDDEN, "no_cart", "The caller has no cart", said),
        OrderError::UnknownCustomer(_) | OrderError::NotFound => Problem::not_found(said),
        OrderError::CustomerBarred(_) => conflict("customer_barred", "The customer may not order", said),
        OrderError::OverLimit { limit, used, total } => {
            conflict("credit_limit_exceeded", "The credit limit does not suffice", said)
                .member("creditLimit", exact(limit))
                .member("used", exact(used))
                .member("total", exact(total))
        }
        OrderError::Overdue { overdue } => {
            conflict("payment_overdue", "Something is overdue", said).member("overdue", exact(overdue))
        }
        OrderError::Forbidden(forbidden) => {
            let allowed: Vec<&str> = forbidden.allowed().iter().map(|state| state.as_str()).collect();
            let detail = match allowed.as_slice() {
                [] => format!("{said}; nothing follows that state"),
                allowed => format!("{said}; what may follow is {}", allowed.join(", ")),
            };
            conflict("state_conflict", "Not possible in the present state", detail)
                .member("state", forbidden.from.as_str())
                .member("allowed", allowed)
        }
        OrderError::Database(error) => error.into(),
        error @ OrderError::Event(_) => Problem::internal(error),
    }
}

fn errors(faults: Vec<NamedFault>) -> Vec<FieldError> {
    let error = |fault: NamedFault| FieldError { field: fault.field, code: fault.code.into(), message: fault.message };
    faults.into_iter().map(error).collect()
}

/// Money as a JSON number with all its digits.
fn exact(amount: Decimal) -> serde_json::Value {
    let text = format!("{:.4}", money::round(amount, 4));
    serde_json::from_str(&text).unwrap_or(serde_json::Value::Null)
}
