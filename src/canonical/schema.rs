//! The entities and their fields.

use std::fmt;

/// Everything that streams, pushes and files can bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Entity {
    Category,
    Brand,
    UnitSet,
    Warehouse,
    PriceList,
    Product,
    Price,
    Stock,
    Customer,
}

/// The type of a field, with the bounds that the store enforces as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldType {
    /// At most this many characters.
    Text(usize),
    Int,
    /// Non-negative unless the field says otherwise; at most 19 digits with this many decimals.
    Decimal {
        scale: u32,
        negative: bool,
    },
    Bool,
    Date,
    /// The external code of another record of the same instance.
    Ref(Entity),
    /// Any JSON object.
    Json,
    /// Records of their own, with these fields.
    List(&'static [FieldSpec]),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldSpec {
    pub name: &'static str,
    pub kind: FieldType,
    /// A record without it (absent or null) is refused as data.
    pub required: bool,
}

const fn need(name: &'static str, kind: FieldType) -> FieldSpec {
    FieldSpec { name, kind, required: true }
}

const fn may(name: &'static str, kind: FieldType) -> FieldSpec {
    FieldSpec { name, kind, required: false }
}

const MONEY: FieldType = FieldType::Decimal { scale: 4, negative: false };
const UNIT_PRICE: FieldType = FieldType::Decimal { scale: 6, negative: false };
const QUANTITY: FieldType = FieldType::Decimal { scale: 4, negative: false };
const RAW_QUANTITY: FieldType = FieldType::Decimal { scale: 4, negative: true };
const FACTOR: FieldType = FieldType::Decimal { scale: 6, negative: false };
const PERCENT: FieldType = FieldType::Decimal { scale: 4, negative: false };

/// One unit of a product or unit set: quantity in the main unit = quantity × numerator ÷ denominator.
const UNIT_FIELDS: &[FieldSpec] = &[
    need("code", FieldType::Text(20)),
    may("name", FieldType::Text(50)),
    may("numerator", FACTOR),
    may("denominator", FACTOR),
    may("isMain", FieldType::Bool),
    may("barcode", FieldType::Text(50)),
    may("weight", FACTOR),
];

const ADDRESS_FIELDS: &[FieldSpec] = &[
    may("code", FieldType::Text(50)),
    may("title", FieldType::Text(200)),
    may("line1", FieldType::Text(250)),
    may("line2", FieldType::Text(250)),
    may("district", FieldType::Text(100)),
    may("town", FieldType::Text(100)),
    may("city", FieldType::Text(100)),
    may("country", FieldType::Text(100)),
    may("postalCode", FieldType::Text(20)),
    may("phone", FieldType::Text(50)),
    may("isDefault", FieldType::Bool),
];

const IMAGE_FIELDS: &[FieldSpec] =
    &[need("url", FieldType::Text(1000)), may("alt", FieldType::Text(200)), may("position", FieldType::Int)];

const CATEGORY: &[FieldSpec] = &[
    need("name", FieldType::Text(200)),
    may("parent", FieldType::Ref(Entity::Category)),
    may("isActive", FieldType::Bool),
];

const BRAND: &[FieldSpec] = &[need("name", FieldType::Text(200)), may("isActive", FieldType::Bool)];

const UNIT_SET: &[FieldSpec] = &[need("name", FieldType::Text(200)), need("units", FieldType::List(UNIT_FIELDS))];

const WAREHOUSE: &[FieldSpec] = &[need("name", FieldType::Text(200)), may("isActive", FieldType::Bool)];

const PRICE_LIST: &[FieldSpec] = &[need("name", FieldType::Text(200)), may("isActive", FieldType::Bool)];

const PRODUCT: &[FieldSpec] = &[
    need("name", FieldType::Text(200)),
    may("sku", FieldType::Text(100)),
    may("description", FieldType::Text(4000)),
    may("shortDescription", FieldType::Text(500)),
    may("category", FieldType::Ref(Entity::Category)),
    may("brand", FieldType::Ref(Entity::Brand)),
    may("unitSet", FieldType::Ref(Entity::UnitSet)),
    may("unit", FieldType::Text(20)),
    may("barcode", FieldType::Text(50)),
    may("vatRate", PERCENT),
    may("isActive", FieldType::Bool),
    may("requiresSerialNumber", FieldType::Bool),
    may("trackStock", FieldType::Bool),
    may("isFeatured", FieldType::Bool),
    may("productTypeCode", FieldType::Text(50)),
    may("warrantyMonths", FieldType::Int),
    may("weight", FACTOR),
    may("weightUnit", FieldType::Text(10)),
    may("minimumOrderQuantity", QUANTITY),
    may("orderMultiple", QUANTITY),
    may("variantGroup", FieldType::Text(100)),
    may("options", FieldType::Json),
    may("attributes", FieldType::Json),
    may("units", FieldType::List(UNIT_FIELDS)),
    may("images", FieldType::List(IMAGE_FIELDS)),
];

