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
    /// An order of ours as an ERP has it. Nothing but a link that was made when it was sent leads to one.
    Order,
    Invoice,
    /// A movement of a current account.
    Ledger,
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
const RATE: FieldType = FieldType::Decimal { scale: 8, negative: false };
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

/// What an ERP says of one of our orders. `quantity` and `shipped` are in the line's own unit; amounts are after discounts. `currency`
/// is that of the order over there; its figures are that times `rate`, in the ERP's own currency.
const ORDER: &[FieldSpec] = &[
    may("number", FieldType::Text(50)),
    may("isCancelled", FieldType::Bool),
    may("currency", FieldType::Text(3)),
    may("rate", RATE),
    may("total", MONEY),
    need("lines", FieldType::List(ORDER_LINE_FIELDS)),
];

const ORDER_LINE_FIELDS: &[FieldSpec] = &[
    need("externalId", FieldType::Text(50)),
    may("product", FieldType::Text(100)),
    may("isService", FieldType::Bool),
    may("unit", FieldType::Text(20)),
    need("quantity", QUANTITY),
    may("shipped", QUANTITY),
    may("isClosed", FieldType::Bool),
    may("price", UNIT_PRICE),
    may("amount", MONEY),
    may("vatBase", MONEY),
    may("vat", MONEY),
];

/// `kind`: sale or return; `status`: issued, sent, accepted, rejected, cancelled. `orderNumber`: the number of an order of ours,
/// or our reference of it.
const INVOICE: &[FieldSpec] = &[
    need("customer", FieldType::Ref(Entity::Customer)),
    need("number", FieldType::Text(100)),
    may("orderNumber", FieldType::Text(100)),
    may("ettn", FieldType::Text(36)),
    need("kind", FieldType::Text(20)),
    need("status", FieldType::Text(20)),
    may("profile", FieldType::Text(50)),
    need("issuedOn", FieldType::Date),
    may("dueDate", FieldType::Date),
    need("currency", FieldType::Text(3)),
    may("exchangeRate", FACTOR),
    may("subtotal", MONEY),
    may("discount", MONEY),
    may("tax", MONEY),
    need("total", MONEY),
    may("pdfUrl", FieldType::Text(1000)),
    may("note", FieldType::Text(2000)),
    may("lines", FieldType::List(INVOICE_LINE_FIELDS)),
    may("payments", FieldType::List(INVOICE_PAYMENT_FIELDS)),
];

/// `orderLine`: the source's own reference of the order's line; `orderPosition`: the place of the line in an order of ours.
/// `vatBase`: what is left of `amount` after discounts, where the source tells that in the place of `discount`.
const INVOICE_LINE_FIELDS: &[FieldSpec] = &[
    may("orderLine", FieldType::Text(50)),
    may("orderPosition", FieldType::Int),
    may("product", FieldType::Text(100)),
    may("description", FieldType::Text(200)),
    may("quantity", QUANTITY),
    may("unit", FieldType::Text(20)),
    may("numerator", FACTOR),
    may("denominator", FACTOR),
    may("unitPrice", UNIT_PRICE),
    may("amount", MONEY),
    may("discount", MONEY),
    may("vatBase", MONEY),
    may("vatRate", PERCENT),
    may("vat", MONEY),
];

/// What of an invoice is due when.
const INVOICE_PAYMENT_FIELDS: &[FieldSpec] = &[need("dueDate", FieldType::Date), need("amount", MONEY)];

/// One of `debit` and `credit` is 0. `order`: our reference of an order that an invoice's movement is of; `reference`: a
/// reference of ours that the movement was made with; `book`: the one that it stands in, if the source begins a new one now and
/// then with an `opening`.
const LEDGER: &[FieldSpec] = &[
    need("customer", FieldType::Ref(Entity::Customer)),
    need("kind", FieldType::Text(20)),
    need("debit", MONEY),
    need("credit", MONEY),
    need("currency", FieldType::Text(3)),
    need("bookedAt", FieldType::Date),
    may("dueDate", FieldType::Date),
    may("documentNumber", FieldType::Text(100)),
    may("description", FieldType::Text(500)),
    may("reference", FieldType::Text(100)),
    may("order", FieldType::Text(100)),
    may("book", FieldType::Text(20)),
    may("isCancelled", FieldType::Bool),
];

impl Entity {
    /// In the order in which a page transaction may touch their tables, and a full synchronisation runs them.
    pub const ALL: [Entity; 12] = [
        Entity::Category,
        Entity::Brand,
        Entity::UnitSet,
        Entity::Warehouse,
        Entity::PriceList,
        Entity::Customer,
        Entity::Product,
        Entity::Price,
        Entity::Stock,
        Entity::Order,
        Entity::Invoice,
        Entity::Ledger,
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
            Entity::Order => "order",
            Entity::Invoice => "invoice",
            Entity::Ledger => "ledger",
        }
    }

    pub fn parse(text: &str) -> Option<Entity> {
        Entity::ALL.into_iter().find(|entity| entity.as_str() == text)
    }

    /// Documents are known by who wrote them: those of two systems never meet, and nobody is the master of them.
    pub const fn is_document(self) -> bool {
        matches!(self, Entity::Order | Entity::Invoice | Entity::Ledger)
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
            Entity::Order => ORDER,
            Entity::Invoice => INVOICE,
            Entity::Ledger => LEDGER,
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
