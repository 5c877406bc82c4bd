//! The own prices of a product: list, dealer and cost price.

use std::collections::HashMap;

use rust_decimal::Decimal;
use serde_json::{Map, Value};
use sqlx::PgConnection;

use super::{EditError, accepted, record};
use crate::{
    commerce::{
        Patch, WriteContext,
        check::violation,
        prices::{self, PriceUpsert},
        products,
    },
    money,
    outbox::Provenance,
};

/// What is set; `None` stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OwnPrices<'a> {
    pub list: Option<Decimal>,
    pub dealer: Option<Decimal>,
    pub cost: Option<Decimal>,
    /// `None`: a known price keeps its currency, a new one is in TRY.
    pub currency: Option<&'a str>,
}

#[derive(Debug)]
struct Stored {
    id: i64,
    role: String,
    code: String,
    amount: Decimal,
    currency: String,
    is_active: bool,
    is_plain: bool,
}

/// The ids of all list, dealer and cost price rows of a product, whatever their dates.
pub async fn own_price_rows(conn: &mut PgConnection, product_id: i64) -> Result<Vec<i64>, sqlx::Error> {
    Ok(stored(conn, product_id).await?.into_iter().map(|row| row.id).collect())
}

async fn stored(conn: &mut PgConnection, product_id: i64) -> Result<Vec<Stored>, sqlx::Error> {
    sqlx::query_as!(
        Stored,
        r#"
        select id, role, code, amount, currency, is_active,
               unit is null and min_quantity = 0 and valid_from is null and valid_to is null as "is_plain!"
        from commerce.price
        where product_id = $1 and customer_id is null and price_list_id is null and role in ('list', 'dealer', 'cost')
        order by id
        "#,
        product_id,
    )
    .fetch_all(conn)
    .await
}

/// Sets these prices. `owners` says which of [`own_price_rows`] come from an instance: a role that has an active one is that
/// instance's.
pub async fn set_prices(
    conn: &mut PgConnection,
    by: &Provenance<'_>,
    product_id: i64,
    own: &OwnPrices<'_>,
    owners: &HashMap<i64, String>,
) -> Result<Vec<String>, EditError> {
    let product = products::lock_code(conn, product_id).await?.ok_or(EditError::UnknownProduct)?;
    let rows = stored(conn, product_id).await?;
    let (mut was, mut is) = (Map::new(), Map::new());
    for (role, field, amount) in
        [("list", "listPrice", own.list), ("dealer", "dealerPrice", own.dealer), ("cost", "costPrice", own.cost)]
    {
        let Some(amount) = amount else { continue };
        let amount = money::UNIT_PRICE
            .fit(amount)
            .ok_or_else(|| violation(field, "out_of_range", amount, "has too many digits"))?;
        let of_role: Vec<&Stored> = rows.iter().filter(|row| row.role == role).collect();
        let same = |row: &&&Stored| row.amount == amount && own.currency.is_none_or(|asked| asked == row.currency);
        let linked: Vec<&&Stored> =
            of_role.iter().filter(|row| row.is_active && owners.contains_key(&row.id)).collect();
        if let Some(first) = linked.first() {
            if linked.iter().copied().any(|row| same(&row)) {
                continue;
            }
            let owner = owners.get(&first.id).cloned().unwrap_or_default();
            return Err(EditError::SourceOwned { fields: vec![field.to_owned()], owner });
        }
        let code = format!("{product}|{role}");
        let ours =
            of_role.iter().find(|row| row.is_active && row.is_plain).or(of_role.iter().find(|row| row.code == code));
        if ours.is_some_and(|row| row.is_active && row.is_plain && same(&row)) {
            continue;
        }
        if let Some(owner) = ours.and_then(|row| owners.get(&row.id)) {
            return Err(EditError::SourceOwned { fields: vec![field.to_owned()], owner: owner.clone() });
        }
        let currency = own.currency.or(ours.map(|row| row.currency.as_str())).unwrap_or("TRY");
        let row = PriceUpsert {
            id: match ours {
                Some(row) => row.id,
                None => prices::allocate_ids(conn, 1).await?.into_iter().next().unwrap_or_default(),
            },
            is_new: ours.is_none(),
            code: ours.map_or(code.as_str(), |row| row.code.as_str()),
            product: Patch::Set(product_id),
            role: Patch::Set(role),
            amount: Patch::Set(amount),
            currency: Patch::Set(currency),
            unit: Patch::Clear,
            vat_included: Patch::Set(false),
            min_quantity: Patch::Set(Decimal::ZERO),
            valid_from: Patch::Clear,
            valid_to: Patch::Clear,
            is_active: Patch::Set(true),
            ..PriceUpsert::default()
        };
        accepted(prices::upsert_prices(conn, &WriteContext::person(*by), &[row]).await?)
            .map_err(|error| named(error, field))?;
        was.insert(field.to_owned(), ours.map_or(Value::Null, |row| shown(row.amount, &row.currency)));
        is.insert(field.to_owned(), shown(amount, currency));
    }
    let changed: Vec<String> = is.keys().cloned().collect();
    if !changed.is_empty() {
        record(conn, by, "product.prices_set", product_id, was, is).await?;
    }
    Ok(changed)
}

/// The command speaks of a price row's amount; who asked knows it by another name.
fn named(error: EditError, field: &'static str) -> EditError {
    match error {
        EditError::Refused(violation) if violation.field == "amount" => {
            let detail = violation.detail.replacen("amount", field, 1);
            EditError::Refused(crate::commerce::Violation { field, detail, ..violation })
        }
        other => other,
    }
}

fn shown(amount: Decimal, currency: &str) -> Value {
    format!("{} {currency}", amount.normalize()).into()
}
