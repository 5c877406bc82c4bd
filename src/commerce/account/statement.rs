//! The statement of an account: what it stood at, what moved, what it stands at. A book that was carried over after the last day
//! is shown with its own movements; with the opening of the next one in the period, that stands for them.

use chrono::NaiveDate;
use rust_decimal::{Decimal, serde::arbitrary_precision};
use serde::Serialize;
use sqlx::PgConnection;
use utoipa::ToSchema;

use super::{Movement, Period};
use crate::principal::Scope;

/// The most movements of one statement.
pub const MOST_MOVEMENTS: usize = 20_000;

/// The account of a customer in one currency, over a period of days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Statement {
    pub customer_id: i64,
    pub customer_code: String,
    pub customer_title: String,
    pub currency: String,
    pub from: NaiveDate,
    pub to: NaiveDate,
    /// The balance before the first day.
    #[serde(with = "arbitrary_precision")]
    #[schema(value_type = f64)]
    pub opening_balance: Decimal,
    /// Oldest first.
    pub movements: Vec<StatementLine>,
    #[serde(with = "arbitrary_precision")]
    #[schema(value_type = f64)]
    pub total_debit: Decimal,
    #[serde(with = "arbitrary_precision")]
    #[schema(value_type = f64)]
    pub total_credit: Decimal,
    /// The balance after the last day: opening + debit − credit.
    #[serde(with = "arbitrary_precision")]
    #[schema(value_type = f64)]
    pub closing_balance: Decimal,
}

/// A movement and the balance behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatementLine {
    #[serde(flatten)]
    pub movement: Movement,
    #[serde(with = "arbitrary_precision")]
    #[schema(value_type = f64)]
    pub balance: Decimal,
}

#[derive(Debug, thiserror::Error)]
pub enum StatementError {
    #[error(
        "the period has more than {MOST_MOVEMENTS} movements, which is more than one statement shows; ask for a shorter one"
    )]
    TooMany,
    #[error("the store did not answer")]
    Database(#[from] sqlx::Error),
}

/// `currency`: the customer's own if it is left out. `None`: the scope does not cover the customer, or it is not there.
pub async fn statement(
    conn: &mut PgConnection,
    scope: Scope,
    customer_id: i64,
    period: Period,
    currency: Option<&str>,
) -> Result<Option<Statement>, StatementError> {
    if !scope.covers(customer_id) {
        return Ok(None);
    }
    let head = sqlx::query!(
        r#"select c.code, c.title, coalesce($3, c.currency) as "currency!",
               coalesce(sum(e.debit - e.credit), 0) as "opening!"
           from commerce.customer c
           left join commerce.ledger_standing e
               on e.customer_id = c.id and e.booked_at < $2 and e.currency = coalesce($3, c.currency)
                   and not exists (
                       select from commerce.ledger_entry o
                       where o.customer_id = e.customer_id and o.origin = e.origin and o.currency = e.currency
                           and o.book > e.book and o.kind = 'opening' and not o.is_cancelled and not o.is_provisional
                           and o.booked_at <= $4)
           where c.id = $1
           group by c.id"#,
        customer_id,
        period.from(),
        currency,
        period.to(),
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(head) = head else { return Ok(None) };
    let movements = sqlx::query_as!(
        Movement,
        r#"select id as "id!", kind as "kind!", booked_at as "booked_at!", due_date, document_number, description,
             reference, order_id, currency as "currency!", debit as "debit!", credit as "credit!",
             is_provisional as "is_provisional!"
         from commerce.ledger_standing e
         where customer_id = $1 and booked_at between $2 and $3 and currency = $4
             and not exists (
                 select from commerce.ledger_entry o
                 where o.customer_id = e.customer_id and o.origin = e.origin and o.currency = e.currency
                     and o.book > e.book and o.kind = 'opening' and not o.is_cancelled and not o.is_provisional
                     and o.booked_at <= $3)
         order by booked_at, id
         limit $5"#,
        customer_id,
        period.from(),
        period.to(),
        head.currency,
        MOST_MOVEMENTS as i64 + 1,
    )
    .fetch_all(&mut *conn)
    .await?;
    if movements.len() > MOST_MOVEMENTS {
        return Err(StatementError::TooMany);
    }
    let mut balance = head.opening;
    let lines: Vec<StatementLine> = movements
        .into_iter()
        .map(|movement| {
            balance += movement.debit - movement.credit;
            StatementLine { movement, balance }
        })
        .collect();
    Ok(Some(Statement {
        customer_id,
        customer_code: head.code,
        customer_title: head.title,
        currency: head.currency,
        from: period.from(),
        to: period.to(),
        opening_balance: head.opening,
        total_debit: lines.iter().map(|line| line.movement.debit).sum(),
        total_credit: lines.iter().map(|line| line.movement.credit).sum(),
        movements: lines,
        closing_balance: balance,
    }))
}
