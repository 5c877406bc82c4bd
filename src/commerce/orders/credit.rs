//! What a dealer's account bears. The one place where orders ask for it.

use chrono::NaiveDate;
use rust_decimal::Decimal;
use sqlx::PgConnection;

use crate::commerce::account;
pub(super) use crate::commerce::account::Undecided;

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
    /// Of a dealer without a limit: only what is overdue counts.
    pub const fn unlimited(overdue: Decimal) -> Credit {
        Credit { limit: None, used: Decimal::ZERO, overdue, same_currency: true }
    }

    pub fn is_exceeded_by(&self, more: Decimal) -> bool {
        self.limit.is_some_and(|limit| !self.same_currency || self.used + more > limit)
    }
}

/// The account as it is now, the dealer's row locked until the transaction ends: two orders cannot use up the same credit.
pub(super) async fn ask(
    conn: &mut PgConnection,
    customer: i64,
    currency: &str,
    today: NaiveDate,
    undecided: Undecided,
) -> Result<Credit, sqlx::Error> {
    let Some(risk) = account::risk_locked(conn, customer, today, undecided).await? else {
        return Err(sqlx::Error::RowNotFound);
    };
    let same_currency = risk.currency == currency;
    let overdue = risk.own.overdue + risk.others.iter().map(|other| other.overdue).sum::<Decimal>();
    Ok(Credit { limit: risk.credit_limit, used: risk.own.total(), overdue, same_currency })
}
