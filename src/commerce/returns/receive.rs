//! What comes back goes into a warehouse.

use rust_decimal::Decimal;
use sqlx::PgConnection;

use super::{
    decide::lock,
    error::{NamedFault, ReturnError},
    moves::{Move, note_move},
    state::ReturnState,
};
use crate::{
    commerce::{
        check, orders,
        stock::{self, Arrival},
    },
    money,
    outbox::Provenance,
};

/// Takes the goods of an approved return into the warehouse of this code.
pub async fn receive(
    conn: &mut PgConnection,
    by: &Provenance<'_>,
    id: i64,
    warehouse: &str,
    note: Option<&str>,
) -> Result<(), ReturnError> {
    let note = note.filter(|note| !note.is_empty());
    check::text("note", note.unwrap_or_default(), 2000)
        .map_err(|fault| ReturnError::Invalid(vec![NamedFault::new("note", fault.rule, fault.detail)]))?;
    let (from, revision) = lock(conn, id, ReturnState::Received).await?;
    let known = if check::text("warehouseCode", warehouse, 100).is_ok() {
        sqlx::query_scalar!(
            "select id from commerce.warehouse where code = $1 and is_active and deleted_at is null",
            warehouse
        )
        .fetch_optional(&mut *conn)
        .await?
    } else {
        None
    };
    let Some(warehouse_id) = known else {
        let message = "is no warehouse in use";
        return Err(ReturnError::Invalid(vec![NamedFault::new("warehouseCode", "missing_reference", message)]));
    };
    let lines = sqlx::query!(
        r#"select l.product_id as "product_id!", r.quantity, l.numerator, l.denominator
           from commerce.return_line r
           join commerce.sales_order_line l on l.id = r.order_line_id
           where r.return_id = $1 and l.product_id is not null"#,
        id,
    )
    .fetch_all(&mut *conn)
    .await?;
    let arrivals: Vec<Arrival> = lines
        .into_iter()
        .map(|line| {
            // Of quantities and factors that the store holds, so far below the largest decimal.
            let main = line.quantity.checked_mul(line.numerator).and_then(|n| n.checked_div(line.denominator));
            let quantity = money::round(main.unwrap_or(Decimal::ZERO), 4);
            Arrival { product: line.product_id, warehouse: warehouse_id, quantity }
        })
        .collect();
    let row = sqlx::query!(
        "update commerce.return_request
         set state = 'received', revision = $2, received_at = $3, warehouse_id = $4, updated_at = $3, updated_by = $5
         where id = $1
         returning order_id, handed_at",
        id,
        revision,
        by.now,
        warehouse_id,
        by.origin,
    )
    .fetch_one(&mut *conn)
    .await?;
    let to = ReturnState::Received;
    note_move(conn, by, id, &Move { revision, from: Some(from), to, action: "return.received", note }).await?;
    orders::came_back(conn, by, row.order_id).await?;
    // With a slip at the ERP the goods are in its figures.
    if row.handed_at.is_none() {
        stock::take_in(conn, by, "return", &arrivals).await?;
    }
    Ok(())
}
