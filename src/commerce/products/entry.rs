//! What a product row must hold.

use rust_decimal::Decimal;

use crate::{
    commerce::{
        Patch, UnitLine, WriteContext,
        check::{self, violation},
        outcome::Violation,
        ownership::{Given, ProductField as F},
        units::{self, StoredLine},
    },
    money, turkish,
};

/// An image by its address; the order is that of the list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ImageLine<'a> {
    pub url: &'a str,
    pub alt: Option<&'a str>,
}

/// A product as a caller brings it. References are internal ids, `options` and `attributes` texts of JSON objects.
#[derive(Debug, Clone, Default)]
pub struct ProductUpsert<'a> {
    pub id: i64,
    pub is_new: bool,
    pub code: &'a str,
    pub sku: Patch<&'a str>,
    pub name: Patch<&'a str>,
    pub slug: Patch<&'a str>,
    pub category: Patch<i64>,
    pub brand: Patch<i64>,
    pub unit_set: Patch<i64>,
    pub unit: Patch<&'a str>,
    pub barcode: Patch<&'a str>,
    pub vat_rate: Patch<Decimal>,
    pub is_active: Patch<bool>,
    pub track_stock: Patch<bool>,
    pub is_featured: Patch<bool>,
    pub requires_serial_number: Patch<bool>,
    pub product_type_code: Patch<&'a str>,
    pub warranty_months: Patch<i64>,
    pub weight: Patch<Decimal>,
    pub weight_unit: Patch<&'a str>,
    pub minimum_order_quantity: Patch<Decimal>,
    /// 0 says none, as null does.
    pub order_multiple: Patch<Decimal>,
    pub variant_group: Patch<&'a str>,
    pub options: Patch<&'a str>,
    pub attributes: Patch<&'a str>,
    pub short_description: Patch<&'a str>,
    pub description: Patch<&'a str>,
    pub units: Patch<Vec<UnitLine<'a>>>,
    pub images: Patch<Vec<ImageLine<'a>>>,
}

/// A row that passed, as the statements take it. A field that is not in `given` holds what a new product would get.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) place: usize,
    pub(super) id: i64,
    pub(super) is_new: bool,
    pub(super) given: i64,
    pub(super) code: &'a str,
    pub(super) sku: Option<&'a str>,
    pub(super) name: Option<&'a str>,
    pub(super) slug: Option<String>,
    pub(super) category: Option<i64>,
    pub(super) brand: Option<i64>,
    pub(super) unit_set: Option<i64>,
    pub(super) unit: Option<&'a str>,
    pub(super) barcode: Option<&'a str>,
    pub(super) vat_rate: Option<Decimal>,
    pub(super) is_active: bool,
    pub(super) track_stock: bool,
    pub(super) is_featured: bool,
    pub(super) requires_serial_number: bool,
    pub(super) product_type_code: Option<&'a str>,
    pub(super) warranty_months: Option<i32>,
    pub(super) weight: Option<Decimal>,
    pub(super) weight_unit: Option<&'a str>,
    pub(super) minimum_order_quantity: Option<Decimal>,
    pub(super) order_multiple: Option<Decimal>,
    pub(super) variant_group: Option<&'a str>,
    pub(super) options: Option<&'a str>,
    pub(super) attributes: Option<&'a str>,
    pub(super) short_description: Option<&'a str>,
    pub(super) description: Option<&'a str>,
    /// `None`: not carried.
    pub(super) units: Option<Vec<StoredLine<'a>>>,
    pub(super) images: Option<Vec<ImageLine<'a>>>,
}

