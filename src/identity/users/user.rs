//! What a person is.

use chrono::{DateTime, Utc};

use crate::{mail::Locale, principal::Role};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserState {
    /// Asked to come; has no password yet.
    Invited,
    Active,
    /// Cannot sign in until somebody says otherwise.
    Disabled,
}

impl UserState {
    pub const ALL: [UserState; 3] = [UserState::Invited, UserState::Active, UserState::Disabled];

    pub const fn as_str(self) -> &'static str {
        match self {
            UserState::Invited => "invited",
            UserState::Active => "active",
            UserState::Disabled => "disabled",
        }
    }

    pub fn parse(text: &str) -> Option<UserState> {
        UserState::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// A person, without what proves them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub id: i64,
    pub company_id: Option<i64>,
    pub role: Role,
    pub state: UserState,
    pub email: String,
    pub full_name: String,
    pub phone: Option<String>,
    pub locale: Locale,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub last_sign_in_at: Option<DateTime<Utc>>,
}
