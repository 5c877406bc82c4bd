//! Rows as a person reads them, before and after a change: by the names of the canonical fields, references as codes.

use std::collections::HashMap;

use rust_decimal::Decimal;
use serde_json::{Map, Number, Value};
use sqlx::PgConnection;

use crate::canonical::Entity;

/// The rows with these ids that exist, by id.
pub async fn snapshots(
    conn: &mut PgConnection,
    entity: Entity,
    ids: &[i64],
) -> Result<HashMap<i64, Map<String, Value>>, sqlx::Error> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<(i64, Value)> = sqlx::query_as(statement(entity)).bind(ids).fetch_all(conn).await?;
    Ok(rows
        .into_iter()
        .filter_map(|(id, row)| match named(row) {
            Value::Object(fields) => Some((id, fields)),
            _ => None,
        })
        .collect())
}

const fn statement(entity: Entity) -> &'static str {
    match entity {
        Entity::Category => {
            "select t.id, to_jsonb(t) || jsonb_build_object('parent', p.code)
             from commerce.category t left join commerce.category p on p.id = t.parent_id where t.id = any($1)"
        }
        Entity::Brand => "select t.id, to_jsonb(t) from commerce.brand t where t.id = any($1)",
        Entity::Warehouse => "select t.id, to_jsonb(t) from commerce.warehouse t where t.id = any($1)",
        Entity::PriceList => "select t.id, to_jsonb(t) from commerce.price_list t where t.id = any($1)",
        Entity::UnitSet => {
            "select t.id, to_jsonb(t) || jsonb_build_object('units',
                 (select jsonb_agg(to_jsonb(l) - 'unit_set_id' - 'position' - 'decimals' order by l.position)
                  from commerce.unit_set_line l where l.unit_set_id = t.id))
             from commerce.unit_set t where t.id = any($1)"
        }
        Entity::Customer => {
            "select t.id, to_jsonb(t) || jsonb_build_object('addresses',
                 (select jsonb_agg(to_jsonb(a) - 'id' - 'customer_id' - 'position' - 'is_active' order by a.position)
                  from commerce.customer_address a where a.customer_id = t.id and a.is_active))
             from commerce.customer t where t.id = any($1)"
        }
        Entity::Product => {
            "select t.id, to_jsonb(t)
                 || jsonb_build_object('category', c.code, 'brand', b.code, 'unitSet', s.code,
                        'units', (select jsonb_agg(to_jsonb(u) - 'product_id' - 'position' - 'decimals'
                                                   order by u.position)
                                  from commerce.product_unit u where u.product_id = t.id),
                        'images', (select jsonb_agg(to_jsonb(i) - 'product_id' order by i.position)
                                   from commerce.product_image i where i.product_id = t.id))
             from commerce.product t
             left join commerce.category c on c.id = t.category_id
             left join commerce.brand b on b.id = t.brand_id
             left join commerce.unit_set s on s.id = t.unit_set_id
             where t.id = any($1)"
        }
        Entity::Price => {
            "select t.id, to_jsonb(t) || jsonb_build_object('product', p.code, 'customer', c.code, 'priceList', l.code)
             from commerce.price t
             left join commerce.product p on p.id = t.product_id
             left join commerce.customer c on c.id = t.customer_id
             left join commerce.price_list l on l.id = t.price_list_id
             where t.id = any($1)"
        }
        Entity::Stock => {
            "select t.id, to_jsonb(t) || jsonb_build_object('product', p.code, 'warehouse', w.code)
             from commerce.stock_level t
             left join commerce.product p on p.id = t.product_id
             left join commerce.warehouse w on w.id = t.warehouse_id
             where t.id = any($1)"
        }
        Entity::Order => {
            "select t.id, jsonb_build_object('number', t.external_number, 'isCancelled', t.state = 'cancelled', 'total', t.total,
                 'lines', (select jsonb_agg(jsonb_build_object('product', l.code, 'unit', l.unit, 'quantity', l.ordered - l.cancelled,
                                                              'shipped', l.shipped) order by l.position)
                           from commerce.sales_order_line l where l.order_id = t.id))
             from commerce.sales_order t where t.id = any($1)"
        }
        Entity::Invoice => {
            "select t.id, to_jsonb(t) - 'order_id' - 'origin' - 'external_id' || jsonb_build_object('customer', c.code, 'orderNumber', o.number,
                 'lines', (select jsonb_agg(to_jsonb(l) - 'invoice_id' - 'position' - 'order_line_id' - 'code'
                                            || jsonb_build_object('product', l.code) order by l.position)
                           from commerce.invoice_line l where l.invoice_id = t.id),
                 'payments', (select jsonb_agg(to_jsonb(p) - 'invoice_id' - 'position' order by p.position)
                              from commerce.invoice_payment p where p.invoice_id = t.id))
             from commerce.invoice t
             join commerce.customer c on c.id = t.customer_id
             left join commerce.sales_order o on o.id = t.order_id
             where t.id = any($1)"
        }
        Entity::Ledger => {
            "select t.id, to_jsonb(t) - 'order_id' - 'origin' - 'external_id' - 'replaced_by' - 'is_provisional'
                 || jsonb_build_object('customer', c.code, 'order', o.number)
             from commerce.ledger_entry t
             join commerce.customer c on c.id = t.customer_id
             left join commerce.sales_order o on o.id = t.order_id
             where t.id = any($1)"
        }
    }
}

