//! What returns change in orders.

use sqlx::PgConnection;

use super::{
    State,
    error::OrderError,
    moves::{Change, lock, write},
    state::{Returned, everything_came_back},
};
use crate::{
    outbox::{EventType, Provenance},
    principal::Scope,
};

/// A return of this order was received, in the caller's transaction. When nothing of the order is left with the dealer, it is
/// `returned`.
pub(crate) async fn came_back(conn: &mut PgConnection, by: &Provenance<'_>, order: i64) -> Result<(), OrderError> {
    let held = lock(conn, Scope::house(), order).await?;
    let lines = sqlx::query_as!(
        Returned,
        r#"select l.ordered - l.cancelled as "wanted!", coalesce(sum(r.quantity) filter (where q.id is not null), 0) as "returned!"
           from commerce.sales_order_line l
           left join commerce.return_line r on r.order_line_id = l.id
           left join commerce.return_request q on q.id = r.return_id and q.state = 'received'
           where l.order_id = $1 and l.kind = 'product'
           group by l.id"#,
        order,
    )
    .fetch_all(&mut *conn)
    .await?;
    if !everything_came_back(&lines) || held.state()?.to(State::Returned).is_err() {
        return Ok(());
    }
    let change = Change {
        to: State::Returned,
        action: "returned",
        audited: "order.returned",
        events: &[EventType::OrderUpdated],
        cause: Some("returned"),
        note: None,
        detail: None,
    };
    write(conn, by, &held, &change, None).await
}
