//! What a customer sees of its account: balances and movements.

use chrono::NaiveDate;
use rust_decimal::{Decimal, serde::arbitrary_precision};
use serde::Serialize;
use sqlx::PgConnection;
use utoipa::ToSchema;

use super::{
    EntryKind,
    periods::{BadPeriod, ordered},
    risk::risk,
};
use crate::{
    page::{BadPage, Page, PageRequest},
    principal::Scope,
};

/// Where a customer stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Balance {
    pub customer_id: i64,
    /// The currency of the limit and of what is reckoned against it.
    pub currency: String,
    /// Null: no limit is set.
    #[serde(with = "rust_decimal::serde::arbitrary_precision_option")]
    #[schema(value_type = Option<f64>)]
    pub credit_limit: Option<Decimal>,
    /// Balance and open orders, in the currency of the limit.
    #[serde(with = "arbitrary_precision")]
    #[schema(value_type = f64)]
    pub risk: Decimal,
    /// What may still be ordered on credit; null: no limit is set.
    #[serde(with = "rust_decimal::serde::arbitrary_precision_option")]
    #[schema(value_type = Option<f64>)]
    pub available_credit: Option<Decimal>,
    /// The customer's own currency first.
    pub balances: Vec<BalanceLine>,
}

/// Where a customer stands in one currency. What it owes is above 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BalanceLine {
    pub currency: String,
    #[serde(with = "arbitrary_precision")]
    #[schema(value_type = f64)]
    pub balance: Decimal,
    /// How much of the balance the ERP has not booked yet.
    #[serde(with = "arbitrary_precision")]
    #[schema(value_type = f64)]
    pub provisional: Decimal,
    /// Due, and not covered by what was paid.
    #[serde(with = "arbitrary_precision")]
    #[schema(value_type = f64)]
    pub overdue: Decimal,
    /// Ordered and not invoiced yet, with VAT.
    #[serde(with = "arbitrary_precision")]
    #[schema(value_type = f64)]
    pub open_orders: Decimal,
    #[serde(with = "arbitrary_precision")]
    #[schema(value_type = f64)]
    pub risk: Decimal,
}

/// A movement as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Movement {
    pub id: i64,
    /// invoice, payment, return, refund, opening, adjustment or other
    pub kind: String,
    pub booked_at: NaiveDate,
    pub due_date: Option<NaiveDate>,
    pub document_number: Option<String>,
    pub description: Option<String>,
    /// The reference that it was made with.
    pub reference: Option<String>,
    pub order_id: Option<i64>,
    pub currency: String,
    #[serde(with = "arbitrary_precision")]
    #[schema(value_type = f64)]
    pub debit: Decimal,
    #[serde(with = "arbitrary_precision")]
    #[schema(value_type = f64)]
    pub credit: Decimal,
    /// The ERP has not booked it yet.
    pub is_provisional: bool,
}

/// Which movements are wanted; every field narrows.
#[derive(Debug, Clone, Default)]
pub struct MovementFilter {
    pub from: Option<NaiveDate>,
    pub to: Option<NaiveDate>,
    pub currency: Option<String>,
    pub kind: Option<EntryKind>,
}

/// Why a list cannot be given.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    #[error(transparent)]
    Page(#[from] BadPage),
    #[error(transparent)]
    Period(#[from] BadPeriod),
    #[error("the store did not answer")]
    Database(#[from] sqlx::Error),
}

/// `None`: the scope does not cover the customer, or it is not there.
pub async fn balance(
    conn: &mut PgConnection,
    scope: Scope,
    customer_id: i64,
    today: NaiveDate,
) -> Result<Option<Balance>, sqlx::Error> {
    let Some(risk) = risk(conn, scope, customer_id, today).await? else { return Ok(None) };
    let lines = std::iter::once(&risk.own).chain(&risk.others).map(|sum| BalanceLine {
        currency: sum.currency.clone(),
        balance: sum.balance(),
        provisional: sum.provisional,
        overdue: sum.overdue,
        open_orders: sum.exposure,
        risk: sum.total(),
    });
    Ok(Some(Balance {
        customer_id,
        credit_limit: risk.credit_limit,
        risk: risk.own.total(),
        available_credit: risk.available(),
        balances: lines.collect(),
        currency: risk.currency,
    }))
}

const LIST: &str = "account:transactions";

/// Movements that count, newest first.
pub async fn transactions(
    conn: &mut PgConnection,
    scope: Scope,
    customer_id: i64,
    filter: &MovementFilter,
    page: &PageRequest,
) -> Result<Page<Movement>, ListError> {
    ordered(filter.from, filter.to)?;
    let after: Option<(NaiveDate, i64)> = page.after(LIST)?;
    let (day, id) = after.unzip();
    let rows = sqlx::query_as!(
        Movement,
        r#"select id as "id!", kind as "kind!", booked_at as "booked_at!", due_date, document_number, description,
             reference, order_id, currency as "currency!", debit as "debit!", credit as "credit!",
             is_provisional as "is_provisional!"
         from commerce.ledger_standing e
         where customer_id = $1 and ($2 or customer_id = $3)
             -- Carried over by the last day that is asked for.
             and not exists (
                 select from commerce.ledger_entry o
                 where o.customer_id = e.customer_id and o.origin = e.origin and o.currency = e.currency
                     and o.book > e.book and o.kind = 'opening' and not o.is_cancelled and not o.is_provisional
                     and ($5::date is null or o.booked_at <= $5))
             and ($4::date is null or booked_at >= $4)
             and ($5::date is null or booked_at <= $5)
             and ($6::text is null or currency = $6)
             and ($7::text is null or kind = $7)
             and ($8::date is null or (booked_at, id) < ($8, $9))
         order by booked_at desc, id desc
         limit $10"#,
        customer_id,
        scope.is_house(),
        scope.company_id(),
        filter.from,
        filter.to,
        filter.currency,
        filter.kind.map(EntryKind::as_str),
        day,
        id,
        page.rows(),
    )
    .fetch_all(conn)
    .await?;
    Ok(page.page(LIST, rows, |row| (row.booked_at, row.id)))
}
