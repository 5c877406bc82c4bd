//! What each sees.

use chrono::TimeDelta;
use reqwest::StatusCode;
use serde_json::json;

use super::{Shop, codes, figure};
use crate::support::{
    hub::Hub,
    served::{Served, generous, json_of, problem_of},
};
use kopru::principal::Role;

#[tokio::test]
async fn a_dealer_sees_their_own_price_and_nobody_elses() {
    let shop = Shop::open().await;
    let product = shop.product("KMR", "Kamera", Some("90")).await;
    shop.price(product, "list", "100", "").await;
    shop.price(product, "special", "70.5", &format!("customer_id={}", shop.dealer)).await;
    shop.price(product, "special", "60", &format!("customer_id={}", shop.rival)).await;

    let item = shop.list("").await["items"][0].clone();
    assert_eq!(figure(&item["price"]["amount"]), "70.5");
    assert_eq!((&item["price"]["currency"], &item["price"]["rule"]), (&json!("TRY"), &json!("special")));
    let path = format!("/api/v1/products/{product}");
    assert_eq!(figure(&shop.get(&path, &shop.owner).await["price"]["amount"]), "70.5");
    let by_sku = shop.get("/api/v1/products/by-sku/SKU-KMR", &shop.owner).await;
    assert_eq!(by_sku["id"], product);

    // The house sees what holds for everybody, or a dealer's price by name.
    assert_eq!(figure(&shop.get(&path, &shop.manager).await["price"]["amount"]), "90");
    for (whose, amount) in [(shop.dealer, "70.5"), (shop.rival, "60")] {
        let seen = shop.get(&format!("{path}?customerId={whose}"), &shop.manager).await;
        assert_eq!(figure(&seen["price"]["amount"]), amount);
        let listed = shop.get(&format!("/api/v1/products?customerId={whose}"), &shop.manager).await;
        assert_eq!(figure(&listed["items"][0]["price"]["amount"]), amount);
    }
    // A dealer's own id is theirs to name; another's is as good as none.
    let own = shop.served.get(&format!("{path}?customerId={}", shop.dealer), &shop.owner).await;
    assert_eq!(own.status(), StatusCode::OK);
    for path in ["/api/v1/products".to_owned(), path.clone(), format!("{path}/price")] {
        for id in [shop.rival, 999_999] {
            let answer = shop.served.get(&format!("{path}?customerId={id}"), &shop.owner).await;
            problem_of(answer, 404, "not_found").await;
        }
        let answer = shop.served.get(&format!("{path}?customerId=999999"), &shop.manager).await;
        problem_of(answer, 404, "not_found").await;
        let answer = shop.served.get(&format!("{path}?customerId={}", shop.dealer), &shop.editor).await;
        problem_of(answer, 403, "permission_missing").await;
    }
}

#[tokio::test]
async fn a_price_is_explained_row_by_row() {
    let shop = Shop::open().await;
    let product = shop.product("KMR", "Kamera", Some("90")).await;
    shop.price(product, "list", "100", "").await;
    let bulk = shop.price(product, "dealer", "80", "min_quantity=10").await;
    shop.price(product, "special", "1", &format!("customer_id={}", shop.rival)).await;
    let path = format!("/api/v1/products/{product}/price");

    let one = shop.get(&path, &shop.owner).await;
    assert_eq!((figure(&one["price"]["amount"]), figure(&one["quantity"])), ("90".to_owned(), "1".to_owned()));
    let verdicts = |answer: &serde_json::Value| -> Vec<String> {
        let rows = answer["candidates"].as_array().expect("rows").iter();
        rows.map(|row| format!("{} {}", figure(&row["amount"]), row["verdict"].as_str().expect("a word"))).collect()
    };
    assert_eq!(verdicts(&one), ["90 won", "100 lower_rule", "80 below_min_quantity"], "and nobody else's rows");
    let ten = shop.get(&format!("{path}?quantity=10&unit=ADET"), &shop.owner).await;
    assert_eq!(figure(&ten["price"]["amount"]), "80");
    assert_eq!(verdicts(&ten), ["80 won", "90 smaller_min_quantity", "100 lower_rule"]);
    assert_eq!(ten["candidates"][0]["priceId"], bulk);
    assert_eq!(ten["unit"], "ADET");

    for (query, field) in [
        ("quantity=0", "quantity"),
        ("quantity=-1", "quantity"),
        ("quantity=x", "quantity"),
        ("quantity=1e9", "quantity"),
        ("quantity=99999999999999999999", "quantity"),
        ("unit=KOLI", "unit"),
        ("unit=%00", "unit"),
        ("customerId=x", "customerId"),
    ] {
        let problem = problem_of(shop.served.get(&format!("{path}?{query}"), &shop.owner).await, 400, "invalid").await;
        assert_eq!(problem["errors"][0]["field"], field, "{query}");
    }
    problem_of(shop.served.get("/api/v1/products/999/price", &shop.owner).await, 404, "not_found").await;
}