/// A price row. `role`: `list`, `dealer`, `cost` (the product's own three), `tier`, `special` (one customer or a
/// pattern of codes), `price_list`, or `none` (a card that the site gave no role; kept, not sold by).
const PRICE: &[FieldSpec] = &[
    need("product", FieldType::Ref(Entity::Product)),
    need("role", FieldType::Text(20)),
    need("amount", UNIT_PRICE),
    need("currency", FieldType::Text(3)),
    may("unit", FieldType::Text(20)),
    may("vatIncluded", FieldType::Bool),
    may("minQuantity", QUANTITY),
    may("priority", FieldType::Int),
    may("validFrom", FieldType::Date),
    may("validTo", FieldType::Date),
    may("customer", FieldType::Ref(Entity::Customer)),
    may("customerPattern", FieldType::Text(100)),
    may("priceList", FieldType::Ref(Entity::PriceList)),
    may("tier", FieldType::Text(1)),
    may("isActive", FieldType::Bool),
];

/// Stock of one product in one warehouse, in the main unit. `quantity` is what the source calls available and may be
/// negative; what is sold is never below 0.
const STOCK: &[FieldSpec] = &[
    need("product", FieldType::Ref(Entity::Product)),
    need("warehouse", FieldType::Ref(Entity::Warehouse)),
    need("quantity", RAW_QUANTITY),
    may("onHand", RAW_QUANTITY),
    may("reserved", RAW_QUANTITY),
    may("onOrder", RAW_QUANTITY),
];

const CUSTOMER: &[FieldSpec] = &[
    need("title", FieldType::Text(200)),
    may("taxNumber", FieldType::Text(15)),
    may("taxOffice", FieldType::Text(100)),
    may("isPerson", FieldType::Bool),
    may("contact", FieldType::Text(200)),
    may("email", FieldType::Text(254)),
    may("phone", FieldType::Text(50)),
    may("mobile", FieldType::Text(50)),
    may("priceTier", FieldType::Text(1)),
    may("creditLimit", MONEY),
    may("currency", FieldType::Text(3)),
    may("paymentTermCode", FieldType::Text(50)),
    may("paymentTermDays", FieldType::Int),
    may("discountRate", PERCENT),
    may("tradingGroup", FieldType::Text(50)),
    may("addresses", FieldType::List(ADDRESS_FIELDS)),
    may("isActive", FieldType::Bool),
];

impl Entity {
    /// In the order in which a page transaction may touch their tables, and a full synchronisation runs them.
    pub const ALL: [Entity; 9] = [
        Entity::Category,
        Entity::Brand,
        Entity::UnitSet,
        Entity::Warehouse,
        Entity::PriceList,
        Entity::Customer,
        Entity::Product,
        Entity::Price,
        Entity::Stock,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Entity::Category => "category",
            Entity::Brand => "brand",
            Entity::UnitSet => "unit_set",
            Entity::Warehouse => "warehouse",
            Entity::PriceList => "price_list",
            Entity::Product => "product",
            Entity::Price => "price",
            Entity::Stock => "stock",
            Entity::Customer => "customer",
        }
    }

    pub fn parse(text: &str) -> Option<Entity> {
        Entity::ALL.into_iter().find(|entity| entity.as_str() == text)
    }

    pub const fn fields(self) -> &'static [FieldSpec] {
        match self {
            Entity::Category => CATEGORY,
            Entity::Brand => BRAND,
            Entity::UnitSet => UNIT_SET,
            Entity::Warehouse => WAREHOUSE,
            Entity::PriceList => PRICE_LIST,
            Entity::Product => PRODUCT,
            Entity::Price => PRICE,
            Entity::Stock => STOCK,
            Entity::Customer => CUSTOMER,
        }
    }

    /// Place of a field in [`Entity::fields`], and so in [`super::Change::values`].
    pub fn field(self, name: &str) -> Option<usize> {
        self.fields().iter().position(|field| field.name == name)
    }
}

impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
