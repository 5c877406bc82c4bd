//! Why nothing became of what was asked of a return.

use super::state::ReturnState;
use crate::commerce::CommandError;
pub use crate::commerce::orders::NamedFault;
use crate::commerce::orders::OrderError;

#[derive(Debug, thiserror::Error)]
pub enum ReturnError {
    /// What was sent breaks rules; all of them at once.
    #[error("{} of what was sent cannot be returned", .0.len())]
    Invalid(Vec<NamedFault>),
    /// None, or none that this caller may see.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    #[error("the return is {from} and cannot become {to}")]
    Forbidden { from: ReturnState, to: ReturnState },
    #[error(transparent)]
    Command(#[from] CommandError),
}

/// Of the order that a return is of, whose state the return has made certain of.
impl From<OrderError> for ReturnError {
    fn from(error: OrderError) -> ReturnError {
        match error {
            OrderError::Database(error) => error.into(),
            OrderError::Event(error) => error.into(),
            other => ReturnError::Command(CommandError::Database(sqlx::Error::Protocol(other.to_string()))),
        }
    }
}

impl From<sqlx::Error> for ReturnError {
    fn from(error: sqlx::Error) -> ReturnError {
        ReturnError::Command(error.into())
    }
}

impl From<serde_json::Error> for ReturnError {
    fn from(error: serde_json::Error) -> ReturnError {
        ReturnError::Command(error.into())
    }
}