#[tokio::test]
async fn stock_is_told_in_figures_to_who_may_see_them() {
    let shop = Shop::open().await;
    let here = shop.product("A", "A", None).await;
    let gone = shop.product("B", "B", None).await;
    let uncounted = shop.product("C", "C", None).await;
    shop.stock(here, "0", "7.5").await;
    shop.stock(here, "1", "2.5").await;
    shop.stock(gone, "0", "-3").await;
    shop.sql(&format!("update commerce.product set track_stock = false where id = {uncounted}")).await;

    let items = shop.list("").await["items"].clone();
    let seen: Vec<String> = items
        .as_array()
        .expect("items")
        .iter()
        .map(|item| format!("{} {}", item["inStock"], item.get("stockQuantity").map_or("-".to_owned(), figure)))
        .collect();
    assert_eq!(seen, ["true 10", "false 0", "true -"]);
    let blind = shop.get("/api/v1/products", &shop.viewer).await["items"].clone();
    assert!(blind.as_array().expect("items").iter().all(|item| item.get("stockQuantity").is_none()));
    assert_eq!(blind[0]["inStock"], true);

    let path = format!("/api/v1/products/{here}");
    let levels = shop.get(&path, &shop.owner).await["stock"].clone();
    assert_eq!(levels[0]["warehouseCode"], "0");
    assert_eq!((figure(&levels[0]["quantity"]), figure(&levels[1]["quantity"])), ("7.5".to_owned(), "2.5".to_owned()));
    let detail = shop.get(&path, &shop.viewer).await;
    assert!(detail.get("stock").is_none() && detail["inStock"] == true);

    assert_eq!(shop.codes("?inStock=true").await, ["A", "C"]);
    assert_eq!(shop.codes("?inStock=false").await, ["B"]);
}

#[tokio::test]
async fn costs_and_closed_products_are_for_those_who_may_see_them() {
    let shop = Shop::open().await;
    let product = shop.product("A", "A", Some("9")).await;
    shop.price(product, "cost", "5", "").await;
    let closed = shop.product("B", "B", Some("9")).await;
    let deleted = shop.product("C", "C", Some("9")).await;
    shop.sql(&format!("update commerce.product set is_active = false where id = {closed}")).await;
    shop.sql(&format!("update commerce.product set deleted_at = now() where id = {deleted}")).await;

    let path = format!("/api/v1/products/{product}");
    assert_eq!(figure(&shop.get(&path, &shop.manager).await["cost"]["amount"]), "5");
    for token in [&shop.owner, &shop.viewer, &shop.editor] {
        let seen = shop.get(&path, token).await;
        assert!(seen.get("cost").is_none(), "{seen}");
    }
    for id in [closed, deleted] {
        for path in [format!("/api/v1/products/{id}"), format!("/api/v1/products/{id}/price")] {
            problem_of(shop.served.get(&path, &shop.owner).await, 404, "not_found").await;
            problem_of(shop.served.get(&path, &shop.manager).await, 404, "not_found").await;
            assert_eq!(shop.served.get(&path, &shop.editor).await.status(), StatusCode::OK);
        }
    }
    problem_of(shop.served.get("/api/v1/products/by-sku/SKU-B", &shop.owner).await, 404, "not_found").await;
    assert_eq!(shop.codes("").await, ["A"]);
    let all = shop.get("/api/v1/products?includeInactive=true&count=true", &shop.editor).await;
    assert_eq!((codes(&all), &all["totalCount"]), (vec!["A".to_owned(), "B".to_owned(), "C".to_owned()], &json!(3)));
    problem_of(shop.served.get("/api/v1/products?includeInactive=true", &shop.owner).await, 403, "permission_missing")
        .await;
}

