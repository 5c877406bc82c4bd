//! What a person is.

use chrono::{DateTime, Utc};

use crate::principal::Role;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserState {
    /// Asked to come; has no password yet.
    Invited,
    Active,
    /// Cannot sign in until somebody says otherwise.
    Disabled,
    /// Registered, and not yet approved.
    Pending,
}

impl UserState {
    pub const ALL: [UserState; 4] = [UserState::Invited, UserState::Active, UserState::Disabled, UserState::Pending];

    pub const fn as_str(self) -> &'static str {
        match self {
            UserState::Invited => "invited",
            UserState::Active => "active",
            UserState::Disabled => "disabled",
            UserState::Pending => "pending",
        }
    }

    pub fn parse(text: &str) -> Option<UserState> {
        UserState::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// The language of mails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Locale {
    #[default]
    Tr,
    En,
}

impl Locale {
    pub const fn as_str(self) -> &'static str {
        match self {
            Locale::Tr => "tr",
            Locale::En => "en",
        }
    }

    pub fn parse(text: &str) -> Option<Locale> {
        [Locale::Tr, Locale::En].into_iter().find(|locale| locale.as_str() == text)
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
