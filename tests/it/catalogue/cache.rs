//! What is kept of the catalogue: the same bytes as what is read, never older than its rule allows, nobody else's price.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use kopru::{
    audit::Actor,
    commerce::{
        catalogue::{Filter, Sort, Viewer},
        pricing::{Dealer, Quote},
    },
    http::Catalogue,
    identity::api_keys::{self, NewKey},
    page::PageRequest,
    principal::Role,
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Shop, codes, figure};
use crate::{
    push::intake,
    support::{
        dealers::number,
        hub::{ERP, eventually},
        served::{Served, generous, json_of},
    },
};

/// A shop whose hub keeps what it reads, and the same catalogue to be asked by hand.
struct Keeping {
    shop: Shop,
    catalogue: Catalogue,
    _pictures: tempfile::TempDir,
}

impl Keeping {
    async fn over(mut shop: Shop) -> Keeping {
        let pictures = tempfile::tempdir().expect("a directory");
        let catalogue =
            Catalogue::open(shop.served.pool().clone(), false, 4 * 1024 * 1024, pictures.path()).expect("opened");
        shop.served.serve_catalogue(catalogue.clone()).await;
        let keeping = Keeping { shop, catalogue, _pictures: pictures };
        keeping.awake().await;
        keeping
    }

    fn viewer(&self) -> Viewer {
        Viewer {
            dealer: Dealer { customer_id: Some(self.shop.dealer), allow_zero_price: false },
            day: NaiveDate::default(),
            sees_stock: true,
            sees_costs: false,
            sees_all: false,
        }
    }

    /// Whether a list is answered from what is kept.
    async fn keeps(&self) -> bool {
        let page = PageRequest::new(None, None).expect("a page");
        let kept = self.catalogue.reader.kept_list(&self.viewer(), &Filter::default(), Sort::Name, &page, false).await;
        kept.expect("read").is_some()
    }

    async fn awake(&self) {
        eventually("the feed is read", || self.keeps()).await;
    }

    /// Until the owner's first product of a list shows this.
    async fn shows(&self, what: &str, query: &str, holds: impl Fn(&Value) -> bool) {
        eventually(what, || async { holds(&self.shop.list(query).await["items"][0]) }).await;
    }
}

fn amount(item: &Value) -> String {
    figure(&item["price"]["amount"])
}

#[tokio::test]
async fn what_is_kept_is_written_as_what_is_read() {
    let shop = Shop::open().await;
    let category = shop.category("T", None).await;
    for (code, name) in [("A", "Işıklı \"price\":null,\"inStock\":false, siren"), ("B", "Kamera"), ("C", "Çelik kapı")]
    {
        let id = shop.product(code, name, Some("9.5")).await;
        shop.stock(id, "0", "7.5").await;
        shop.sql(&format!(
            "update commerce.product set category_id = {category}, attributes = '{{\"price\": null, \"inStock\": false}}'
             where id = {id}"
        ))
        .await;
    }
    let unpriced = shop.product("D", "D", None).await;
    shop.sql(&format!("update commerce.product set track_stock = false where id = {unpriced}")).await;
    let paths: Vec<String> =
        ["", "?limit=2", "?search=kamera", "?category=T&count=true", "?sort=-name", "?sort=newest&limit=1", "?brand=x"]
            .iter()
            .map(|query| format!("/api/v1/products{query}"))
            .chain([format!("/api/v1/products/{unpriced}"), "/api/v1/products/by-sku/SKU-A".to_owned()])
            .collect();
    let read = async |shop: &Shop| {
        let mut seen = Vec::new();
        for path in &paths {
            for token in [&shop.owner, &shop.viewer, &shop.editor, &shop.manager] {
                // Twice: as it is read to be kept, and as it is kept.
                for _ in 0..2 {
                    let answer = shop.served.get(path, token).await;
                    assert_eq!(answer.status(), StatusCode::OK, "{path}");
                    seen.push((path.clone(), answer.text().await.expect("a body")));
                }
            }
        }
        seen
    };
    let plain = read(&shop).await;
    let keeping = Keeping::over(shop).await;
    let kept = read(&keeping.shop).await;
    for (one, other) in plain.iter().zip(&kept) {
        assert_eq!(one, other);
    }
    assert!(keeping.keeps().await);
}

