//! A company that registered becomes a customer, or somebody of it joins one that is there.

use serde::Serialize;
use sqlx::{PgConnection, PgExecutor};

use super::{CustomerUpsert, allocate_ids, upsert_customers};
use crate::{
    commerce::{CommandError, Outcome, Patch, Violation, WriteContext},
    outbox::{self, EventType, Events},
};

/// A company as it registered.
#[derive(Debug, Clone, Copy)]
pub struct NewCompany<'a> {
    /// `None`: made of its id.
    pub code: Option<&'a str>,
    pub title: &'a str,
    pub tax_number: &'a str,
    pub tax_office: Option<&'a str>,
    pub contact: &'a str,
    pub email: &'a str,
    pub phone: Option<&'a str>,
}

#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    #[error("{0}")]
    Refused(Violation),
    #[error("there is no active customer with the id {0} and this tax number")]
    NoMatch(i64),
    #[error(transparent)]
    Command(#[from] CommandError),
}

impl From<sqlx::Error> for RegisterError {
    fn from(error: sqlx::Error) -> RegisterError {
        CommandError::from(error).into()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Registered<'a> {
    customer_id: i64,
    code: &'a str,
    /// Somebody joined a company that was known.
    joined: bool,
}

/// Makes an approved customer of it, and says so (`customer.registered`). Gives its id.
pub async fn register(
    conn: &mut PgConnection,
    cx: &WriteContext<'_>,
    new: &NewCompany<'_>,
) -> Result<i64, RegisterError> {
    let id = allocate_ids(conn, 1).await?.into_iter().next().ok_or(sqlx::Error::RowNotFound)?;
    let made = format!("WEB{id:06}");
    let code = new.code.map(str::trim).filter(|code| !code.is_empty()).unwrap_or(&made);
    let row = CustomerUpsert {
        id,
        is_new: true,
        code,
        title: Patch::Set(new.title),
        tax_number: Patch::Set(new.tax_number),
        tax_office: new.tax_office.map_or(Patch::Keep, Patch::Set),
        is_person: Patch::Set(new.tax_number.len() == 11),
        contact: Patch::Set(new.contact),
        email: Patch::Set(new.email),
        phone: new.phone.map_or(Patch::Keep, Patch::Set),
        is_approved: Patch::Set(true),
        ..CustomerUpsert::default()
    };
    match upsert_customers(conn, cx, &[row]).await?.into_iter().next() {
        Some(Outcome::Refused(violation)) => return Err(RegisterError::Refused(violation)),
        _ => tell(conn, cx, id, 1, code, false).await?,
    }
    Ok(id)
}

/// Somebody of a known company joins it; its tax number must be theirs.
pub async fn join(
    conn: &mut PgConnection,
    cx: &WriteContext<'_>,
    id: i64,
    tax_number: &str,
) -> Result<(), RegisterError> {
    let row = sqlx::query!(
        "update commerce.customer set revision = revision + 1, updated_at = $3, updated_by = $4
         where id = $1 and tax_number = $2 and is_active and deleted_at is null
         returning revision, code",
        id,
        tax_number,
        cx.by.now,
        cx.by.origin,
    )
    .fetch_optional(&mut *conn)
    .await?;
    let row = row.ok_or(RegisterError::NoMatch(id))?;
    tell(conn, cx, id, row.revision, &row.code, true).await
}

async fn tell(
    conn: &mut PgConnection,
    cx: &WriteContext<'_>,
    id: i64,
    revision: i64,
    code: &str,
    joined: bool,
) -> Result<(), RegisterError> {
    let mut events = Events::new(EventType::CustomerRegistered, 1);
    events.push(id, revision, &Registered { customer_id: id, code, joined }).map_err(CommandError::from)?;
    outbox::append(conn, &cx.by, &events).await?;
    Ok(())
}

/// A customer whose tax number somebody registered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaxMatch {
    pub id: i64,
    pub code: String,
    pub title: String,
    pub tax_number: String,
    /// One that is not is joined by nobody; who decides is to know of it all the same.
    pub is_active: bool,
}

/// The customers with one of these tax numbers.
pub async fn by_tax_number<'e>(db: impl PgExecutor<'e>, tax_numbers: &[String]) -> Result<Vec<TaxMatch>, sqlx::Error> {
    sqlx::query_as!(
        TaxMatch,
        r#"select id, code, title, tax_number as "tax_number!", is_active from commerce.customer
           where tax_number = any ($1) and deleted_at is null order by id"#,
        tax_numbers,
    )
    .fetch_all(db)
    .await
}