#[tokio::test]
async fn a_known_answer_is_not_sent_again() {
    let shop = Shop::open().await;
    let product = shop.product("A", "A", Some("9")).await;
    for path in [
        format!("/api/v1/products/{product}"),
        "/api/v1/products".to_owned(),
        "/api/v1/categories".to_owned(),
        "/api/v1/brands".to_owned(),
    ] {
        let first = shop.served.get(&path, &shop.owner).await;
        let tag = first.headers()["etag"].clone();
        assert_eq!(first.headers()["cache-control"], "private, no-cache", "{path}");
        let again =
            || shop.served.request(reqwest::Method::GET, &path, &shop.owner).header("If-None-Match", tag.clone());
        let known = again().send().await.expect("an answer");
        assert_eq!((known.status(), known.headers().get("etag")), (StatusCode::NOT_MODIFIED, Some(&tag)), "{path}");
        assert_eq!(known.text().await.expect("a body"), "");
    }
    let path = format!("/api/v1/products/{product}");
    let tag = shop.served.get(&path, &shop.owner).await.headers()["etag"].clone();
    shop.sql("update commerce.price set amount = 8").await;
    let changed = shop.served.request(reqwest::Method::GET, &path, &shop.owner).header("If-None-Match", tag);
    let changed = json_of(changed.send().await.expect("an answer"), StatusCode::OK).await;
    assert_eq!(figure(&changed["price"]["amount"]), "8");
}

/// An order takes nothing from a warehouse that is closed, so nothing in it is shown.
#[tokio::test]
async fn stock_of_closed_warehouses_is_nobodys() {
    let shop = Shop::open().await;
    let product = shop.product("A", "A", None).await;
    shop.stock(product, "0", "7").await;
    shop.stock(product, "1", "2").await;
    shop.sql("update commerce.warehouse set is_active = false where code = '0'").await;
    let path = format!("/api/v1/products/{product}");
    let items = shop.list("").await["items"].clone();
    assert_eq!((&items[0]["inStock"], figure(&items[0]["stockQuantity"])), (&json!(true), "2".to_owned()));
    let levels = shop.get(&path, &shop.owner).await["stock"].clone();
    assert_eq!((&levels[0]["warehouseCode"], levels.as_array().map(Vec::len)), (&json!("1"), Some(1)));
    assert_eq!(shop.codes("?inStock=true").await, ["A"]);
    shop.sql("update commerce.warehouse set deleted_at = now() where code = '1'").await;
    assert_eq!(shop.list("").await["items"][0]["inStock"], false);
    assert_eq!(shop.get(&path, &shop.viewer).await["inStock"], false);
    assert_eq!(shop.codes("?inStock=false").await, ["A"]);
    assert!(shop.codes("?inStock=true").await.is_empty());
}

/// Orders have Istanbul's day, so what they are shown at has it too, wherever schedules are meant.
#[tokio::test]
async fn prices_have_the_day_of_istanbul() {
    let hub = Hub::with(|build| build.settings.timezone = chrono_tz::Pacific::Kiritimati).await;
    let served = Served::over(hub, generous()).await;
    // Noon, UTC: there it is tomorrow already.
    let now = served.clock.now();
    let noon = now.date_naive().and_hms_opt(12, 0, 0).expect("noon").and_utc();
    let noon = if noon < now { noon + TimeDelta::days(1) } else { noon };
    served.clock.advance(noon - now);
    let tomorrow = (noon + TimeDelta::days(1)).date_naive();
    let shop = Shop::over(served).await;
    let product = shop.product("A", "A", Some("100")).await;
    shop.price(product, "special", "90", &format!("customer_id={}", shop.dealer)).await;
    shop.sql(&format!("update commerce.price set valid_from = '{tomorrow}' where role = 'special'")).await;
    let seen = shop.get("/api/v1/products", &shop.owner).await;
    assert_eq!(figure(&seen["items"][0]["price"]["amount"]), "100", "{seen}");
}