#[tokio::test]
async fn a_change_by_anybody_is_shown() {
    let shop = Shop::open().await;
    let category = shop.category("T", None).await;
    let product = shop.product("A", "Aaa", Some("9")).await;
    shop.product("B", "Bbb", Some("5")).await;
    shop.stock(product, "0", "4").await;
    shop.sql(&format!("update commerce.product set category_id = {category} where id = {product}")).await;
    let list = shop
        .number(
            "insert into commerce.price_list (code, name, created_at, updated_at, created_by, updated_by)
         values ('L', 'L', now(), now(), 'test', 'test') returning id",
        )
        .await;
    shop.price(product, "price_list", "3", &format!("price_list_id={list}")).await;
    shop.sql(&format!(
        "insert into commerce.price (product_id, code, role, tier, currency, amount, created_at, updated_at, created_by, updated_by)
         values ({product}, 'tier', 'tier', 'B', 'TRY', 4, now(), now(), 'test', 'test')"
    ))
    .await;
    let keeping = Keeping::over(shop).await;
    let shop = &keeping.shop;
    let item = shop.list("").await["items"][0].clone();
    assert_eq!((amount(&item), figure(&item["stockQuantity"])), ("9".to_owned(), "4".to_owned()));

    shop.sql("update commerce.price set amount = 8 where role = 'dealer' and amount = 9").await;
    keeping.shows("a price", "", |item| amount(item) == "8").await;
    shop.sql("update commerce.stock_level set quantity = 3").await;
    keeping.shows("a stock level", "", |item| figure(&item["stockQuantity"]) == "3").await;
    shop.sql("update commerce.category set name = 'Yeni'").await;
    keeping.shows("a category's name", "", |item| item["category"]["name"] == "Yeni").await;
    shop.sql(&format!("update commerce.customer set price_tier = 'B' where id = {}", shop.dealer)).await;
    keeping.shows("a tier", "", |item| amount(item) == "4").await;
    shop.sql(&format!("insert into commerce.customer_price_list values ({}, {list}, 1)", shop.dealer)).await;
    keeping.shows("an assignment", "", |item| amount(item) == "3").await;
    shop.sql("update commerce.price_list set is_active = false").await;
    keeping.shows("a list that is closed", "", |item| amount(item) == "4").await;
    shop.sql("delete from commerce.price where role = 'tier'").await;
    keeping.shows("a price that is gone", "", |item| amount(item) == "8").await;
    let other = shop.number("select id from commerce.product where code = 'B'").await;
    shop.sql(&format!("update commerce.price set product_id = {other} where amount = 8")).await;
    keeping.shows("a price that moved", "", |item| item["price"].is_null() || amount(item) != "8").await;
    shop.sql("update commerce.product set name = 'Zzz' where code = 'A'").await;
    keeping.shows("another order", "", |item| item["code"] == "B").await;
    shop.sql("update commerce.product set is_active = false where code = 'B'").await;
    keeping.shows("a closed product", "", |item| item["code"] == "A").await;
    let path = format!("/api/v1/products/{other}");
    assert_eq!(shop.served.get(&path, &shop.owner).await.status(), StatusCode::NOT_FOUND);
    shop.product("C", "Ccc", None).await;
    eventually("a new product", || async { shop.codes("").await == ["C", "A"] }).await;
    assert!(keeping.keeps().await);
}

#[tokio::test]
async fn ones_own_edit_is_shown_at_once() {
    let shop = Shop::open().await;
    let product = shop.product("A", "A", Some("9")).await;
    let keeping = Keeping::over(shop).await;
    let shop = &keeping.shop;
    let path = format!("/api/v1/products/{product}");
    for price in ["7", "6", "5"] {
        let set = shop.send(Method::PUT, &format!("{path}/price"), json!({"dealerPrice": price})).await;
        json_of(set, StatusCode::OK).await;
        assert_eq!(amount(&shop.get(&path, &shop.owner).await), price);
        assert_eq!(amount(&shop.list("").await["items"][0]), price);
    }
}

