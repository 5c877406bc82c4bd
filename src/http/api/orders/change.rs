//! Placing an order, and what is decided about it.

use axum::{extract::Path, response::Response};
use bytes::Bytes;

use super::shapes::{DecisionIn, OrderIn};
use crate::{
    commerce::orders::Order,
    http::{
        api::{acting::Acting, ordering::OrderDeed, sent::Sent},
        idempotency::Idempotent,
        openapi::{Denied, ProblemDocument},
        problem::Problem,
    },
    principal::Permission,
};

/// Places an order, all of it or nothing.
///
/// It is priced again, its stock is reserved, the dealer's account is asked. What is wrong with lines is told for each of
/// them. `confirmed` follows at once, or the order waits: `pending_approval` for a person of the house (see
/// `approvalReasons`), `pending_payment` for the card.
#[utoipa::path(
    post,
    path = "/api/v1/orders",
    tag = "orders",
    operation_id = "placeOrder",
    security(("bearer" = []), ("apiKey" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")),
    request_body = OrderIn,
    responses(
        (status = 201, description = "Placed", body = Order),
        (
            status = 400,
            description = "What cannot be ordered, line by line: `not_positive`, `fraction`, `out_of_range`, `below_minimum`, \
                `not_a_multiple`, `unknown_unit`, `unknown_product`, `unknown_sku`, `product_inactive`, `no_price`, \
                `currency_mixed`, `ambiguous`, `required`, `too_many`, `too_long`, `unknown_address`",
            body = ProblemDocument,
            content_type = "application/problem+json"
        ),
        (status = 404, description = "No such customer", body = ProblemDocument, content_type = "application/problem+json"),
        (
            status = 409,
            description = "`insufficient_stock` (which lines), `cart_changed` (which items cost more than was shown), \
                `cart_empty`, `customer_barred`, `credit_limit_exceeded`, `payment_overdue`, or the same request is under way",
            body = ProblemDocument,
            content_type = "application/problem+json"
        ),
        Denied
    )
)]
pub(super) async fn place(acting: Acting, request: Idempotent, sent: Sent<OrderIn>) -> Result<Response, Problem> {
    acting.require(Permission::OrdersCreate)?;
    let deed = OrderDeed::Place(sent.value.asked()?);
    acting.perform(&request, &sent.bytes, deed).await
}

/// Cancels an order and gives back what it reserves. One that an ERP has already is asked to be cancelled there:
/// `cancelRequested` is true, and the state changes when it agrees.
#[utoipa::path(
    post,
    path = "/api/v1/orders/{id}/cancel",
    tag = "orders",
    operation_id = "cancelOrder",
    security(("bearer" = []), ("apiKey" = [])),
    params(
        ("id" = i64, Path, description = "The order's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")
    ),
    request_body(content = Option<DecisionIn>, description = "May be left out"),
    responses(
        (status = 200, description = "As it is now", body = Order),
        (status = 404, description = "None, or not yours", body = ProblemDocument, content_type = "application/problem+json"),
        (
            status = 409,
            description = "Its state does not allow it; `allowed` names the states that may follow",
            body = ProblemDocument,
            content_type = "application/problem+json"
        ),
        Denied
    )
)]
pub(super) async fn cancel(
    acting: Acting,
    request: Idempotent,
    Path(order): Path<i64>,
    body: Bytes,
) -> Result<Response, Problem> {
    decided(acting, &request, &body, Permission::OrdersCancel, |note| OrderDeed::Cancel { order, note }).await
}

/// Lets an order through that waits for approval: it is confirmed, or by card waits for its payment. On account the dealer's
/// account is asked again, for all that the order was not held for.
#[utoipa::path(
    post,
    path = "/api/v1/orders/{id}/approve",
    tag = "orders",
    operation_id = "approveOrder",
    security(("bearer" = []), ("apiKey" = [])),
    params(
        ("id" = i64, Path, description = "The order's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")
    ),
    request_body(content = Option<DecisionIn>, description = "May be left out"),
    responses(
        (status = 200, description = "As it is now", body = Order),
        (status = 404, description = "None", body = ProblemDocument, content_type = "application/problem+json"),
        (
            status = 409,
            description = "`state_conflict`: it does not wait for approval; `allowed` names the states that may follow. \
                `credit_limit_exceeded`, `payment_overdue`: the account does not bear it any more, and it was not held for that",
            body = ProblemDocument,
            content_type = "application/problem+json"
        ),
        Denied
    )
)]
pub(super) async fn approve(
    acting: Acting,
    request: Idempotent,
    Path(order): Path<i64>,
    body: Bytes,
) -> Result<Response, Problem> {
    decided(acting, &request, &body, Permission::OrdersApprove, |note| OrderDeed::Approve { order, note }).await
}

/// Turns down an order that waits for approval: it is cancelled, and what it reserves is given back.
#[utoipa::path(
    post,
    path = "/api/v1/orders/{id}/reject",
    tag = "orders",
    operation_id = "rejectOrder",
    security(("bearer" = []), ("apiKey" = [])),
    params(
        ("id" = i64, Path, description = "The order's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "Which request this is, should it be sent again")
    ),
    request_body(content = Option<DecisionIn>, description = "May be left out"),
    responses(
        (status = 200, description = "As it is now", body = Order),
        (status = 404, description = "None", body = ProblemDocument, content_type = "application/problem+json"),
        (
            status = 409,
            description = "It does not wait for approval; `allowed` names the states that may follow",
            body = ProblemDocument,
            content_type = "application/problem+json"
        ),
        Denied
    )
)]
pub(super) async fn reject(
    acting: Acting,
    request: Idempotent,
    Path(order): Path<i64>,
    body: Bytes,
) -> Result<Response, Problem> {
    decided(acting, &request, &body, Permission::OrdersApprove, |note| OrderDeed::Reject { order, note }).await
}

/// What is decided about an order, with the note that the body may hold.
async fn decided(
    acting: Acting,
    request: &Idempotent,
    body: &Bytes,
    permission: Permission,
    deed: impl FnOnce(Option<String>) -> OrderDeed,
) -> Result<Response, Problem> {
    acting.require(permission)?;
    let note = DecisionIn::read(body)?;
    acting.perform(request, body, deed(note)).await
}
