//! Why nothing became of what was asked of an order.

use rust_decimal::Decimal;

use super::{lines::Fault, state::Forbidden};

/// One thing that is wrong, and where: `lines[3].quantity`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedFault {
    pub field: String,
    /// The rule, for programs.
    pub code: &'static str,
    pub message: String,
}

impl NamedFault {
    pub(crate) fn new(field: impl Into<String>, code: &'static str, message: impl Into<String>) -> NamedFault {
        NamedFault { field: field.into(), code, message: message.into() }
    }

    /// A fault of the line `list[index]`.
    pub(crate) fn of_line(list: &str, index: usize, fault: Fault) -> NamedFault {
        NamedFault::new(format!("{list}[{index}].{}", fault.field), fault.code, fault.message)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// What was sent breaks rules; all of them at once.
    #[error("{} of what was sent cannot be ordered", .0.len())]
    Invalid(Vec<NamedFault>),
    /// The stock does not suffice.
    #[error("there is not enough in stock for {} lines", .0.len())]
    NotEnough(Vec<NamedFault>),
    /// The cart is not what its user saw last.
    #[error("{} items of the cart have changed", .0.len())]
    Changed(Vec<NamedFault>),
    #[error("the cart is empty")]
    CartEmpty,
    /// Who asks belongs to no dealer company, and carts are of dealers.
    #[error("only users of a dealer company have a cart; name customerId and lines")]
    NoCart,
    /// None, or none that this caller may see.
    #[error("there is no customer {0}")]
    UnknownCustomer(i64),
    #[error("the customer may not order: it is {0}")]
    CustomerBarred(&'static str),
    #[error("the order of {total} goes beyond the credit limit of {limit}; {used} of it is used")]
    OverLimit { limit: Decimal, used: Decimal, total: Decimal },
    #[error("{overdue} is overdue; nothing can be ordered on account until it is paid")]
    Overdue { overdue: Decimal },
    /// None, or none that this caller may see.
    #[error("there is no such order")]
    NotFound,
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    #[error("the store refused the order")]
    Database(#[from] sqlx::Error),
    #[error("an event could not be written as JSON")]
    Event(#[from] serde_json::Error),
}
