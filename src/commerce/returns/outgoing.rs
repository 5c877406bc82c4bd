//! A return slip on its way to an ERP, and what the ERP makes of it.
//!
//! Invariants
//! - A return is handed over under its row's lock, before anything is sent. From then on its goods are in the ERP's book, and
//!   receiving them adds nothing to ours: a quantity that both added would be sold twice.
//! - It goes back at what the order's line cost: the same price and discount, rounded as the order was.
//! - `sent_at` and the ERP's number are set once.

use rust_decimal::Decimal;
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::{
    error::{NamedFault, ReturnError},
    moves::{Move, note_move},
    state::ReturnState,
};
use crate::{
    commerce::orders::{
        lines::LineKind,
        totals::{self, Charge},
    },
    outbox::Provenance,
};

/// How a return stands towards the ERP.
#[derive(Debug, Clone, PartialEq)]
pub enum Handing {
    /// Its slip is to be made: what there is to tell.
    Ready(Value),
    /// The return was rejected, and its slip may be over there if it was on its way before.
    Rejected(Value),
    /// Its slip is over there, under this number.
    Sent(Option<String>),
    /// It was rejected before it was sent, or is none any more.
    NotWanted,
}

/// Hands a return over. It stays handed over until [`taken`] or [`given_back`].
pub async fn hand_over(conn: &mut PgConnection, by: &Provenance<'_>, id: i64) -> Result<Handing, ReturnError> {
    sqlx::query!(
        "update commerce.return_request set handed_at = $2
         where id = $1 and state in ('approved', 'received') and sent_at is null and handed_at is null",
        id,
        by.now,
    )
    .execute(&mut *conn)
    .await?;
    standing(conn, id).await
}

async fn standing(conn: &mut PgConnection, id: i64) -> Result<Handing, ReturnError> {
    let row = sqlx::query!(
        r#"select state, sent_at is not null as "is_sent!", external_number
           from commerce.return_request where id = $1"#,
        id,
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(row) = row else { return Ok(Handing::NotWanted) };
    if row.is_sent {
        return Ok(Handing::Sent(row.external_number));
    }
    Ok(match ReturnState::parse(&row.state) {
        Some(ReturnState::Approved | ReturnState::Received) => Handing::Ready(record(conn, id).await?),
        Some(ReturnState::Rejected) => Handing::Rejected(record(conn, id).await?),
        Some(ReturnState::Requested) | None => Handing::NotWanted,
    })
}

/// A line of the order, as it is returned.
struct Returned {
    position: i16,
    product_id: Option<i64>,
    code: String,
    sku: Option<String>,
    name: String,
    unit: Option<String>,
    quantity: Decimal,
    numerator: Decimal,
    denominator: Decimal,
    vat_included: bool,
    price: Decimal,
    vat_rate: Decimal,
    discount_rate: Decimal,
    reason: String,
}

async fn record(conn: &mut PgConnection, id: i64) -> Result<Value, ReturnError> {
    let mut record: Value =
        sqlx::query_file_scalar!("src/commerce/returns/sql/outgoing.sql", id).fetch_one(&mut *conn).await?;
    let returned = sqlx::query_as!(
        Returned,
        r#"select r.position, l.product_id, l.code, l.sku, l.name, l.unit, r.quantity, l.numerator, l.denominator,
               l.vat_included, case when l.vat_included then l.listed_price else l.unit_price end as "price!", l.vat_rate,
               -- Of what an ERP priced anew the discount is what its figures say.
               case when l.agreed_quantity is null or l.amount = 0 then coalesce(d.rate, 0)
                    else round(l.discount / l.amount * 100, 4) end as "discount_rate!", coalesce(r.reason, h.reason) as "reason!"
           from commerce.return_line r
           join commerce.return_request h on h.id = r.return_id
           join commerce.sales_order_line l on l.id = r.order_line_id
           left join commerce.sales_order_discount d on d.line_id = l.id and d.position = 1
           where r.return_id = $1
           order by r.position"#,
        id,
    )
    .fetch_all(conn)
    .await?;
    let mut lines = Vec::with_capacity(returned.len());
    let mut total = Decimal::ZERO;
    for line in &returned {
        let charge = Charge {
            kind: LineKind::Product,
            quantity: line.quantity,
            price: line.price,
            vat_included: line.vat_included,
            vat_rate: line.vat_rate,
            discount_rate: line.discount_rate,
        };
        let cost = totals::line(&charge).map_err(|error| {
            let field = format!("lines[{}].quantity", line.position - 1);
            ReturnError::Invalid(vec![NamedFault::new(field, "out_of_range", error.to_string())])
        })?;
        total += cost.vat_base + cost.vat;
        lines.push(json!({
            "kind": "product", "position": line.position, "productId": line.product_id, "ourCode": line.code,
            "sku": line.sku, "name": line.name, "unit": line.unit, "quantity": line.quantity,
            "numerator": line.numerator, "denominator": line.denominator, "vatIncluded": line.vat_included,
            "price": line.price, "vatRate": line.vat_rate, "amount": cost.amount, "vat": cost.vat,
            "reason": line.reason,
        }));
        if !line.discount_rate.is_zero() {
            lines.push(json!({ "kind": "discount", "rate": line.discount_rate, "amount": cost.discount }));
        }
    }
    record["lines"] = lines.into();
    record["total"] = json!(total);
    Ok(record)
}

/// Returns that nobody was told of yet.
pub async fn untold(conn: &mut PgConnection) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar!(
        "select id from commerce.return_request where state = 'approved' and handed_at is null and sent_at is null order by id"
    )
    .fetch_all(conn)
    .await
}

