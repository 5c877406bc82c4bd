//! Customers as they are shown: a list to find one in, and one whole.

use chrono::{DateTime, Utc};
use rust_decimal::{Decimal, serde::arbitrary_precision_option};
use serde::Serialize;
use sqlx::{PgConnection, PgExecutor};
use utoipa::ToSchema;

use crate::{
    commerce::account::ListError,
    page::{Page, PageRequest},
    principal::Scope,
};

/// A customer in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CustomerHead {
    pub id: i64,
    pub code: String,
    pub title: String,
    /// VKN or TCKN, as it was written.
    pub tax_number: Option<String>,
    /// Whether its checksum holds.
    pub tax_number_valid: Option<bool>,
    pub tax_office: Option<String>,
    pub is_person: bool,
    pub email: Option<String>,
    pub phone: Option<String>,
    /// `A`, `B` or `C`
    pub price_tier: Option<String>,
    pub currency: String,
    #[serde(with = "arbitrary_precision_option")]
    #[schema(value_type = Option<f64>)]
    pub credit_limit: Option<Decimal>,
    pub is_active: bool,
    pub is_approved: bool,
    pub updated_at: DateTime<Utc>,
}

/// A customer with its terms and addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Customer {
    #[serde(flatten)]
    pub head: CustomerHead,
    pub contact: Option<String>,
    pub mobile: Option<String>,
    pub payment_term_code: Option<String>,
    pub payment_term_days: Option<i32>,
    /// In percent.
    #[serde(with = "arbitrary_precision_option")]
    #[schema(value_type = Option<f64>)]
    pub discount_rate: Option<Decimal>,
    pub trading_group: Option<String>,
    pub revision: i64,
    /// Those in use.
    pub addresses: Vec<Address>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CustomerAddress)]
pub struct Address {
    /// What an order names it by.
    pub id: i64,
    pub code: String,
    pub title: Option<String>,
    pub line1: Option<String>,
    pub line2: Option<String>,
    pub district: Option<String>,
    pub town: Option<String>,
    pub city: Option<String>,
    pub country: Option<String>,
    pub postal_code: Option<String>,
    pub phone: Option<String>,
    pub is_default: bool,
}

/// Which customers are wanted; every field narrows.
#[derive(Debug, Clone, Default)]
pub struct CustomerFilter {
    /// Words that stand in code, title, tax number or e-mail address, spelt in any case and with or without Turkish letters.
    pub search: Option<String>,
    pub is_active: Option<bool>,
    pub is_approved: Option<bool>,
    pub price_tier: Option<String>,
}

const LIST: &str = "customers";
/// More words than that find nothing that fewer do not.
const MOST_WORDS: usize = 8;

/// By title, in Turkish order.
pub async fn list(
    conn: &mut PgConnection,
    scope: Scope,
    filter: &CustomerFilter,
    page: &PageRequest,
) -> Result<Page<CustomerHead>, ListError> {
    let after: Option<(String, i64)> = page.after(LIST)?;
    let (title, id) = after.unzip();
    // The longest first: the index finds by it, the others are looked for in what it finds.
    let mut words = patterns(filter.search.as_deref().unwrap_or_default());
    let longest = words.pop();
    let rows = sqlx::query_as!(
        CustomerHead,
        r#"select id, code, title, tax_number, tax_number_valid, tax_office, is_person, email, phone, price_tier,
               currency, credit_limit, is_active, is_approved, updated_at
           from commerce.customer
           where ($1 or id = $2) and deleted_at is null
               and ($3::text is null or search_text like commerce.fold($3))
               and search_text like all (array(select commerce.fold(word) from unnest($4::text[]) as word))
               and ($5::boolean is null or is_active = $5)
               and ($6::boolean is null or is_approved = $6)
               and ($7::text is null or price_tier = $7)
               and ($8::text is null or (title collate "tr-x-icu", id) > ($8 collate "tr-x-icu", $9))
           order by title collate "tr-x-icu", id
           limit $10"#,
        scope.is_house(),
        scope.company_id(),
        longest,
        &words,
        filter.is_active,
        filter.is_approved,
        filter.price_tier,
        title,
        id,
        page.rows(),
    )
    .fetch_all(conn)
    .await?;
    Ok(page.page(LIST, rows, |row| (row.title.clone(), row.id)))
}

/// A pattern for each word, the longest last; the store folds them as it folded what they are looked for in.
fn patterns(search: &str) -> Vec<String> {
    let mut words: Vec<String> = search
        .replace('\0', " ")
        .split_whitespace()
        .take(MOST_WORDS)
        .map(|word| {
            let plain = word.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
            format!("%{plain}%")
        })
        .collect();
    words.sort_by_key(String::len);
    words
}

/// Code and title.
pub async fn name<'e>(db: impl PgExecutor<'e>, scope: Scope, id: i64) -> Result<Option<(String, String)>, sqlx::Error> {
    if !scope.covers(id) {
        return Ok(None);
    }
    let row = sqlx::query!("select code, title from commerce.customer where id = $1", id).fetch_optional(db).await?;
    Ok(row.map(|row| (row.code, row.title)))
}

/// `None`: there is none that the scope covers.
pub async fn find(conn: &mut PgConnection, scope: Scope, id: i64) -> Result<Option<Customer>, sqlx::Error> {
    if !scope.covers(id) {
        return Ok(None);
    }
    let row = sqlx::query!(
        "select id, code, title, tax_number, tax_number_valid, tax_office, is_person, email, phone, price_tier, currency,
             credit_limit, is_active, is_approved, updated_at, contact, mobile, payment_term_code, payment_term_days,
             discount_rate, trading_group, revision
         from commerce.customer
         where id = $1 and deleted_at is null",
        id,
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let addresses = sqlx::query_as!(
        Address,
        "select id, code, title, line1, line2, district, town, city, country, postal_code, phone, is_default
         from commerce.customer_address
         where customer_id = $1 and is_active
         order by position, id",
        id,
    )
    .fetch_all(conn)
    .await?;
    let head = CustomerHead {
        id: row.id,
        code: row.code,
        title: row.title,
        tax_number: row.tax_number,
        tax_number_valid: row.tax_number_valid,
        tax_office: row.tax_office,
        is_person: row.is_person,
        email: row.email,
        phone: row.phone,
        price_tier: row.price_tier,
        currency: row.currency,
        credit_limit: row.credit_limit,
        is_active: row.is_active,
        is_approved: row.is_approved,
        updated_at: row.updated_at,
    };
    Ok(Some(Customer {
        head,
        contact: row.contact,
        mobile: row.mobile,
        payment_term_code: row.payment_term_code,
        payment_term_days: row.payment_term_days,
        discount_rate: row.discount_rate,
        trading_group: row.trading_group,
        revision: row.revision,
        addresses,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_becomes_words_and_nothing_in_it_is_a_pattern() {
        assert_eq!(patterns("  IŞIK  gü_v%"), ["%IŞIK%", "%gü\\_v\\%%"]);
        assert!(patterns(" \0 ").is_empty());
    }
}
