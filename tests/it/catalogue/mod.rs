//! The catalogue through its routes: who sees what at which price, pages that fit together, edits by hand.

mod bad_input;
mod cache;
mod edits;
mod overrides;
mod pages;
mod pictures;
mod reading;
mod search;
mod shelf;
mod written;

use kopru::principal::Role;
use reqwest::{Method, StatusCode};
use serde_json::Value;
use sqlx::AssertSqlSafe;

use crate::support::{
    people::company,
    served::{Served, json_of},
};

/// Two dealers, a small catalogue, and a token for each who asks.
struct Shop {
    served: Served,
    dealer: i64,
    rival: i64,
    /// Of the dealer's owner, who sees stock.
    owner: String,
    /// Of a dealer's viewer, who does not.
    viewer: String,
    /// Edits products, prices and stock.
    editor: String,
    /// Sees customers and costs.
    manager: String,
}

impl Shop {
    async fn open() -> Shop {
        Shop::over(Served::new().await).await
    }

    async fn over(served: Served) -> Shop {
        let dealer = company(served.pool(), "120.34.001").await;
        let rival = company(served.pool(), "120.35.001").await;
        let owner = served.token(Role::DealerOwner, Some(dealer)).await;
        let viewer = served.token(Role::DealerViewer, Some(dealer)).await;
        let editor = served.token(Role::ContentManager, None).await;
        let manager = served.token(Role::SalesManager, None).await;
        Shop { served, dealer, rival, owner, viewer, editor, manager }
    }

    async fn sql(&self, text: &str) {
        sqlx::query(AssertSqlSafe(text.to_owned())).execute(self.served.pool()).await.expect("done");
    }

    async fn number(&self, text: &str) -> i64 {
        sqlx::query_scalar(AssertSqlSafe(text.to_owned())).fetch_one(self.served.pool()).await.expect("a number")
    }

    /// A product as it is stored: the name, and a dealer price when there is one.
    async fn product(&self, code: &str, name: &str, dealer_price: Option<&str>) -> i64 {
        let id: i64 = sqlx::query_scalar(
            "insert into commerce.product (created_at, updated_at, code, sku, name, slug, unit, vat_rate, created_by, updated_by)
             values (clock_timestamp(), clock_timestamp(), $1, 'SKU-' || $1, $2, $1, 'ADET', 20, 'test', 'test') returning id",
        )
        .bind(code)
        .bind(name)
        .fetch_one(self.served.pool())
        .await
        .expect("a product");
        if let Some(amount) = dealer_price {
            self.price(id, "dealer", amount, "").await;
        }
        id
    }

    /// A price row; `more` are further columns and values, `customer_id = 1`.
    async fn price(&self, product: i64, role: &str, amount: &str, more: &str) -> i64 {
        self.number(&format!(
                "insert into commerce.price (product_id, code, role, currency, amount, created_at, updated_at, created_by,
                     updated_by{columns})
                 values ({product}, gen_random_uuid()::text, '{role}', 'TRY', {amount}, now(), now(), 'test', 'test'{values})
                 returning id",
                columns = more.split_once('=').map_or(String::new(), |(column, _)| format!(", {column}")),
                values = more.split_once('=').map_or(String::new(), |(_, value)| format!(", {value}")),
            ))
            .await
    }

    async fn stock(&self, product: i64, warehouse: &str, quantity: &str) {
        self.sql(&format!(
            "insert into commerce.warehouse (code, name, created_at, updated_at, created_by, updated_by)
             values ('{warehouse}', 'Depo {warehouse}', now(), now(), 'test', 'test') on conflict do nothing"
        ))
        .await;
        self.sql(&format!(
            "insert into commerce.stock_level (product_id, warehouse_id, quantity, created_at, updated_at)
             select {product}, id, {quantity}, now(), now() from commerce.warehouse where code = '{warehouse}'"
        ))
        .await;
    }

    async fn category(&self, code: &str, parent: Option<i64>) -> i64 {
        let parent = parent.map_or("null".to_owned(), |id| id.to_string());
        self.number(&format!(
            "insert into commerce.category (code, name, parent_id, created_at, updated_at, created_by, updated_by)
             values ('{code}', 'Grup {code}', {parent}, now(), now(), 'test', 'test') returning id"
        ))
        .await
    }

    /// The record comes from the instance `logo`.
    async fn link(&self, entity: &str, id: i64) {
        self.sql(&format!(
            "insert into hub.external_ref (connector, entity, external_code, internal_id) values ('logo', '{entity}', 'X{id}', {id})"
        ))
        .await;
    }

    async fn get(&self, path: &str, token: &str) -> Value {
        json_of(self.served.get(path, token).await, StatusCode::OK).await
    }

    async fn list(&self, query: &str) -> Value {
        self.get(&format!("/api/v1/products{query}"), &self.owner).await
    }

    /// The codes of a list, in its order.
    async fn codes(&self, query: &str) -> Vec<String> {
        codes(&self.list(query).await)
    }

    async fn send(&self, method: Method, path: &str, body: Value) -> reqwest::Response {
        self.served.send(method, path, &self.editor, &body).await
    }
}

fn codes(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().expect("items");
    items.iter().map(|item| item["code"].as_str().expect("a code").to_owned()).collect()
}

/// The number as it stands in the answer.
fn figure(value: &Value) -> String {
    value.to_string()
}