/// The ERP has the slip, under this number.
pub async fn taken(
    conn: &mut PgConnection,
    by: &Provenance<'_>,
    id: i64,
    number: Option<&str>,
) -> Result<(), ReturnError> {
    let row = sqlx::query!(
        "update commerce.return_request
         set sent_at = $2, handed_at = coalesce(handed_at, $2), external_number = $3, revision = revision + 1, updated_at = $2,
             updated_by = $4
         where id = $1 and sent_at is null and decided_at is not null
         returning state, revision",
        id,
        by.now,
        number,
        by.origin,
    )
    .fetch_optional(&mut *conn)
    .await?;
    match row {
        Some(row) => noted(conn, by, id, (&row.state, row.revision), ("return.sent", number)).await,
        None => Ok(()),
    }
}

/// The ERP did not take the slip, for sure.
pub async fn given_back(conn: &mut PgConnection, id: i64) -> Result<(), ReturnError> {
    sqlx::query!("update commerce.return_request set handed_at = null where id = $1 and sent_at is null", id)
        .execute(conn)
        .await?;
    Ok(())
}

/// The ERP cancelled the slip of a return that was rejected.
pub async fn withdrawn(conn: &mut PgConnection, by: &Provenance<'_>, id: i64) -> Result<(), ReturnError> {
    let row = sqlx::query!(
        "update commerce.return_request
         set withdrawn_at = $2, revision = revision + 1, updated_at = $2, updated_by = $3
         where id = $1 and withdrawn_at is null and sent_at is not null
         returning state, revision",
        id,
        by.now,
        by.origin,
    )
    .fetch_optional(&mut *conn)
    .await?;
    match row {
        Some(row) => noted(conn, by, id, (&row.state, row.revision), ("return.withdrawn", None)).await,
        None => Ok(()),
    }
}

/// Notes what changed of a return without moving it.
async fn noted(
    conn: &mut PgConnection,
    by: &Provenance<'_>,
    id: i64,
    (state, revision): (&str, i64),
    (action, note): (&'static str, Option<&str>),
) -> Result<(), ReturnError> {
    let state = ReturnState::parse(state).ok_or(ReturnError::NotFound("return"))?;
    note_move(conn, by, id, &Move { revision, from: Some(state), to: state, action, note }).await?;
    Ok(())
}

/// Whether it was rejected and its slip stands over there.
pub async fn is_to_be_withdrawn(conn: &mut PgConnection, id: i64) -> Result<bool, ReturnError> {
    let wanted = sqlx::query_scalar!(
        r#"select state = 'rejected' and sent_at is not null and withdrawn_at is null as "wanted!"
           from commerce.return_request where id = $1"#,
        id,
    )
    .fetch_optional(conn)
    .await?;
    Ok(wanted.unwrap_or(false))
}