/// Counts and lists mean the same products: those of categories in use, of which some have moved up past a closed one.
#[tokio::test]
async fn a_closed_category_is_counted_nowhere_and_listed_nowhere() {
    let shop = Shop::open().await;
    let top = shop.category("T", None).await;
    let closed = shop.category("M", Some(top)).await;
    let below = shop.category("B", Some(closed)).await;
    for (code, category) in [("P1", top), ("P2", closed), ("P3", below)] {
        let id = shop.product(code, code, None).await;
        shop.sql(&format!("update commerce.product set category_id = {category} where id = {id}")).await;
    }
    shop.sql(&format!("update commerce.category set is_active = false where id = {closed}")).await;
    let tree = shop.get("/api/v1/categories", &shop.viewer).await["items"].clone();
    assert_eq!((&tree[0]["totalProductCount"], &tree[0]["children"][0]["code"]), (&json!(2), &json!("B")));
    assert_eq!(shop.codes("?category=T").await, ["P1", "P3"]);
}

#[tokio::test]
async fn categories_are_a_tree_with_counts_and_brands_a_list() {
    let shop = Shop::open().await;
    let top = shop.category("T", None).await;
    let mid = shop.category("M", Some(top)).await;
    shop.category("Z", None).await;
    for (code, category) in [("A", top), ("B", mid), ("C", mid)] {
        let id = shop.product(code, code, None).await;
        shop.sql(&format!("update commerce.product set category_id = {category} where id = {id}")).await;
    }
    shop.sql("update commerce.product set is_active = false where code = 'C'").await;
    let tree = shop.get("/api/v1/categories", &shop.viewer).await["items"].clone();
    assert_eq!(
        (&tree[0]["code"], &tree[0]["productCount"], &tree[0]["totalProductCount"]),
        (&json!("T"), &json!(1), &json!(2))
    );
    assert_eq!(
        (&tree[0]["children"][0]["code"], &tree[0]["children"][0]["totalProductCount"]),
        (&json!("M"), &json!(1))
    );
    assert_eq!(tree[1]["children"], json!([]));

    assert_eq!(shop.codes("?category=T").await, ["A", "B"], "with all below it");
    assert_eq!(shop.codes(&format!("?category={mid}")).await, ["B"], "by its id");
    assert!(shop.codes("?category=nowhere").await.is_empty());

    for (code, name) in [("1", "Zeta"), ("2", "Çelik"), ("3", "Can"), ("4", "Ceviz"), ("5", "Çam")] {
        shop.sql(&format!(
            "insert into commerce.brand (code, name, created_at, updated_at, created_by, updated_by)
             values ('{code}', '{name}', now(), now(), 't', 't')"
        ))
        .await;
    }
    shop.sql(
        "update commerce.product set brand_id = (select id from commerce.brand where code = '2') where code = 'A'",
    )
    .await;
    let first = shop.get("/api/v1/brands?limit=3", &shop.viewer).await;
    let cursor = first["nextCursor"].as_str().expect("more").to_owned();
    let second = shop.get(&format!("/api/v1/brands?limit=3&cursor={cursor}"), &shop.viewer).await;
    let names = |page: &serde_json::Value| -> Vec<String> {
        page["items"]
            .as_array()
            .expect("items")
            .iter()
            .map(|brand| brand["name"].as_str().expect("a name").to_owned())
            .collect()
    };
    assert_eq!([names(&first), names(&second)].concat(), ["Can", "Ceviz", "Çam", "Çelik", "Zeta"], "ç follows c");
    assert_eq!(first["items"][3 - 1]["productCount"], 0);
    assert_eq!(second["items"][0]["productCount"], 1);
    assert_eq!(shop.codes("?brand=2").await, ["A"]);
}

#[tokio::test]
async fn nobody_reads_without_signing_in_and_some_roles_only_read() {
    let shop = Shop::open().await;
    for path in
        ["/api/v1/products", "/api/v1/products/1", "/api/v1/products/1/price", "/api/v1/categories", "/api/v1/brands"]
    {
        problem_of(shop.served.get(path, "").await, 401, "token_missing").await;
    }
    let nowhere = shop.served.token(Role::SuperAdmin, None).await;
    assert_eq!(shop.served.get("/api/v1/products", &nowhere).await.status(), StatusCode::OK);
}
