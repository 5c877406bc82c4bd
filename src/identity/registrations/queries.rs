//! Reading registrations.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

use crate::{
    identity::sessions::ListError,
    page::{Page, PageRequest},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Pending,
    Approved,
    Rejected,
}

impl State {
    pub const fn as_str(self) -> &'static str {
        match self {
            State::Pending => "pending",
            State::Approved => "approved",
            State::Rejected => "rejected",
        }
    }

    pub fn parse(text: &str) -> Option<State> {
        [State::Pending, State::Approved, State::Rejected].into_iter().find(|state| state.as_str() == text)
    }
}

/// A registration as people of the house see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    pub id: i64,
    pub state: String,
    pub email: String,
    pub email_verified: bool,
    pub full_name: String,
    pub phone: Option<String>,
    pub locale: String,
    pub company_title: String,
    pub tax_number: String,
    pub tax_office: Option<String>,
    pub created_at: DateTime<Utc>,
    pub decided_at: Option<DateTime<Utc>>,
    pub decided_by: Option<String>,
    pub decision: Option<String>,
    pub customer_id: Option<i64>,
    pub user_id: Option<i64>,
    pub reason: Option<String>,
}

pub async fn find<'e>(db: impl PgExecutor<'e>, id: i64) -> Result<Option<Registration>, sqlx::Error> {
    sqlx::query_as!(
        Registration,
        r#"select id, state, email, verified_at is not null as "email_verified!", full_name, phone, locale, company_title,
                  tax_number, tax_office, created_at, decided_at, decided_by, decision, customer_id, user_id, reason
           from identity.registration where id = $1"#,
        id,
    )
    .fetch_optional(db)
    .await
}

const LIST: &str = "registrations";

/// In the order in which they came.
pub async fn list<'e>(
    db: impl PgExecutor<'e>,
    state: Option<State>,
    page: &PageRequest,
) -> Result<Page<Registration>, ListError> {
    let after: Option<i64> = page.after(LIST)?;
    let rows = sqlx::query_as!(
        Registration,
        r#"select id, state, email, verified_at is not null as "email_verified!", full_name, phone, locale, company_title,
                  tax_number, tax_office, created_at, decided_at, decided_by, decision, customer_id, user_id, reason
           from identity.registration
           where ($1::text is null or state = $1) and ($2::bigint is null or id > $2)
           order by id limit $3"#,
        state.map(State::as_str),
        after,
        page.rows(),
    )
    .fetch_all(db)
    .await?;
    Ok(page.page(LIST, rows, |registration| registration.id))
}
