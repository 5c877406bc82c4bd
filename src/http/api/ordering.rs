//! What is done to orders and carts, and what a caller is told who may not.

use axum::http::StatusCode;
use rust_decimal::Decimal;
use serde::Serialize;
use sqlx::PgConnection;

use super::acting::{Acting, Deed};
use crate::{
    commerce::{
        carts,
        orders::{self, NamedFault, NewOrder, Order, OrderError},
    },
    http::{
        idempotency::{Answer, Stop},
        problem::{FieldError, Problem},
    },
    money,
};

/// What is done.
pub(super) enum OrderDeed {
    Place(NewOrder),
    Cancel { order: i64, note: Option<String> },
    Approve { order: i64, note: Option<String> },
    Reject { order: i64, note: Option<String> },
    PutItem { product: i64, quantity: Decimal, unit: Option<String> },
    RemoveItem { product: i64 },
    ClearCart,
}

impl Deed for OrderDeed {
    async fn done(&self, conn: &mut PgConnection, acting: &Acting) -> Result<Answer, Stop> {
        let cx = &acting.context();
        let order = |order: Result<Order, OrderError>| answer(StatusCode::OK, order);
        match self {
            OrderDeed::Place(new) => answer(StatusCode::CREATED, orders::place(conn, cx, new).await),
            OrderDeed::Cancel { order: id, note } => order(orders::cancel(conn, cx, *id, note.as_deref()).await),
            OrderDeed::Approve { order: id, note } => order(orders::approve(conn, cx, *id, note.as_deref()).await),
            OrderDeed::Reject { order: id, note } => order(orders::reject(conn, cx, *id, note.as_deref()).await),
            OrderDeed::PutItem { product, quantity, unit } => {
                answer(StatusCode::OK, carts::put(conn, cx, *product, *quantity, unit.as_deref()).await)
            }
            OrderDeed::RemoveItem { product } => answer(StatusCode::OK, carts::remove(conn, cx, *product).await),
            OrderDeed::ClearCart => answer(StatusCode::OK, carts::empty(conn, cx).await),
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
