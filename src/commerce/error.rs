//! What a command fails with as a whole, and how a database error is turned into a rule of the data.

use super::{outcome::Violation, ownership};

#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error("the store refused the page")]
    Database(#[from] sqlx::Error),
    #[error("an event could not be written as JSON")]
    Event(#[from] serde_json::Error),
}

impl CommandError {
    /// Another transaction got in between: a deadlock, a serialisation failure, or a key that was free when it was
    /// checked. The page is to be tried again at once, in a new transaction; no attempt is spent.
    pub fn retry_at_once(&self) -> bool {
        let CommandError::Database(error) = self else { return false };
        let Some(database) = error.as_database_error() else { return false };
        matches!(database.code().as_deref(), Some("40001" | "40P01" | "55P03")) || self.is_taken_key()
    }

    /// Another record has a key of the page: a code, a SKU.
    pub fn is_taken_key(&self) -> bool {
        let CommandError::Database(error) = self else { return false };
        error.as_database_error().is_some_and(|database| {
            database.is_unique_violation() && database.constraint().is_some_and(|name| name.ends_with("_key"))
        })
    }

    /// The rule of the data that was broken, if it was one: the caller halves the page until the row is alone.
    pub fn violation(&self) -> Option<Violation> {
        match self {
            CommandError::Database(error) => violation_of(error),
            CommandError::Event(_) => None,
        }
    }
}

/// Integrity and data errors as a violation; `None` for what is no fault of the data (connection, syntax, resources).
pub fn violation_of(error: &sqlx::Error) -> Option<Violation> {
    let database = error.as_database_error()?;
    let state = database.code()?;
    if !state.starts_with("22") && !state.starts_with("23") {
        return None;
    }
    let (field, rule) = database
        .table()
        .zip(database.constraint())
        .and_then(|(table, constraint)| rule_of(table, constraint))
        .unwrap_or(("", "refused_by_store"));
    Some(Violation { field, rule, value: None, detail: database.message().to_owned() })
}

/// Field and rule of a constraint, read off its name: `<table>_<column>_<what it says>`. A test holds this against
/// every constraint of the schema.
fn rule_of(table: &str, constraint: &str) -> Option<(&'static str, &'static str)> {
    match constraint {
        "category_parent_other" => return Some(("parent", "cycle")),
        "price_valid_range" => return Some(("validTo", "out_of_range")),
        "stock_level_place_key" => return Some(("warehouse", "unique")),
        "stock_level_warehouse_id_fkey" => return Some(("warehouse", "missing_reference")),
        "customer_tax_number_judged" => return Some(("taxNumber", "format")),
        _ if table == "stock_movement" => return Some(("quantity", "refused_by_store")),
        _ if constraint.starts_with("price_role_") => return Some(("role", "role_columns")),
        _ => {}
    }
    let (column, rule) = SUFFIXES.iter().find_map(|(suffix, rule)| {
        let column = constraint.strip_prefix(table)?.strip_prefix('_')?.strip_suffix(suffix)?;
        Some((column, *rule))
    })?;
    let field = match table {
        "product_unit" | "unit_set_line" => "units",
        "product_image" => "images",
        "customer_address" => "addresses",
        // A line is told by its document's list.
        "invoice_line" | "return_line" => "lines",
        "ledger_entry" | "invoice" | "return_request" | "return_history" => {
            let name = match column {
                "external_id" => "externalId".to_owned(),
                column => camel_case(column.strip_suffix("_id").unwrap_or(column)),
            };
            DOCUMENT_FIELDS.iter().copied().find(|field| *field == name)?
        }
        _ => ownership::field_named(&camel_case(column.strip_suffix("_id").unwrap_or(column)))?,
    };
    Some((field, rule))
}

/// The fields of ledger entries, invoices and returns that a rule may name.
const DOCUMENT_FIELDS: &[&str] = &[
    "credit",
    "currency",
    "customer",
    "debit",
    "decided",
    "decisionNote",
    "description",
    "discount",
    "documentNumber",
    "exchangeRate",
    "externalId",
    "kind",
    "note",
    "number",
    "order",
    "pdfUrl",
    "profile",
    "reason",
    "received",
    "reference",
    "replacedBy",
    "return",
    "state",
    "status",
    "subtotal",
    "tax",
    "total",
    "warehouse",
];

const SUFFIXES: &[(&str, &str)] = &[
    ("_fkey", "missing_reference"),
    ("_key", "unique"),
    ("_pkey", "unique"),
    ("_length", "too_long"),
    ("_not_negative", "negative"),
    ("_positive", "not_positive"),
    ("_range", "out_of_range"),
    ("_known", "unknown_value"),
    ("_format", "format"),
    ("_object", "format"),
    ("_agrees", "out_of_range"),
    ("_main_is_one", "main_factor"),
    ("_is_one", "main_factor"),
    ("one_main", "one_main"),
    ("one_default", "one_default"),
];

fn camel_case(column: &str) -> String {
    let mut words = column.split('_');
    let mut name = words.next().unwrap_or_default().to_owned();
    for word in words {
        let (head, tail) = word.split_at(word.len().min(1));
        name.push_str(&head.to_ascii_uppercase());
        name.push_str(tail);
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The migrations' own text: no database is needed to know what they name.
    const MIGRATIONS: &[&str] = &[
        include_str!("../../migrations/20261121001010_create_catalogue.sql"),
        include_str!("../../migrations/20261121001020_create_customers.sql"),
        include_str!("../../migrations/20261121001030_create_prices.sql"),
        include_str!("../../migrations/20261121001040_create_stock.sql"),
        include_str!("../../migrations/20261121003400_create_ledger.sql"),
        include_str!("../../migrations/20261121003410_create_invoices.sql"),
        include_str!("../../migrations/20261121003420_create_returns.sql"),
    ];

    #[test]
    fn every_constraint_names_its_field_and_rule() {
        let mut table = "";
        let mut seen = 0;
        for line in MIGRATIONS.iter().flat_map(|migration| migration.lines()) {
            if let Some(rest) = line.strip_prefix("create table commerce.") {
                table = rest.trim_end_matches(" (");
            }
            let constraint = line.trim().strip_prefix("constraint ").and_then(|rest| rest.split(' ').next());
            let Some(constraint) = constraint.filter(|name| !name.ends_with("_pkey")) else { continue };
            assert!(rule_of(table, constraint).is_some(), "{constraint} of {table}");
            seen += 1;
        }
        assert!(seen > 90, "{seen}");
    }

    #[test]
    fn fields_have_their_canonical_names() {
        assert_eq!(rule_of("product", "product_sku_key"), Some(("sku", "unique")));
        assert_eq!(rule_of("product", "product_unit_set_id_fkey"), Some(("unitSet", "missing_reference")));
        assert_eq!(rule_of("price", "price_role_special"), Some(("role", "role_columns")));
        assert_eq!(rule_of("product_unit", "product_unit_one_main"), Some(("units", "one_main")));
        assert_eq!(rule_of("somewhere", "else"), None);
    }
}
