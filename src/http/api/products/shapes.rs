//! Products as they are answered.

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use serde::{Serialize, Serializer};
use serde_json::Value;
use utoipa::ToSchema;

use super::overrides::OverrideOut;
use crate::{
    commerce::{
        catalogue::{Detail, Level, Listed, Named, Price},
        pricing::{Candidate, Priced, Rule},
    },
    page::Page,
};

/// A number with every digit that says something.
#[derive(Debug, Clone, Copy)]
pub(super) struct Figure(Decimal);

impl Serialize for Figure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        rust_decimal::serde::arbitrary_precision::serialize(&self.0.normalize(), serializer)
    }
}

fn figure(number: Option<Decimal>) -> Option<Figure> {
    number.map(Figure)
}

/// A page of products.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ProductPage)]
pub(super) struct PageOut {
    items: Vec<ListedOut>,
    /// Null on the last page.
    next_cursor: Option<String>,
    /// With `count=true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    total_count: Option<i64>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CatalogueName)]
pub(super) struct NamedOut {
    id: i64,
    code: String,
    name: String,
}

/// The net price of one main unit, without the customer's discount.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ProductPrice)]
pub(super) struct PriceOut {
    #[schema(value_type = f64, example = 1845.5)]
    amount: Figure,
    #[schema(example = "TRY")]
    currency: String,
    /// Which rule gave it: `special`, `price_list`, `tier`, `dealer` or `list`.
    #[schema(value_type = String)]
    rule: Rule,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ListedProduct)]
pub(super) struct ListedOut {
    id: i64,
    code: String,
    sku: Option<String>,
    name: String,
    slug: String,
    short_description: Option<String>,
    category: Option<NamedOut>,
    brand: Option<NamedOut>,
    /// The main unit.
    unit: Option<String>,
    #[schema(value_type = Option<f64>)]
    tax_rate: Option<Figure>,
    /// Null: there is none for this dealer, and the product cannot be ordered.
    price: Option<PriceOut>,
    in_stock: bool,
    /// What may be sold, in the main unit; for roles that may see it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>)]
    stock_quantity: Option<Figure>,
    #[schema(value_type = Option<f64>)]
    minimum_order_quantity: Option<Figure>,
    #[schema(value_type = Option<f64>)]
    order_multiple: Option<Figure>,
    variant_group: Option<String>,
    /// Of the first image.
    image_url: Option<String>,
    is_featured: bool,
    is_active: bool,
    updated_at: DateTime<Utc>,
}

/// Quantity in the main unit = quantity × numerator ÷ denominator.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ProductUnit)]
pub(super) struct UnitOut {
    code: String,
    name: Option<String>,
    #[schema(value_type = f64)]
    numerator: Figure,
    #[schema(value_type = f64)]
    denominator: Figure,
    is_main: bool,
    /// How many decimals a quantity may have.
    decimals: i16,
    barcode: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ProductImage)]
pub(super) struct ImageOut {
    url: String,
    alt: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ProductStock)]
pub(super) struct LevelOut {
    warehouse_code: String,
    warehouse_name: String,
    /// What may be sold, in the main unit.
    #[schema(value_type = f64)]
    quantity: Figure,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ProductCost)]
pub(super) struct CostOut {
    #[schema(value_type = f64)]
    amount: Figure,
    currency: String,
}

