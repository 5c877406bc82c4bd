//! How much a customer owes and may come to owe, against its credit limit.

use chrono::NaiveDate;
use rust_decimal::Decimal;
use sqlx::PgConnection;

use crate::principal::Scope;

/// The risk of a customer. The limit is in the customer's currency, and holds for what is in that currency alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Risk {
    pub customer_id: i64,
    pub currency: String,
    /// Null: no limit is set.
    pub credit_limit: Option<Decimal>,
    /// Of the customer's currency.
    pub own: CurrencyRisk,
    /// Of every other currency in which there is something.
    pub others: Vec<CurrencyRisk>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CurrencyRisk {
    pub currency: String,
    /// The ERP's movements.
    pub booked: Decimal,
    /// Movements of ours that the ERP has no row for yet.
    pub provisional: Decimal,
    /// Ordered and not invoiced.
    pub exposure: Decimal,
    /// Due and not covered by any credit.
    pub overdue: Decimal,
}

impl CurrencyRisk {
    pub fn balance(&self) -> Decimal {
        self.booked + self.provisional
    }

    pub fn total(&self) -> Decimal {
        self.balance() + self.exposure
    }
}

impl Risk {
    /// What may still be ordered on credit; never below 0. `None`: as much as anybody likes.
    pub fn available(&self) -> Option<Decimal> {
        self.credit_limit.map(|limit| (limit - self.own.total()).max(Decimal::ZERO))
    }

    /// Whether this much more, in the customer's currency, goes beyond the limit.
    pub fn is_exceeded_by(&self, more: Decimal) -> bool {
        self.credit_limit.is_some_and(|limit| self.own.total() + more > limit)
    }
}

/// What is open of a customer in one currency: ordered and not yet invoiced, with VAT.
///
/// Not what waits for a card payment: nothing is owed for it. Read under the customer's row lock by who decides by it.
pub async fn exposure(conn: &mut PgConnection, customer_id: i64) -> Result<Vec<(String, Decimal)>, sqlx::Error> {
    let rows = sqlx::query_file!("src/commerce/account/sql/exposure.sql", customer_id).fetch_all(conn).await?;
    Ok(rows.into_iter().map(|row| (row.currency, row.exposure)).collect())
}

/// The risk of a customer on a day; `None` when the scope does not cover it or it is not there.
///
/// Who decides by it holds the customer's row lock; nobody's movement or order is then half seen.
pub async fn risk(
    conn: &mut PgConnection,
    scope: Scope,
    customer_id: i64,
    today: NaiveDate,
) -> Result<Option<Risk>, sqlx::Error> {
    if !scope.covers(customer_id) {
        return Ok(None);
    }
    let customer = sqlx::query!("select currency, credit_limit from commerce.customer where id = $1", customer_id)
        .fetch_optional(&mut *conn)
        .await?;
    let Some(customer) = customer else { return Ok(None) };
    let mut sums: Vec<CurrencyRisk> =
        sqlx::query_file_as!(CurrencyRisk, "src/commerce/account/sql/risk.sql", customer_id, today)
            .fetch_all(&mut *conn)
            .await?;
    let own = match sums.iter().position(|sum| sum.currency == customer.currency) {
        Some(place) => sums.swap_remove(place),
        None => CurrencyRisk { currency: customer.currency.clone(), ..CurrencyRisk::default() },
    };
    sums.sort_by(|one, other| one.currency.cmp(&other.currency));
    Ok(Some(Risk { customer_id, currency: customer.currency, credit_limit: customer.credit_limit, own, others: sums }))
}
