//! Why a delivery could not be worked on over here.

use kopru_sdk::{Fault, Refusal};

use crate::commerce::{CommandError, orders::OrderError, returns::ReturnError};

#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    /// It is tried again.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// A rule of ours says no, and says it the next time as well: a person has to look.
    #[error("{reason}: {detail}")]
    Refused { reason: &'static str, detail: String },
}

impl From<CommandError> for Stopped {
    fn from(error: CommandError) -> Stopped {
        match error {
            CommandError::Database(error) => Stopped::Database(error),
            CommandError::Event(error) => Stopped::Refused { reason: "event_not_written", detail: error.to_string() },
        }
    }
}

impl From<OrderError> for Stopped {
    fn from(error: OrderError) -> Stopped {
        let reason = match error {
            OrderError::Database(error) => return Stopped::Database(error),
            OrderError::Event(error) => return CommandError::Event(error).into(),
            OrderError::NotFound => "order_missing",
            OrderError::Forbidden(_) => "move_forbidden",
            _ => "order_refused",
        };
        Stopped::Refused { reason, detail: error.to_string() }
    }
}

impl From<ReturnError> for Stopped {
    fn from(error: ReturnError) -> Stopped {
        let reason = match error {
            ReturnError::Command(error) => return error.into(),
            ReturnError::NotFound(_) => "return_missing",
            ReturnError::Forbidden { .. } => "move_forbidden",
            ReturnError::Invalid(_) => "return_refused",
        };
        Stopped::Refused { reason, detail: error.to_string() }
    }
}

impl From<Stopped> for Fault {
    fn from(stopped: Stopped) -> Fault {
        match stopped {
            Stopped::Database(error) => Fault::transient(format!("the database failed: {error}")),
            Stopped::Refused { reason, detail } => {
                Fault::Permanent(Refusal { reason: reason.to_owned(), field: None, value: None, detail })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(error: impl Into<Stopped>) -> (String, &'static str) {
        let fault = Fault::from(error.into());
        let reason = match &fault {
            Fault::Permanent(refusal) => refusal.reason.clone(),
            _ => String::new(),
        };
        (reason, fault.class())
    }

    #[test]
    fn what_a_command_refuses_keeps_its_kind_and_what_the_database_refuses_is_tried_again() {
        assert_eq!(class(OrderError::NotFound), ("order_missing".to_owned(), "permanent"));
        assert_eq!(class(OrderError::Database(sqlx::Error::PoolTimedOut)), (String::new(), "transient"));
        assert_eq!(class(ReturnError::NotFound("return")), ("return_missing".to_owned(), "permanent"));
        assert_eq!(class(ReturnError::from(sqlx::Error::PoolTimedOut)), (String::new(), "transient"));
    }
}
