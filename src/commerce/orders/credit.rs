//! What a dealer's account bears. The one place where orders ask for it.

use chrono::NaiveDate;
use rust_decimal::Decimal;
use sqlx::PgConnection;

use crate::{
    commerce::{account, orders::queries},
    principal::Scope,
};

/// The state of a dealer's account, in the currency of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credit {
    /// `None`: no limit is set.
    pub limit: Option<Decimal>,
    /// Owed, or ordered and not yet invoiced.
    pub used: Decimal,
    pub overdue: Decimal,
    /// The limit is in the currency of the order. One in another currency says nothing about it.
    pub same_currency: bool,
}

impl Credit {
    pub fn is_exceeded_by(&self, more: Decimal) -> bool {
        self.limit.is_some_and(|limit| !self.same_currency || self.used + more > limit)
    }
}

/// The account as it is now. With a limit the dealer's row is locked until the transaction ends, so that two orders cannot
/// use up the same credit.
pub(super) async fn ask(
    conn: &mut PgConnection,
    customer: i64,
    has_limit: bool,
    currency: &str,
    today: NaiveDate,
) -> Result<Credit, sqlx::Error> {
    if has_limit {
        queries::lock_customer(conn, customer).await?;
    }
    let Some(risk) = account::risk(conn, Scope::company(customer), customer, today).await? else {
        return Err(sqlx::Error::RowNotFound);
    };
    let same_currency = risk.currency == currency;
    let overdue = risk.own.overdue + risk.others.iter().map(|other| other.overdue).sum::<Decimal>();
    Ok(Credit { limit: risk.credit_limit, used: risk.own.total(), overdue, same_currency })
}
