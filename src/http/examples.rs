//! An example of every document that the API takes or answers, made from the same schemas as the description: a field that
//! comes gets its example, one that goes takes it along.
//!
//! What a field looks like stands in its schema (`example`), or in [`VALUES`] by its name. A request shows what it must have,
//! and what [`SHOWN`] adds; an answer shows all.

use serde_json::{Map, Value, json};
use utoipa::openapi::{OpenApi, RefOr, content::Content};

use super::shared_answers::operations;

/// By `Schema.field` or by `field`, as JSON. The first that fits its place counts.
const VALUES: &[(&str, &str)] = &[
    ("Approved.state", r#""approved""#),
    ("HistoryLine.fromState", r#""pending_approval""#),
    ("HistoryLine.state", r#""confirmed""#),
    ("InvoiceIn.kind", r#""sale""#),
    ("InvoiceIn.number", r#""KPR2026000000123""#),
    ("InvoiceIn.profile", r#""TICARIFATURA""#),
    ("InvoiceIn.status", r#""issued""#),
    ("InvoiceLineIn.orderLine", "1"),
    ("InvoiceLineIn.quantity", "5"),
    ("InvoiceHead.kind", r#""sale""#),
    ("InvoiceHead.number", r#""KPR2026000000123""#),
    ("InvoiceHead.profile", r#""TICARIFATURA""#),
    ("Movement.kind", r#""invoice""#),
    ("ProductEdited.status", r#""updated""#),
    ("ProductIn.taxRate", "20"),
    ("PushedItem.error", "null"),
    ("PushedItem.deadLetterId", "null"),
    ("PushedItem.status", r#""created""#),
    ("PushedItem.code", "null"),
    ("PushedOne.status", r#""created""#),
    ("Record.logoId", r#""4711""#),
    ("RegistrationDocument.state", r#""pending""#),
    ("ReturnHead.number", r#""RMA202611210001""#),
    ("ReturnHead.state", r#""requested""#),
    ("ReturnHistoryEntry.fromState", r#""requested""#),
    ("ReturnHistoryEntry.state", r#""approved""#),
    ("CategoryIn.code", r#""KAMERA""#),
    ("CategoryIn.name", r#""Kameralar""#),
    ("CategoryIn.parentCode", r#""GUVENLIK""#),
    ("Category.code", r#""KAMERA""#),
    ("Category.name", r#""Kameralar""#),
    ("BrandIn.code", r#""HIK""#),
    ("BrandIn.name", r#""Hikvision""#),
    ("Brand.code", r#""HIK""#),
    ("Brand.name", r#""Hikvision""#),
    ("ApproveDocument.code", r#""120.34.001""#),
    ("ApproveDocument.customerId", "12"),
    ("CustomerIn.code", r#""120.01.001""#),
    ("CustomerEdit.code", r#""120.01.001""#),
    ("CustomerHead.code", r#""120.01.001""#),
    ("MatchDocument.code", r#""120.01.001""#),
    ("AddressIn.code", r#""MERKEZ""#),
    ("AddressIn.title", r#""Merkez""#),
    ("CustomerAddress.code", r#""MERKEZ""#),
    ("CustomerAddress.title", r#""Merkez""#),
    ("CustomerAddressEdit.code", r#""MERKEZ""#),
    ("CustomerAddressEdit.title", r#""Merkez""#),
    ("UnitIn.code", r#""KOLI""#),
    ("ProductUnit.code", r#""KOLI""#),
    ("ProductUnitEdit.code", r#""KOLI""#),
    ("KeyDescription.name", r#""LOGO""#),
    ("NewReturn.reason", r#""damaged""#),
    ("NewReturnLine.reason", r#""damaged""#),
    ("ReturnHead.reason", r#""damaged""#),
    ("ReturnLine.reason", r#""damaged""#),
    ("ReturnRejection.reason", r#""the thirty days are over""#),
    ("RejectDocument.reason", r#""we have a dealer in this town""#),
    ("RegistrationDocument.reason", r#""we have a dealer in this town""#),
    ("FieldError.code", r#""required""#),
    ("FieldError.field", r#""items[0].name""#),
    ("FieldError.message", r#""a product has a name""#),
    ("InvoiceLine.quantity", "5"),
    ("ObjectIn.kind", r#""order""#),
    ("WebhookEndpoint.breaker", r#""closed""#),
    ("WebhookEndpoint.description", r#""our warehouse""#),
    ("WebhookEndpoint.disabledCause", "null"),
    ("WebhookEndpoint.disabledReason", "null"),
    ("WebhookEndpoint.lastFault", "null"),
    ("WebhookEndpoint.target", r#""webhook:12""#),
    ("WebhookEndpoint.url", r#""https://hooks.example.com/kopru""#),
    ("WebhookReplayShare.kind", r#""order.created""#),
    ("WebhookTrial.answer", r#""ok""#),
    ("WebhookTrial.detail", "null"),
    ("WebhookTrial.status", "204"),
    ("accessToken", r#""eyJ0eXAiOiJKV1QiLCJhbGciOiJFZERTQSJ9.e30.c2lnbmF0dXJl""#),
    ("actor", r#""user:12""#),
    ("address", r#""203.0.113.9""#),
    ("agent", r#""Mozilla/5.0""#),
    ("alt", r#""from the front""#),
    ("approvalReasons", r#"["amount"]"#),
    ("attributes", r#"{"resolution": "4 MP"}"#),
    ("barcode", r#""8690000000012""#),
    ("billingAddress", r#"{"title": "Merkez", "line1": "Atatürk Cad. 12", "city": "İzmir"}"#),
    ("brandCode", r#""HIK""#),
    ("categoryCode", r#""KAMERA""#),
    ("changed", r#"["name"]"#),
    ("city", r#""İzmir""#),
    ("code", r#""KAM-001""#),
    ("companyId", "12"),
    ("companyTitle", r#""Öz Bilişim Ltd. Şti.""#),
    ("contact", r#""Ayşe Öz""#),
    ("correlationId", r#""0199a1b2c3d4""#),
    ("country", r#""TR""#),
    ("creditLimit", "250000"),
    ("currency", r#""TRY""#),
    ("customerCode", r#""120.01.001""#),
    ("customerPattern", r#""120.01.*""#),
    ("customerTitle", r#""Öz Bilişim Ltd. Şti.""#),
    ("dealerPrice", "1520"),
    ("decidedBy", r#""user:3""#),
    ("decisionNote", r#""the box was open""#),
    ("decision", r#""new""#),
    ("description", r#""IP camera, 4 MP""#),
    ("device", r#""Laptop in the office""#),
    ("district", r#""Konak""#),
    ("documentNumber", r#""KPR2026000000123""#),
    ("email", r#""ayse@firma.com.tr""#),
    ("externalCode", r#""KAM-001""#),
    ("createdBy", r#""user:3""#),
    ("events", r#"["order.*"]"#),
    ("expiresIn", "900"),
    ("fullName", r#""Ayşe Öz""#),
    ("id", "12"),
    ("imageUrl", r#""/media/5f3a.webp""#),
    ("instance", r#""logo""#),
    ("line1", r#""Atatürk Cad. 12""#),
    ("line2", r#""Kat 3""#),
    ("listPrice", "1845.5"),
    ("locale", r#""tr""#),
    ("logoId", "4711"),
    ("logoNumber", r#""000123""#),
    ("mobile", r#""+905325550187""#),
    ("name", r#""IP kamera 4 MP""#),
    ("nextCursor", r#""eyJpZCI6MTJ9""#),
    ("note", r#""deliver before noon""#),
    ("options", r#"{"lens": "2.8 mm"}"#),
    ("orderNumber", r#""ORD202611210001""#),
    ("orderId", "12"),
    ("parentCode", r#""GUVENLIK""#),
    ("paymentTermCode", r#""30""#),
    ("pdfUrl", r#""/media/invoice.pdf""#),
    ("permissions", r#"["orders.view"]"#),
    ("phone", r#""+902325550187""#),
    ("placedBy", r#""user:12""#),
    ("postalCode", r#""35250""#),
    ("prefix", r#""a1b2c3d4""#),
    ("priceListCode", r#""BAYI-2026""#),
    ("priceRule", r#""dealer""#),
    ("priceTier", r#""A""#),
    ("productCode", r#""KAM-001""#),
    ("productTypeCode", r#""CAMERA""#),
    ("quantity", "5"),
    ("reason", r#""this row gives the price""#),
    ("reference", r#""ORD202611210001""#),
    ("refreshToken", r#""krt_q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA""#),
    ("role", r#""dealer_purchasing""#),
    ("rule", r#""dealer""#),
    ("scopes", r#"["integration:write"]"#),
    ("shippingAddress", r#"{"title": "Depo", "line1": "Sanayi Cad. 3", "city": "İzmir"}"#),
    ("shortDescription", r#""4 MP, 2.8 mm""#),
    ("sku", r#""KAM-001""#),
    ("slug", r#""ip-kamera-4-mp""#),
    ("source", r#""logo""#),
    ("state", r#""active""#),
    ("stockQuantity", "120"),
    ("taxNumber", r#""1234567890""#),
    ("taxOffice", r#""Konak""#),
    ("taxRate", "20"),
    ("tier", r#""A""#),
    ("title", r#""Öz Bilişim Ltd. Şti.""#),
    ("token", r#""klt_q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA""#),
    ("tokenType", r#""Bearer""#),
    ("totalCount", "1"),
    ("town", r#""Konak""#),
    ("tradingGroup", r#""BAYI""#),
    ("unit", r#""ADET""#),
    ("updatedBy", r#""user:3""#),
    ("url", r#""/media/5f3a.webp""#),
    ("userState", r#""active""#),
    ("variantGroup", r#""KAM""#),
    ("vatRate", "20"),
    ("verdict", r#""won""#),
    ("warehouseCode", r#""0""#),
    ("warehouseName", r#""Merkez""#),
    ("weightUnit", r#""kg""#),
    // Whatever else is asked for as a word.
    ("status", r#""received""#),
    ("number", r#""ORD202611210001""#),
];

/// What a request shows beside what it must have.
const SHOWN: &[(&str, &[&str])] = &[
    ("ProductIn", &["listPrice", "dealerPrice", "currency", "stockQuantity", "taxRate"]),
    ("CustomerIn", &["taxOffice", "email", "phone", "priceTier", "creditLimit", "currency"]),
    ("PriceIn", &["priceListCode", "currency", "validFrom"]),
    ("ProductPricesIn", &["dealerPrice"]),
    ("StockIn", &["warehouseCode"]),
    ("Login", &["device"]),
    ("Register", &["phone", "taxOffice"]),
    ("CustomerEdit", &["code", "title", "taxNumber", "taxOffice", "email", "phone"]),
    ("OrderIn", &["lines", "paymentMethod", "note"]),
    ("LineIn", &["sku", "quantity"]),
    ("ProductEdit", &["code", "name", "sku", "unit", "categoryCode", "brandCode", "taxRate"]),
    ("ProductPricesEdit", &["listPrice", "dealerPrice"]),
    ("RejectDocument", &["reason"]),
    ("RotateIn", &["overlapHours"]),
    ("ReplayIn", &["events", "dryRun"]),
    ("WebhookEndpointChange", &["events", "enabled"]),
    ("UserChangeDocument", &["role", "state"]),
    ("NewUserDocument", &["companyId"]),
    ("Logout", &["refreshToken"]),
    ("DecisionIn", &["note"]),
    ("ReturnApproval", &["note"]),
    ("AddressIn", &["code", "title", "line1", "city"]),
];

/// So deep is what lies in itself shown.
const DEEPEST: usize = 12;

/// Gives every JSON document of the API's operations its example.
pub(super) fn describe(document: &mut OpenApi) {
    let whole = serde_json::to_value(&*document).unwrap_or_default();
    let schemas = &whole["components"]["schemas"];
    for (path, item) in &mut document.paths.paths {
        if !path.starts_with("/api/") {
            continue;
        }
        for operation in operations(item) {
            if let Some(RefOr::T(body)) = &mut operation.request_body {
                for (kind, content) in &mut body.content {
                    exemplify(&Maker { schemas, all: false }, kind, content);
                }
            }
            for (status, answer) in &mut operation.responses.responses {
                let RefOr::T(answer) = answer else { continue };
                if status.starts_with('2') {
                    for (kind, content) in &mut answer.content {
                        exemplify(&Maker { schemas, all: true }, kind, content);
                    }
                }
            }
        }
    }
}

fn exemplify(maker: &Maker<'_>, kind: &str, content: &mut RefOr<Content>) {
    let RefOr::T(content) = content else { return };
    if kind == "application/json" && content.example.is_none() {
        let schema = serde_json::to_value(&content.schema).unwrap_or_default();
        content.example = Some(maker.make(&schema, "", "", DEEPEST));
    }
}

struct Maker<'s> {
    schemas: &'s Value,
    /// Every field, and not only those that must be there.
    all: bool,
}

impl Maker<'_> {
    /// `owner` and `field`: where it stands.
    fn make(&self, schema: &Value, owner: &str, field: &str, deep: usize) -> Value {
        if let Some(name) = reference(schema) {
            return match deep.checked_sub(1) {
                Some(deep) => self.make(&self.schemas[name], name, field, deep),
                None => Value::Null,
            };
        }
        if let Some(example) = schema.get("example") {
            return example.clone();
        }
        if let Some(first) = schema.get("enum").and_then(|all| all.get(0)) {
            return first.clone();
        }
        if let Some(parts) = schema.get("allOf").and_then(Value::as_array) {
            let made = parts.iter().map(|part| self.make(part, owner, field, deep));
            let fields = made.filter_map(|part| part.as_object().cloned()).flatten();
            return Value::Object(fields.collect());
        }
        if let Some(ways) = schema.get("oneOf").or_else(|| schema.get("anyOf")).and_then(Value::as_array) {
            let way = ways.iter().find(|way| way["type"] != "null");
            return way.map_or(Value::Null, |way| self.make(way, owner, field, deep));
        }
        match self.named(schema, owner, field) {
            Some(value) => value,
            None => self.plain(schema, owner, field, deep),
        }
    }

    /// What the table says of this field, if it fits.
    fn named(&self, schema: &Value, owner: &str, field: &str) -> Option<Value> {
        let whole = format!("{owner}.{field}");
        let mut found = VALUES.iter().filter(|(name, _)| *name == whole || *name == field);
        found.find_map(|(_, text)| serde_json::from_str(text).ok().filter(|value| fits(schema, value)))
    }

    fn plain(&self, schema: &Value, owner: &str, field: &str, deep: usize) -> Value {
        match kind(schema) {
            "object" => self.object(schema, owner, deep),
            "array" => {
                let Some(deep) = deep.checked_sub(1) else { return json!([]) };
                let item = &schema["items"];
                // What holds its own kind is shown once.
                let own = reference(item).is_some_and(|name| name == owner);
                if own { json!([]) } else { json!([self.make(item, owner, field, deep)]) }
            }
            "string" => json!(text(schema)),
            "integer" => json!(schema["minimum"].as_i64().unwrap_or(0).max(1)),
            "number" => json!(schema["minimum"].as_f64().unwrap_or(0.0).max(100.5)),
            "boolean" => json!(true),
            _ => Value::Null,
        }
    }

    fn object(&self, schema: &Value, owner: &str, deep: usize) -> Value {
        let Some(fields) = schema.get("properties").and_then(Value::as_object) else { return json!({}) };
        let Some(deep) = deep.checked_sub(1) else { return json!({}) };
        let must = schema["required"].as_array();
        let must = |field: &str| must.is_some_and(|all| all.iter().any(|one| one == field));
        let shown = SHOWN.iter().find(|(name, _)| *name == owner).map_or(&[][..], |(_, fields)| fields);
        let shows = |field: &str| self.all || must(field) || shown.contains(&field);
        let made = fields
            .iter()
            .filter(|(field, _)| shows(field))
            .map(|(field, schema)| (field.clone(), self.make(schema, owner, field, deep)));
        Value::Object(made.collect::<Map<_, _>>())
    }
}

fn reference(schema: &Value) -> Option<&str> {
    schema.get("$ref")?.as_str()?.strip_prefix("#/components/schemas/")
}

/// The first that is not null.
fn kind(schema: &Value) -> &str {
    match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null").unwrap_or_default(),
        kind => kind.as_str().unwrap_or_default(),
    }
}

fn fits(schema: &Value, value: &Value) -> bool {
    let format = schema["format"].as_str().unwrap_or_default();
    match (kind(schema), value) {
        (_, Value::Null) => schema["type"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "null")),
        ("string", Value::String(_)) => !["date", "date-time", "uuid", "password"].contains(&format),
        ("integer", Value::Number(number)) => number.is_i64(),
        ("number", Value::Number(_)) | ("object", Value::Object(_)) | ("array", Value::Array(_)) => true,
        _ => false,
    }
}

fn text(schema: &Value) -> &'static str {
    match schema["format"].as_str() {
        Some("date-time") => "2026-11-21T09:30:00Z",
        Some("date") => "2026-11-21",
        Some("uuid") => "0199a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b",
        Some("password") => "Kopru-2026",
        _ => "text",
    }
}
