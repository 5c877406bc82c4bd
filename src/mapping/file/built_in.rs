//! The mapping files of the repository, compiled in: the program runs without a directory beside it.

macro_rules! built_in {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/mappings/", $path)))),*]
    };
}

/// Path below `mappings/`, and text; in the order of the paths. A test compares the list with the directory.
pub(super) const BUILT_IN: &[(&str, &str)] = built_in![
    "csv/prices.cases.toml",
    "csv/prices.toml",
    "csv/products.cases.toml",
    "csv/products.toml",
    "csv/stock.cases.toml",
    "csv/stock.toml",
    "csv/tables.toml",
    "integration/brands.cases.toml",
    "integration/brands.toml",
    "integration/categories.cases.toml",
    "integration/categories.toml",
    "integration/customers.cases.toml",
    "integration/customers.toml",
    "integration/invoices.cases.toml",
    "integration/invoices.toml",
    "integration/prices.cases.toml",
    "integration/prices.toml",
    "integration/product_cost_prices.cases.toml",
    "integration/product_cost_prices.toml",
    "integration/product_dealer_prices.cases.toml",
    "integration/product_dealer_prices.toml",
    "integration/product_list_prices.cases.toml",
    "integration/product_list_prices.toml",
    "integration/product_stock.cases.toml",
    "integration/product_stock.toml",
    "integration/products.cases.toml",
    "integration/products.toml",
    "integration/stock.cases.toml",
    "integration/stock.toml",
    "logo/brands.cases.toml",
    "logo/brands.toml",
    "logo/customer_cards.cases.toml",
    "logo/customer_cards.toml",
    "logo/customers.cases.toml",
    "logo/customers.toml",
    "logo/group_codes.cases.toml",
    "logo/group_codes.toml",
    "logo/invoices.cases.toml",
    "logo/invoices.toml",
    "logo/items.cases.toml",
    "logo/items.toml",
    "logo/ledger.cases.toml",
    "logo/ledger.toml",
    "logo/orders.cases.toml",
    "logo/orders.toml",
    "logo/prices.cases.toml",
    "logo/prices.toml",
    "logo/return_slips.cases.toml",
    "logo/return_slips.toml",
    "logo/sales_orders.cases.toml",
    "logo/sales_orders.toml",
    "logo/stock.cases.toml",
    "logo/stock.toml",
    "logo/tables.toml",
    "logo/unit_sets.cases.toml",
    "logo/unit_sets.toml",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_the_directory() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings");
        let mut found = Vec::new();
        for system in std::fs::read_dir(root).unwrap() {
            let system = system.unwrap().path();
            for file in std::fs::read_dir(&system).unwrap() {
                let name = |path: &std::path::Path| path.file_name().unwrap().to_string_lossy().into_owned();
                found.push(format!("{}/{}", name(&system), name(&file.unwrap().path())));
            }
        }
        found.sort();
        let listed: Vec<&str> = BUILT_IN.iter().map(|(path, _)| *path).collect();
        assert_eq!(listed, found);
    }
}