/// A product with all that its page shows.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Product)]
pub(super) struct DetailOut {
    id: i64,
    code: String,
    sku: Option<String>,
    name: String,
    slug: String,
    short_description: Option<String>,
    description: Option<String>,
    category: Option<NamedOut>,
    brand: Option<NamedOut>,
    /// The main unit.
    unit: Option<String>,
    units: Vec<UnitOut>,
    barcode: Option<String>,
    #[schema(value_type = Option<f64>)]
    tax_rate: Option<Figure>,
    price: Option<PriceOut>,
    /// For roles that may see it.
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<CostOut>,
    in_stock: bool,
    /// By warehouse; for roles that may see it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) stock: Option<Vec<LevelOut>>,
    #[schema(value_type = Option<f64>)]
    minimum_order_quantity: Option<Figure>,
    #[schema(value_type = Option<f64>)]
    order_multiple: Option<Figure>,
    variant_group: Option<String>,
    /// What tells this variant from the others of its group.
    #[schema(value_type = Option<Object>)]
    options: Option<Value>,
    #[schema(value_type = Option<Object>)]
    attributes: Option<Value>,
    images: Vec<ImageOut>,
    product_type_code: Option<String>,
    warranty_months: Option<i32>,
    #[schema(value_type = Option<f64>)]
    weight: Option<Figure>,
    weight_unit: Option<String>,
    track_stock: bool,
    requires_serial_number: bool,
    is_featured: bool,
    is_active: bool,
    /// A person took it out of the catalogue.
    is_deleted: bool,
    /// The fields that do not follow their source; for who may edit products.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) overrides: Option<Vec<OverrideOut>>,
    revision: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// A price and why it is that one.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PriceExplanation)]
pub(super) struct ExplanationOut {
    pub(super) product_id: i64,
    /// Whose price it is; null: the one that holds for everybody.
    pub(super) customer_id: Option<i64>,
    pub(super) day: NaiveDate,
    #[schema(value_type = f64)]
    pub(super) quantity: Figure,
    /// As it was asked for; null: the main unit.
    pub(super) unit: Option<String>,
    /// Null: there is none.
    pub(super) price: Option<PriceOut>,
    /// Every row that might have given the price, the winner first.
    pub(super) candidates: Vec<CandidateOut>,
}

/// A price row as it is stored.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PriceCandidate)]
pub(super) struct CandidateOut {
    price_id: i64,
    code: String,
    /// `special`, `price_list`, `tier`, `dealer` or `list`, in this order.
    #[schema(value_type = String)]
    rule: Rule,
    #[schema(value_type = f64)]
    amount: Figure,
    currency: String,
    unit: Option<String>,
    vat_included: bool,
    /// In the row's own unit.
    #[schema(value_type = f64)]
    min_quantity: Figure,
    /// The smaller goes first.
    priority: i32,
    valid_from: Option<NaiveDate>,
    valid_to: Option<NaiveDate>,
    customer_pattern: Option<String>,
    price_list_code: Option<String>,
    tier: Option<String>,
    won: bool,
    /// `won`, or why not, for programs.
    verdict: &'static str,
    /// The same for a person.
    reason: &'static str,
}

impl PageOut {
    pub(super) fn of(page: Page<Listed>, total_count: Option<i64>) -> PageOut {
        PageOut {
            items: page.items.into_iter().map(ListedOut::from).collect(),
            next_cursor: page.next_cursor,
            total_count,
        }
    }
}

impl From<Named> for NamedOut {
    fn from(named: Named) -> NamedOut {
        NamedOut { id: named.id, code: named.code, name: named.name }
    }
}

impl From<Price> for PriceOut {
    fn from(price: Price) -> PriceOut {
        PriceOut { amount: Figure(price.amount), currency: price.currency, rule: price.rule }
    }
}

impl From<Priced> for PriceOut {
    fn from(price: Priced) -> PriceOut {
        PriceOut { amount: Figure(price.amount), currency: price.currency, rule: price.rule }
    }
}

impl From<Decimal> for Figure {
    fn from(number: Decimal) -> Figure {
        Figure(number)
    }
}

impl From<Level> for LevelOut {
    fn from(level: Level) -> LevelOut {
        LevelOut { warehouse_code: level.warehouse, warehouse_name: level.name, quantity: Figure(level.available) }
    }
}

impl From<Listed> for ListedOut {
    fn from(listed: Listed) -> ListedOut {
        ListedOut {
            id: listed.id,
            code: listed.code,
            sku: listed.sku,
            name: listed.name,
            slug: listed.slug,
            short_description: listed.short_description,
            category: listed.category.map(NamedOut::from),
            brand: listed.brand.map(NamedOut::from),
            unit: listed.unit,
            tax_rate: figure(listed.vat_rate),
            price: listed.price.map(PriceOut::from),
            in_stock: listed.in_stock,
            stock_quantity: figure(listed.stock),
            minimum_order_quantity: figure(listed.minimum_order_quantity),
            order_multiple: figure(listed.order_multiple),
            variant_group: listed.variant_group,
            image_url: listed.image,
            is_featured: listed.is_featured,
            is_active: listed.is_active,
            updated_at: listed.updated_at,
        }
    }
}

impl From<Detail> for DetailOut {
    fn from(detail: Detail) -> DetailOut {
        let units = detail.units.into_iter().map(|unit| UnitOut {
            code: unit.unit,
            name: unit.name,
            numerator: Figure(unit.numerator),
            denominator: Figure(unit.denominator),
            is_main: unit.is_main,
            decimals: unit.decimals,
            barcode: unit.barcode,
        });
        DetailOut {
            id: detail.id,
            code: detail.code,
            sku: detail.sku,
            name: detail.name,
            slug: detail.slug,
            short_description: detail.short_description,
            description: detail.description,
            category: detail.category.map(NamedOut::from),
            brand: detail.brand.map(NamedOut::from),
            unit: detail.unit,
            units: units.collect(),
            barcode: detail.barcode,
            tax_rate: figure(detail.vat_rate),
            price: detail.price.map(PriceOut::from),
            cost: detail.cost.map(|(amount, currency)| CostOut { amount: Figure(amount), currency }),
            in_stock: detail.in_stock,
            stock: detail.stock.map(|levels| levels.into_iter().map(LevelOut::from).collect()),
            minimum_order_quantity: figure(detail.minimum_order_quantity),
            order_multiple: figure(detail.order_multiple),
            variant_group: detail.variant_group,
            options: detail.options,
            attributes: detail.attributes,
            images: detail.images.into_iter().map(|image| ImageOut { url: image.url, alt: image.alt }).collect(),
            product_type_code: detail.product_type_code,
            warranty_months: detail.warranty_months,
            weight: figure(detail.weight),
            weight_unit: detail.weight_unit,
            track_stock: detail.track_stock,
            requires_serial_number: detail.requires_serial_number,
            is_featured: detail.is_featured,
            is_active: detail.is_active,
            is_deleted: detail.is_deleted,
            overrides: None,
            revision: detail.revision,
            created_at: detail.created_at,
            updated_at: detail.updated_at,
        }
    }
}

impl From<Candidate> for CandidateOut {
    fn from(candidate: Candidate) -> CandidateOut {
        let verdict = candidate.verdict;
        CandidateOut {
            price_id: candidate.price_id,
            code: candidate.code,
            rule: candidate.rule,
            amount: Figure(candidate.amount),
            currency: candidate.currency,
            unit: candidate.unit,
            vat_included: candidate.vat_included,
            min_quantity: Figure(candidate.min_quantity),
            priority: candidate.priority,
            valid_from: candidate.valid_from,
            valid_to: candidate.valid_to,
            customer_pattern: candidate.customer_pattern,
            price_list_code: candidate.price_list,
            tier: candidate.tier,
            won: verdict == crate::commerce::pricing::Verdict::Won,
            verdict: verdict.as_str(),
            reason: verdict.text(),
        }
    }
}