#[tokio::test]
async fn nobody_sees_anothers_price() {
    let shop = Shop::open().await;
    let product = shop.product("A", "A", Some("9")).await;
    shop.price(product, "special", "7", &format!("customer_id={}", shop.dealer)).await;
    shop.price(product, "special", "3", &format!("customer_id={}", shop.rival)).await;
    let rival = shop.served.token(Role::DealerOwner, Some(shop.rival)).await;
    let nobody = shop.served.token(Role::ContentManager, None).await;
    let keeping = Keeping::over(shop).await;
    let shop = &keeping.shop;
    for _ in 0..3 {
        for (token, price) in [(&shop.owner, "7"), (&rival, "3"), (&nobody, "9")] {
            assert_eq!(amount(&shop.get("/api/v1/products", token).await["items"][0]), price);
            assert_eq!(amount(&shop.get(&format!("/api/v1/products/{product}"), token).await), price);
        }
        let named = shop.get(&format!("/api/v1/products?customerId={}", shop.rival), &shop.manager).await;
        assert_eq!(amount(&named["items"][0]), "3");
    }
    assert!(shop.get(&format!("/api/v1/products/{product}"), &shop.viewer).await.get("stock").is_none());
}

#[tokio::test]
async fn a_feed_that_cannot_be_read_means_that_nothing_kept_is_shown() {
    let shop = Shop::open().await;
    shop.product("A", "A", Some("9")).await;
    let keeping = Keeping::over(shop).await;
    let shop = &keeping.shop;
    assert_eq!(amount(&shop.list("").await["items"][0]), "9");
    shop.sql("alter table commerce.price disable trigger user").await;
    shop.sql("alter table commerce.catalogue_change rename to hidden").await;
    eventually("it is given up", || async { !keeping.keeps().await }).await;
    // Nobody tells of it, and it is shown all the same: it is read.
    for price in ["8", "7"] {
        shop.sql(&format!("update commerce.price set amount = {price}")).await;
        assert_eq!(amount(&shop.list("").await["items"][0]), price);
    }
    shop.sql("alter table commerce.hidden rename to catalogue_change").await;
    keeping.awake().await;
    assert_eq!(amount(&shop.list("").await["items"][0]), "7", "what was kept before is not believed any more");
}

#[tokio::test]
async fn a_price_ends_with_its_day() {
    let shop = Shop::open().await;
    let product = shop.product("A", "A", Some("9")).await;
    let now: DateTime<Utc> = shop.served.clock.now();
    let today = (now + TimeDelta::hours(3)).date_naive();
    shop.price(product, "special", "7", &format!("customer_id={}", shop.dealer)).await;
    shop.sql(&format!("update commerce.price set valid_to = '{today}' where role = 'special'")).await;
    let keeping = Keeping::over(shop).await;
    let shop = &keeping.shop;
    assert_eq!(amount(&shop.list("").await["items"][0]), "7");
    shop.served.clock.advance(TimeDelta::days(1));
    let tomorrow = shop.served.token(Role::DealerOwner, Some(shop.dealer)).await;
    let page = shop.get("/api/v1/products", &tomorrow).await;
    assert_eq!((codes(&page), amount(&page["items"][0])), (vec!["A".to_owned()], "9".to_owned()));
}

#[tokio::test]
async fn what_is_changed_through_another_hub_is_shown() {
    let shop = Shop::open().await;
    let product = shop.product("A", "A", Some("9")).await;
    shop.stock(product, "0", "4").await;
    let keeping = Keeping::over(shop).await;
    let shop = &keeping.shop;
    let pictures = tempfile::tempdir().expect("a directory");
    let other = Catalogue::open(shop.served.pool().clone(), false, 4 * 1024 * 1024, pictures.path()).expect("opened");
    let other = shop.served.serve_beside(other).await;
    let seen = async || {
        let request = shop.served.client.get(format!("http://{other}/api/v1/products")).bearer_auth(&shop.owner);
        let page = json_of(request.send().await.expect("an answer"), StatusCode::OK).await;
        page["items"][0].clone()
    };
    // Both have it, and keep it.
    assert_eq!(amount(&seen().await), "9");
    assert_eq!(amount(&shop.list("").await["items"][0]), "9");
    let path = format!("/api/v1/products/{product}");
    let edits = [
        (Method::PUT, format!("{path}/price"), json!({"dealerPrice": "7"})),
        (Method::PUT, format!("{path}/stock"), json!({"quantity": 3})),
        (Method::POST, "/api/v1/products".to_owned(), json!({"id": product, "name": "B"})),
    ];
    for (method, path, body) in edits {
        json_of(shop.send(method, &path, body).await, StatusCode::OK).await;
    }
    assert_eq!(amount(&shop.list("").await["items"][0]), "7", "here it is shown at once");
    eventually("the other hub shows the price", || async { amount(&seen().await) == "7" }).await;
    eventually("the other hub shows the stock", || async { figure(&seen().await["stockQuantity"]) == "3" }).await;
    eventually("the other hub shows the name", || async { seen().await["name"] == "B" }).await;
}

