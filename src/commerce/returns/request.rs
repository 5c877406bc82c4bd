//! Asking for a return.

use std::collections::{HashMap, HashSet};

use rust_decimal::Decimal;
use sqlx::PgConnection;

use super::{
    error::{NamedFault, ReturnError},
    moves::{Move, Told, note_move, tell},
    state::{ReturnReason, ReturnState},
};
use crate::{
    commerce::{check, orders::istanbul_day, units::usual_decimals},
    money,
    outbox::{EventType, Provenance},
    principal::Scope,
};

/// What somebody wants to send back.
#[derive(Debug, Clone)]
pub struct NewReturn {
    pub order: i64,
    pub reason: ReturnReason,
    pub note: Option<String>,
    pub lines: Vec<NewReturnLine>,
}

#[derive(Debug, Clone)]
pub struct NewReturnLine {
    pub order_line: i64,
    /// In the unit of the order's line.
    pub quantity: Decimal,
    /// `None`: that of the whole return.
    pub reason: Option<ReturnReason>,
    pub note: Option<String>,
}

const MOST_LINES: usize = 500;

/// A line of the order as a return must know it.
struct Delivered {
    unit: Option<String>,
    decimals: Option<i16>,
    delivered: Decimal,
    asked: Decimal,
}

/// Asks for a return of lines of one order; gives its id. `by.origin` is the principal's actor.
pub async fn request(
    conn: &mut PgConnection,
    by: &Provenance<'_>,
    scope: Scope,
    new: &NewReturn,
) -> Result<i64, ReturnError> {
    // Under the order's lock: two that ask at once for the last piece go one after the other.
    let customer = sqlx::query_scalar!(
        "select customer_id from commerce.sales_order where id = $1 and ($2 or customer_id = $3) for no key update",
        new.order,
        scope.is_house(),
        scope.company_id(),
    )
    .fetch_optional(&mut *conn)
    .await?
    .ok_or(ReturnError::NotFound("order"))?;
    let faults = faults_of(new, &delivered(conn, new.order).await?);
    if !faults.is_empty() {
        return Err(ReturnError::Invalid(faults));
    }
    let day = istanbul_day(by.now).format("%Y%m%d").to_string();
    let state = ReturnState::Requested.as_str();
    let inserted = sqlx::query!(
        r#"insert into commerce.return_request (
               customer_id, order_id, created_at, updated_at, number, state, reason, note, created_by, updated_by)
           select $1, $2, $3, $3, 'RMA' || $4 || lpad(n.text, greatest(4, length(n.text)), '0'), $5, $6, $7, $8, $8
           from (select nextval('commerce.return_number_seq')::text as text) n
           returning id, number"#,
        customer,
        new.order,
        by.now,
        day,
        state,
        new.reason.as_str(),
        new.note.as_deref().filter(|note| !note.is_empty()),
        by.origin,
    )
    .fetch_one(&mut *conn)
    .await?;
    let positions: Vec<i16> = (1_i16..).take(new.lines.len()).collect();
    sqlx::query!(
        "insert into commerce.return_line (return_id, position, order_line_id, quantity, reason, note)
         select $1, l.* from unnest($2::smallint[], $3::bigint[], $4::numeric[], $5::text[], $6::text[]) as l",
        inserted.id,
        &positions,
        &new.lines.iter().map(|line| line.order_line).collect::<Vec<_>>(),
        &new.lines.iter().map(|line| line.quantity).collect::<Vec<_>>(),
        &new.lines.iter().map(|line| line.reason.map(ReturnReason::as_str)).collect::<Vec<_>>() as _,
        &new.lines.iter().map(|line| line.note.as_deref().filter(|note| !note.is_empty())).collect::<Vec<_>>() as _,
    )
    .execute(&mut *conn)
    .await?;
    let (id, number) = (inserted.id, inserted.number.as_str());
    let told = Told { id, number, customer_id: customer, order_id: new.order, state, revision: 1 };
    tell(conn, by, EventType::ReturnRequested, &told).await?;
    let asked = Move { revision: 1, from: None, to: ReturnState::Requested, action: "return.requested", note: None };
    note_move(conn, by, id, &asked).await?;
    Ok(id)
}

async fn delivered(conn: &mut PgConnection, order: i64) -> Result<HashMap<i64, Delivered>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select l.id, l.unit, u.decimals as "decimals?", l.delivered,
               coalesce((
                   select sum(r.quantity)
                   from commerce.return_line r
                   join commerce.return_request h on h.id = r.return_id and h.state <> 'rejected'
                   where r.order_line_id = l.id), 0) as "asked!"
           from commerce.sales_order_line l
           left join commerce.effective_product_unit u on u.product_id = l.product_id and u.unit = l.unit
           where l.order_id = $1 and l.kind = 'product'"#,
        order,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let (unit, decimals, delivered, asked) = (row.unit, row.decimals, row.delivered, row.asked);
            (row.id, Delivered { unit, decimals, delivered, asked })
        })
        .collect())
}

fn faults_of(new: &NewReturn, known: &HashMap<i64, Delivered>) -> Vec<NamedFault> {
    let mut faults = Vec::new();
    if new.lines.is_empty() || new.lines.len() > MOST_LINES {
        let message = format!("a return has 1 to {MOST_LINES} lines, not {}", new.lines.len());
        return vec![NamedFault::new("lines", "out_of_range", message)];
    }
    let mut text = |field: String, note: &Option<String>, most| {
        if let Err(violation) = check::text("note", note.as_deref().unwrap_or_default(), most) {
            faults.push(NamedFault::new(field, violation.rule, violation.detail));
        }
    };
    text("note".to_owned(), &new.note, 2000);
    for (at, line) in new.lines.iter().enumerate() {
        text(format!("lines[{at}].note"), &line.note, 500);
    }
    let mut seen = HashSet::new();
    for (at, line) in new.lines.iter().enumerate() {
        let Some(known) = known.get(&line.order_line) else {
            let message = "is no line of this order that goods were ordered in";
            faults.push(NamedFault::new(format!("lines[{at}].orderLineId"), "missing_reference", message));
            continue;
        };
        if !seen.insert(line.order_line) {
            let message = "is named twice; add the quantities up";
            faults.push(NamedFault::new(format!("lines[{at}].orderLineId"), "unique", message));
        } else if let Some((code, message)) = known.fault(line.quantity) {
            faults.push(NamedFault::new(format!("lines[{at}].quantity"), code, message));
        }
    }
    faults
}

impl Delivered {
    fn fault(&self, quantity: Decimal) -> Option<(&'static str, String)> {
        let asked = quantity.normalize();
        if asked <= Decimal::ZERO {
            return Some(("not_positive", format!("{asked} is not above 0")));
        }
        let usual = || self.unit.as_deref().map_or(0, usual_decimals);
        let decimals = self.decimals.unwrap_or_else(usual).max(0).unsigned_abs();
        if money::QUANTITY.fit(asked).is_none() {
            return Some(("out_of_range", format!("{asked} is more than there can be")));
        }
        if asked.scale() > u32::from(decimals) {
            let unit = self.unit.as_deref().unwrap_or("the product");
            return Some(("fraction", format!("{unit} has at most {decimals} decimals, not {asked}")));
        }
        let left = (self.delivered - self.asked).max(Decimal::ZERO).normalize();
        let delivered = self.delivered.normalize();
        (asked > left).then(|| {
            ("too_many", format!("{asked} is more than the {left} that may come back of {delivered} delivered"))
        })
    }
}
