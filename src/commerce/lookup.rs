//! Business objects by what people call them: numbers, codes, SKUs, tax numbers.

use serde::Serialize;
use sqlx::PgExecutor;
use utoipa::ToSchema;

use crate::principal::Scope;

/// What a name means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ObjectKind)]
pub enum Kind {
    Order,
    Product,
    Customer,
    Invoice,
    Return,
}

impl Kind {
    const ALL: [Kind; 5] = [Kind::Order, Kind::Product, Kind::Customer, Kind::Invoice, Kind::Return];

    /// As events name their aggregate, links their entity and audit rows their subject.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Order => "order",
            Kind::Product => "product",
            Kind::Customer => "customer",
            Kind::Invoice => "invoice",
            Kind::Return => "return",
        }
    }
}

/// A business object that has that name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = NamedObject)]
pub struct Named {
    pub kind: Kind,
    pub id: i64,
    /// Number of an order, an invoice or a return; code of a product or customer.
    #[schema(example = "ORD202611210001")]
    pub name: String,
}

/// The most objects that one name is looked up as: cards may share a tax number.
const MOST: i64 = 20;

/// All objects of that name that the scope covers. Deleted ones as well: what became of them is a good question.
pub async fn named<'e>(db: impl PgExecutor<'e>, scope: Scope, name: &str) -> Result<Vec<Named>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select kind as "kind!", id as "id!", name as "name!" from (
               select 'order' as kind, id, number as name from commerce.sales_order
               where (number = $1 or external_number = $1) and ($3 or customer_id = $4)
               union all
               select 'product', id, code from commerce.product where code = $1 or sku = $1
               union all
               select 'customer', id, code from commerce.customer where (code = $1 or tax_number = $1) and ($3 or id = $4)
               union all
               select 'invoice', id, number from commerce.invoice where number = $1 and ($3 or customer_id = $4)
               union all
               select 'return', id, number from commerce.return_request where number = $1 and ($3 or customer_id = $4)
           ) as found
           order by kind, id
           limit $2"#,
        name,
        MOST,
        scope.is_house(),
        scope.company_id(),
    )
    .fetch_all(db)
    .await?;
    let named = rows.into_iter().filter_map(|row| {
        let kind = Kind::ALL.into_iter().find(|kind| kind.as_str() == row.kind)?;
        Some(Named { kind, id: row.id, name: row.name })
    });
    Ok(named.collect())
}
