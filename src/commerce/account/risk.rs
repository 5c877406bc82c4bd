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
    /// Ordered and not yet invoiced, with VAT; not what waits for a card payment: nothing is owed for it.
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

/// The risk of a customer on a day; `None` when the scope does not cover it or it is not there.
pub async fn risk(
    conn: &mut PgConnection,
    scope: Scope,
    customer_id: i64,
    today: NaiveDate,
) -> Result<Option<Risk>, sqlx::Error> {
    if !scope.covers(customer_id) {
        return Ok(None);
    }
    let terms =
        sqlx::query_as!(Terms, "select currency, credit_limit from commerce.customer where id = $1", customer_id)
            .fetch_optional(&mut *conn)
            .await?;
    match terms {
        Some(terms) => Ok(Some(reckoned(conn, customer_id, terms, today, Undecided::Counted).await?)),
        None => Ok(None),
    }
}

/// The same for who decides by it: the customer's row is locked until the transaction ends, and nobody's movement or order
/// is half seen.
pub async fn risk_locked(
    conn: &mut PgConnection,
    customer_id: i64,
    today: NaiveDate,
    undecided: Undecided,
) -> Result<Option<Risk>, sqlx::Error> {
    let terms = sqlx::query_as!(
        Terms,
        "select currency, credit_limit from commerce.customer where id = $1 for no key update",
        customer_id,
    )
    .fetch_optional(&mut *conn)
    .await?;
    match terms {
        Some(terms) => Ok(Some(reckoned(conn, customer_id, terms, today, undecided).await?)),
        None => Ok(None),
    }
}

/// Whether orders count that wait for somebody's approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undecided {
    /// A new order has to find its place beside them.
    Counted,
    /// One of them is approved: what the others come to is decided when they are.
    Left,
}

struct Terms {
    currency: String,
    credit_limit: Option<Decimal>,
}

async fn reckoned(
    conn: &mut PgConnection,
    customer_id: i64,
    terms: Terms,
    today: NaiveDate,
    undecided: Undecided,
) -> Result<Risk, sqlx::Error> {
    let mut sums: Vec<CurrencyRisk> = sqlx::query_file_as!(
        CurrencyRisk,
        "src/commerce/account/sql/risk.sql",
        customer_id,
        today,
        undecided == Undecided::Counted,
    )
    .fetch_all(&mut *conn)
    .await?;
    let own = match sums.iter().position(|sum| sum.currency == terms.currency) {
        Some(place) => sums.swap_remove(place),
        None => CurrencyRisk { currency: terms.currency.clone(), ..CurrencyRisk::default() },
    };
    sums.sort_by(|one, other| one.currency.cmp(&other.currency));
    Ok(Risk { customer_id, currency: terms.currency, credit_limit: terms.credit_limit, own, others: sums })
}