/// What is bookkeeping, or follows from other fields.
const LEFT_OUT: [&str; 20] = [
    "id",
    "revision",
    "created_at",
    "updated_at",
    "created_by",
    "updated_by",
    "deleted_at",
    "slug",
    "search_text",
    "sellable",
    "available",
    "held",
    "tax_number_valid",
    "parent_id",
    "category_id",
    "brand_id",
    "unit_set_id",
    "product_id",
    "customer_id",
    "price_list_id",
];

fn named(row: Value) -> Value {
    match row {
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .filter(|(column, _)| !LEFT_OUT.contains(&column.as_str()) && column != "warehouse_id")
                .map(|(column, value)| match column.as_str() {
                    // Whatever they hold has names of its own.
                    "attributes" | "options" => (column, value),
                    "reserved_remote" => ("reserved".to_owned(), value),
                    _ => (camel(&column), named(value)),
                })
                .collect(),
        ),
        Value::Array(rows) => Value::Array(rows.into_iter().map(line).collect()),
        Value::Number(number) => Value::Number(plain(number)),
        other => other,
    }
}

/// Without the zeros that fill its column.
fn plain(number: Number) -> Number {
    let short = number.to_string().parse::<Decimal>().map(|number| number.normalize().to_string());
    short.ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or(number)
}

/// A unit's name is its code.
fn line(row: Value) -> Value {
    let mut row = named(row);
    if let Value::Object(fields) = &mut row
        && let Some(unit) = fields.remove("unit")
    {
        fields.insert("code".to_owned(), unit);
    }
    row
}

fn camel(column: &str) -> String {
    let mut name = String::with_capacity(column.len());
    let mut upper = false;
    for letter in column.chars() {
        match letter {
            '_' => upper = true,
            letter if std::mem::take(&mut upper) => name.extend(letter.to_uppercase()),
            letter => name.push(letter),
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_get_the_names_of_fields() {
        let row = json!({ "id": 1, "revision": 2, "is_active": true, "vat_rate": 20, "attributes": { "a_b": 1 },
            "units": [{ "unit": "ADET", "is_main": true }] });
        let expected = json!({ "isActive": true, "vatRate": 20, "attributes": { "a_b": 1 },
            "units": [{ "code": "ADET", "isMain": true }] });
        assert_eq!(named(row), expected);
    }
}
