//! How a command ends when it does not end well.

use crate::{app::AppError, config::ConfigError, database::DatabaseError};

#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Something in the world: exit code 1.
    #[error("{0}")]
    Failed(String),
    /// The command line or the configuration: exit code 2.
    #[error("{0}")]
    Usage(String),
    /// The command has said everything itself, and ends with this code.
    #[error("exit code {0}")]
    Told(u8),
    /// By a signal.
    #[error("interrupted")]
    Interrupted,
}

impl Failure {
    pub fn exit_code(&self) -> u8 {
        match self {
            Failure::Failed(_) => 1,
            Failure::Usage(_) => 2,
            Failure::Told(code) => *code,
            Failure::Interrupted => 130,
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Failure {
        Failure::Usage(error.to_string())
    }
}

impl From<DatabaseError> for Failure {
    fn from(error: DatabaseError) -> Failure {
        if error.is_usage() { Failure::Usage(error.to_string()) } else { Failure::Failed(error.to_string()) }
    }
}

impl From<AppError> for Failure {
    fn from(error: AppError) -> Failure {
        match error {
            AppError::Config(error) => error.into(),
            AppError::Database(error) => error.into(),
            AppError::Keys(crate::identity::tokens::KeyProblem::Database(error)) => error.into(),
            error @ (AppError::Keys(_) | AppError::Engine(_) | AppError::Mappings(_) | AppError::Seal(_)) => {
                Failure::Usage(error.to_string())
            }
        }
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Failure {
        Failure::Failed(format!("the database failed: {error}; `kopru doctor` tells more"))
    }
}

impl From<crate::hub::dead_letters::LetterError> for Failure {
    fn from(error: crate::hub::dead_letters::LetterError) -> Failure {
        Failure::Failed(error.to_string())
    }
}

impl From<crate::hub::files::store::RetryError> for Failure {
    fn from(error: crate::hub::files::store::RetryError) -> Failure {
        Failure::Failed(error.to_string())
    }
}

impl From<crate::identity::api_keys::KeyError> for Failure {
    fn from(error: crate::identity::api_keys::KeyError) -> Failure {
        use crate::identity::api_keys::KeyError;
        match error {
            KeyError::Database(error) => error.into(),
            error @ (KeyError::NotFound(_) | KeyError::AlreadyRevoked(_)) => Failure::Failed(error.to_string()),
            error => Failure::Usage(error.to_string()),
        }
    }
}

impl From<crate::identity::users::UserError> for Failure {
    fn from(error: crate::identity::users::UserError) -> Failure {
        use crate::identity::users::UserError;
        match error {
            UserError::Database(error) => error.into(),
            error @ (UserError::Name
            | UserError::CompanyMissing(_)
            | UserError::CompanyGiven(_)
            | UserError::Phone(_)
            | UserError::Password(_)) => Failure::Usage(error.to_string()),
            error => Failure::Failed(error.to_string()),
        }
    }
}

impl From<crate::identity::tokens::RotateError> for Failure {
    fn from(error: crate::identity::tokens::RotateError) -> Failure {
        use crate::identity::tokens::RotateError;
        match error {
            RotateError::Key(error) => AppError::Keys(error).into(),
            error => Failure::Failed(error.to_string()),
        }
    }
}

impl From<crate::demo::AccountError> for Failure {
    fn from(error: crate::demo::AccountError) -> Failure {
        use crate::demo::AccountError;
        match error {
            AccountError::App(error) => error.into(),
            AccountError::Database(error) => error.into(),
            error => Failure::Failed(format!("the demo's accounts cannot be made: {error}")),
        }
    }
}

impl From<crate::daemon::DaemonError> for Failure {
    fn from(error: crate::daemon::DaemonError) -> Failure {
        match error {
            crate::daemon::DaemonError::App(error) => error.into(),
            error => Failure::Failed(error.to_string()),
        }
    }
}