pub(super) fn prepare<'a>(
    cx: &WriteContext<'_>,
    place: usize,
    row: &ProductUpsert<'a>,
) -> Result<Entry<'a>, Violation> {
    let mut given = Given::new(cx.writer, row.is_new);
    let code = check::code(row.code, 100)?;
    given.take(F::Code, &Patch::Set(code));
    let name = given.optional(F::Name, check::required_text("name", row.name, 200, row.is_new)?);
    let slug = match given.optional(F::Slug, check::optional_text("slug", row.slug, 300)?) {
        Some(slug) => Some(slug.to_owned()),
        None => name.filter(|_| row.is_new).map(|name| slug_of(name, row.id)),
    };
    let unit = given.optional(F::Unit, check::optional_text("unit", row.unit, 20)?);
    let order_multiple = match row.order_multiple {
        Patch::Set(multiple) if multiple.is_zero() => Patch::Clear,
        other => other.try_map(|multiple| check::positive("orderMultiple", multiple, money::QUANTITY))?,
    };
    let quantity = |quantity| check::not_negative("minimumOrderQuantity", quantity, money::QUANTITY);
    let units = list(&mut given, F::Units, &row.units, |lines| units::stored(lines, unit))?;
    let images = list(&mut given, F::Images, &row.images, |lines| images(lines))?;
    Ok(Entry {
        place,
        id: row.id,
        is_new: row.is_new,
        code,
        sku: given.optional(F::Sku, check::optional_text("sku", row.sku, 100)?),
        name,
        slug,
        category: given.optional(F::Category, row.category),
        brand: given.optional(F::Brand, row.brand),
        unit_set: given.optional(F::UnitSet, row.unit_set),
        unit,
        barcode: given.optional(F::Barcode, check::optional_text("barcode", row.barcode, 50)?),
        vat_rate: given.optional(F::VatRate, row.vat_rate.try_map(|rate| check::percent("vatRate", rate))?),
        is_active: given.defaulted(F::IsActive, row.is_active, true),
        track_stock: given.defaulted(F::TrackStock, row.track_stock, true),
        is_featured: given.defaulted(F::IsFeatured, row.is_featured, false),
        requires_serial_number: given.defaulted(F::RequiresSerialNumber, row.requires_serial_number, false),
        product_type_code: given
            .optional(F::ProductTypeCode, check::optional_text("productTypeCode", row.product_type_code, 50)?),
        warranty_months: given.optional(
            F::WarrantyMonths,
            row.warranty_months.try_map(|months| check::whole("warrantyMonths", months, 1200))?,
        ),
        weight: given
            .optional(F::Weight, row.weight.try_map(|weight| check::not_negative("weight", weight, money::WEIGHT))?),
        weight_unit: given.optional(F::WeightUnit, check::optional_text("weightUnit", row.weight_unit, 10)?),
        minimum_order_quantity: given.optional(F::MinimumOrderQuantity, row.minimum_order_quantity.try_map(quantity)?),
        order_multiple: given.optional(F::OrderMultiple, order_multiple),
        variant_group: given.optional(F::VariantGroup, check::optional_text("variantGroup", row.variant_group, 100)?),
        options: given.optional(F::Options, row.options.try_map(|json| check::json_object("options", json))?),
        attributes: given
            .optional(F::Attributes, row.attributes.try_map(|json| check::json_object("attributes", json))?),
        short_description: given
            .optional(F::ShortDescription, check::optional_text("shortDescription", row.short_description, 500)?),
        description: given.optional(F::Description, check::optional_text("description", row.description, 4000)?),
        units,
        images,
        given: given.mask(),
    })
}

/// A list that is written whole; clearing it means the empty list.
fn list<T, S>(
    given: &mut Given,
    field: F,
    patch: &Patch<Vec<T>>,
    check: impl FnOnce(&[T]) -> Result<Vec<S>, Violation>,
) -> Result<Option<Vec<S>>, Violation> {
    if !given.take(field, patch) {
        return Ok(None);
    }
    match patch {
        Patch::Set(lines) => check(lines).map(Some),
        Patch::Clear | Patch::Keep => Ok(Some(Vec::new())),
    }
}

fn images<'a>(lines: &[ImageLine<'a>]) -> Result<Vec<ImageLine<'a>>, Violation> {
    const FIELD: &str = "images";
    if lines.len() > 100 {
        return Err(violation(FIELD, "too_many", lines.len(), "has more than 100 lines"));
    }
    let image = |line: &ImageLine<'a>| {
        if line.url.is_empty() {
            return Err(check::required(FIELD));
        }
        let alt = line.alt.filter(|alt| !alt.is_empty()).map(|alt| check::text(FIELD, alt, 200)).transpose()?;
        Ok(ImageLine { url: check::text(FIELD, line.url, 1000)?, alt })
    };
    lines.iter().map(image).collect()
}

fn slug_of(name: &str, id: i64) -> String {
    let mut slug = turkish::slug(name);
    if !slug.is_empty() {
        slug.push('-');
    }
    slug + &id.to_string()
}
