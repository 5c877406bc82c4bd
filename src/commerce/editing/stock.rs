//! A product's stock in one warehouse.

use rust_decimal::Decimal;
use serde_json::{Map, Value};
use sqlx::PgConnection;

use super::{EditError, accepted, record};
use crate::{
    commerce::{
        CodeListUpsert, Patch, WriteContext,
        check::{not_negative, violation},
        products,
        stock::{self, StockUpsert},
        warehouses,
    },
    money,
    outbox::Provenance,
};

/// Where stock is when nobody says where: LOGO's first warehouse, as for pushes.
const FIRST: &str = "0";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub product_id: i64,
    pub warehouse_id: i64,
    pub warehouse: String,
    /// The level that is there already.
    pub level: Option<i64>,
}

/// Looks for the product's level in a warehouse. The first warehouse is made when there is none yet; any other has to be
/// there.
pub async fn place(
    conn: &mut PgConnection,
    by: &Provenance<'_>,
    product_id: i64,
    warehouse: Option<&str>,
) -> Result<Place, EditError> {
    products::lock_code(conn, product_id).await?.ok_or(EditError::UnknownProduct)?;
    let code = warehouse.unwrap_or(FIRST).trim_end_matches(' ');
    let known = match code.contains('\0') {
        true => Vec::new(),
        false => warehouses::ids_by_code(conn, &[code]).await?,
    };
    let warehouse_id = match known.first() {
        Some((_, id)) => *id,
        None if code == FIRST => first_warehouse(conn, by).await?,
        None => {
            let shown = code.replace('\0', "\u{2400}");
            return Err(violation("warehouseCode", "missing_reference", shown, "is no warehouse").into());
        }
    };
    let levels = stock::ids_by_place(conn, &[(product_id, warehouse_id)]).await?;
    let level = levels.first().map(|(_, id)| *id);
    Ok(Place { product_id, warehouse_id, warehouse: code.to_owned(), level })
}

async fn first_warehouse(conn: &mut PgConnection, by: &Provenance<'_>) -> Result<i64, EditError> {
    let id = warehouses::allocate_ids(conn, 1).await?.into_iter().next().unwrap_or_default();
    let row = CodeListUpsert { id, is_new: true, code: FIRST, name: Patch::Set(FIRST), is_active: Patch::Keep };
    accepted(warehouses::upsert_warehouses(conn, &WriteContext::person(*by), &[row]).await?)?;
    Ok(id)
}

/// Sets what is there. `owner` is the instance that the level comes from, if it comes from one. Answers whether that is
/// another figure than before.
pub async fn set_stock(
    conn: &mut PgConnection,
    by: &Provenance<'_>,
    place: &Place,
    quantity: Decimal,
    owner: Option<&str>,
) -> Result<bool, EditError> {
    let quantity = not_negative("quantity", quantity, money::QUANTITY)?;
    let before = match place.level {
        Some(level) => stock::quantity_of(conn, level).await?,
        None => None,
    };
    if before == Some(quantity) {
        return Ok(false);
    }
    if let Some(owner) = owner {
        return Err(EditError::SourceOwned { fields: vec!["quantity".to_owned()], owner: owner.to_owned() });
    }
    let id = match place.level {
        Some(level) => level,
        None => stock::allocate_ids(conn, 1).await?.into_iter().next().unwrap_or_default(),
    };
    let row = StockUpsert {
        id,
        is_new: place.level.is_none(),
        product: place.product_id,
        warehouse: place.warehouse_id,
        quantity: Patch::Set(quantity),
        ..StockUpsert::default()
    };
    accepted(stock::upsert_stock(conn, &WriteContext::person(*by), &[row]).await?)?;
    let state = |quantity: Option<Decimal>| {
        let quantity = quantity.map_or(Value::Null, |quantity| quantity.normalize().to_string().into());
        Map::from_iter([("warehouse".to_owned(), place.warehouse.as_str().into()), ("quantity".to_owned(), quantity)])
    };
    record(conn, by, "product.stock_set", place.product_id, state(before), state(Some(quantity))).await?;
    Ok(true)
}