#[tokio::test]
async fn what_is_pushed_to_the_hub_is_shown() {
    let served = Served::over(intake::hub().await, generous()).await;
    intake::catalogue(&served.hub).await;
    let keeping = Keeping::over(Shop::over(served).await).await;
    let shop = &keeping.shop;
    let new = NewKey {
        name: "LOGO".to_owned(),
        instance: ERP.to_owned(),
        scopes: vec!["integration:write".to_owned()],
        allowed_networks: Vec::new(),
        rate_per_minute: None,
        expires_at: None,
    };
    let mut tx = shop.served.pool().begin().await.expect("a transaction");
    let by = Actor::new("cli:test", "test");
    let (_, key) = api_keys::create(&mut tx, by, &new, DateTime::<Utc>::UNIX_EPOCH).await.expect("a key");
    tx.commit().await.expect("committed");
    let push = async |path: &str, body: Value| {
        let url = format!("http://{}/api/integration/{path}", shop.served.address);
        let request = shop.served.client.post(url).header("x-api-key", key.expose()).json(&body);
        json_of(request.send().await.expect("an answer"), StatusCode::OK).await
    };
    push("products", intake::product("A")).await;
    keeping.shows("a pushed card", "", |item| item["code"] == "A" && amount(item) == "100").await;
    push("products/prices", json!({"code": "A", "listPrice": 120, "dealerPrice": 90})).await;
    keeping.shows("a pushed price", "", |item| amount(item) == "90").await;
    push("products/stock", json!({"code": "A", "quantity": 2})).await;
    keeping.shows("a pushed stock level", "", |item| figure(&item["stockQuantity"]) == "2").await;
    push("products", intake::with(intake::product("A"), json!({"name": "Yeni ad"}))).await;
    keeping.shows("a pushed name", "", |item| item["name"] == "Yeni ad").await;
    assert!(keeping.keeps().await);
}

impl Keeping {
    /// A page by code, while nobody can read pictures, which every product is read with: so it is made of what is kept.
    async fn without_reading(&self) -> Option<Vec<(String, String)>> {
        let mut block = self.shop.served.pool().begin().await.expect("begin");
        let lock = "lock table commerce.product_image in access exclusive mode";
        sqlx::query(lock).execute(&mut *block).await.expect("locked");
        let page = PageRequest::new(Some(100), None).expect("a page");
        let (viewer, filter) = (self.viewer(), Filter::default());
        let listed = self.catalogue.reader.kept_list(&viewer, &filter, Sort::Code, &page, false);
        // Whoever has to read waits for the lock; it is tried again then.
        let listed = tokio::time::timeout(Duration::from_secs(2), listed).await.ok()?.expect("read")?.expect("a page");
        let amount = |quote: Option<Quote>| quote.map(|quote| quote.amount()).unwrap_or_default().to_string();
        let texts = listed.items().map(|(goods, quote)| (goods.written.head.escape_ascii().to_string(), amount(quote)));
        Some(texts.collect())
    }
}

#[tokio::test]
async fn what_nobody_has_asked_for_is_kept_already_and_what_changes_is_renewed() {
    let shop = Shop::open().await;
    let mut ids = Vec::new();
    for number in 0..60 {
        ids.push(shop.product(&format!("P{number:02}"), &format!("Kamera {number}"), Some("9.5")).await);
    }
    let keeping = Keeping::over(shop).await;
    eventually("all products are kept", || async { keeping.without_reading().await.is_some() }).await;
    let shown = keeping.without_reading().await.expect("kept");
    assert_eq!(shown.len(), 60);
    assert!(shown.iter().all(|(_, amount)| amount.parse() == Ok(number("9.5"))), "{shown:?}");

    let changes = format!(
        "update commerce.price set amount = 7 where product_id = {}; update commerce.product set name = 'Siren' where id = {}",
        ids[3], ids[50]
    );
    for change in changes.split(';') {
        keeping.shop.sql(change).await;
    }
    eventually("what changed is kept again", || async {
        let Some(shown) = keeping.without_reading().await else { return false };
        shown[3].1.parse() == Ok(number("7")) && shown[50].0.contains("Siren")
    })
    .await;
}
