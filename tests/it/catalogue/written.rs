//! Pages that are put together from what is written down in the store: the same bytes as those that are read from the tables, whatever
//! has changed since.

use reqwest::StatusCode;

use super::{
    Shop,
    shelf::{Dice, PRODUCTS, brought_up, fill, ready, row},
};

async fn shop() -> Shop {
    let shop = Shop::open().await;
    let mut dice = Dice(20_261_122);
    fill(&shop, &mut dice).await;
    shop.sql(
        "insert into commerce.brand (code, name, created_at, updated_at, created_by, updated_by)
         values ('M1', 'Marka', now(), now(), 't', 't')",
    )
    .await;
    shop.sql(
        "update commerce.product set brand_id = (select id from commerce.brand), short_description = 'Kısa \"söz\"',
             attributes = '{\"price\": null, \"inStock\": false}', order_multiple = 0.5
         where id % 3 = 0",
    )
    .await;
    shop.sql("insert into commerce.product_image (product_id, position, url, alt) values (3, 1, '/b', null), (3, 0, '/a', 'A')")
        .await;
    shop.sql(
        "insert into commerce.unit_set (code, name, created_at, updated_at, created_by, updated_by)
         values ('S', 'S', now(), now(), 't', 't')",
    )
    .await;
    shop.sql(
        "insert into commerce.unit_set_line (unit_set_id, position, decimals, is_main, unit, numerator, denominator)
         select id, 1, 0, true, 'ADET', 1, 1 from commerce.unit_set union all select id, 2, 0, false, 'KOLI', 8, 1 from commerce.unit_set",
    )
    .await;
    shop.sql("delete from commerce.product_unit where product_id = 7").await;
    shop.sql("update commerce.product set unit_set_id = (select id from commerce.unit_set) where id = 7").await;
    shop.sql("delete from commerce.stock_level where product_id = 3").await;
    shop.stock(3, "9", "2.5").await;
    shop.stock(3, "1", "0").await;
    shop.sql("update commerce.product set track_stock = false where id = 4").await;
    shop.sql("update commerce.product set is_active = false where id = 5").await;
    shop
}

type Seen = Vec<(String, StatusCode, String)>;

/// What is seen of these paths, by dealers or by everybody.
async fn seen(shop: &Shop, paths: &[String], by_all: bool) -> Seen {
    let rival = shop.served.token(kopru::principal::Role::DealerOwner, Some(shop.rival)).await;
    let mut callers = vec![("owner", &shop.owner), ("rival", &rival)];
    if by_all {
        callers.extend([("viewer", &shop.viewer), ("editor", &shop.editor), ("manager", &shop.manager)]);
    }
    let mut seen = Seen::new();
    for path in paths {
        for (name, token) in &callers {
            let answer = shop.served.get(path, token).await;
            let status = answer.status();
            let text = answer.text().await.expect("a body");
            // A problem names the request.
            let text = if status.is_success() { text } else { String::new() };
            seen.push((format!("{name} {path}"), status, text));
        }
    }
    seen
}

/// Lists that prices do not decide, and products.
fn paths(lists: &[&str], products: &[i64]) -> Vec<String> {
    let lists = lists.iter().map(|query| format!("/api/v1/products{query}"));
    lists.chain(products.iter().map(|id| format!("/api/v1/products/{id}"))).collect()
}

/// The same, without what is written down.
async fn read(shop: &Shop, paths: &[String]) -> Seen {
    ready(shop, false).await;
    let read = seen(shop, paths, false).await;
    ready(shop, true).await;
    read
}

fn assert_same(one: &Seen, other: &Seen) {
    assert_eq!(one.len(), other.len());
    for (one, other) in one.iter().zip(other) {
        assert_eq!(one, other);
    }
}

/// Makes every line that is written down known by itself: another name in the place of `code`.
async fn mark(shop: &Shop) {
    for (table, column) in [("written_product", "line"), ("written_page", "page")] {
        let was = "encode(',\"code\":', 'hex')";
        let text = format!("replace(encode({column}, 'hex'), {was}, encode(',\"mark\":', 'hex'))");
        shop.sql(&format!("update commerce.{table} set {column} = decode({text}, 'hex')")).await;
    }
}

/// How many items of the whole list come from what is written down.
async fn marked(shop: &Shop) -> usize {
    let page = shop.list("?limit=100").await;
    page["items"].as_array().expect("items").iter().filter(|item| item.get("mark").is_some()).count()
}

#[tokio::test]
async fn what_is_written_down_is_shown_as_what_is_read() {
    let shop = shop().await;
    let lists = [
        "",
        "?sort=code&limit=7",
        "?sort=-name",
        "?sort=newest",
        "?search=kamera",
        "?category=K1&count=true",
        "?inStock=true",
        "?brand=M1",
        "/by-sku/SKU-P002",
    ];
    let paths = paths(&lists, &(1..=PRODUCTS).collect::<Vec<_>>());
    let plain = seen(&shop, &paths, true).await;
    brought_up(&shop).await;
    assert_same(&plain, &seen(&shop, &paths, true).await);
    mark(&shop).await;
    assert_eq!(marked(&shop).await, PRODUCTS as usize - 1, "all that are in use");
    assert!(shop.get("/api/v1/products/3", &shop.owner).await.get("mark").is_some());
}

#[tokio::test]
async fn what_has_changed_since_is_read() {
    let shop = shop().await;
    brought_up(&shop).await;
    let mut dice = Dice(7);
    let paths = paths(&["?limit=100", "?sort=code&limit=5"], &[3, 7, 9, 12]);
    let changes = [
        "update commerce.price set amount = amount + 1 where product_id in (1, 2, 3)",
        "delete from commerce.price where product_id = 6",
        "update commerce.product set name = 'Başka', vat_rate = 1 where id in (3, 8)",
        "update commerce.product set is_active = id <> 9 where id in (5, 9)",
        "update commerce.product set deleted_at = now() where id = 10",
        "update commerce.product_image set url = '/c' where position = 0",
        "update commerce.product_unit set numerator = 5 where not is_main and product_id = 12",
        "update commerce.unit_set_line set numerator = 9 where not is_main",
        "update commerce.category set name = 'Yeni ad'",
        "update commerce.brand set name = 'Yeni marka'",
        "update commerce.warehouse set name = 'Yeni depo'",
        "update commerce.warehouse set is_active = id > (select min(id) from commerce.warehouse)",
        "update commerce.warehouse set is_active = true, deleted_at = now() where id = (select max(id) from commerce.warehouse)",
        "update commerce.stock_level set quantity = 0 where product_id = 3",
        "update commerce.customer set price_tier = 'B', currency = 'EUR'",
        "update commerce.customer_price_list set priority = 1",
        "update commerce.price_list set is_active = id > 1",
    ];
    for change in changes {
        shop.sql(change).await;
        assert_same(&read(&shop, &paths).await, &seen(&shop, &paths, false).await);
    }
    row(&shop, &mut dice, 1).await;
    shop.product("NEW", "Kamera", Some("15")).await;
    let plain = read(&shop, &paths).await;
    assert_same(&plain, &seen(&shop, &paths, false).await);
    brought_up(&shop).await;
    assert_same(&plain, &seen(&shop, &paths, false).await);
    mark(&shop).await;
    assert_eq!(marked(&shop).await, PRODUCTS as usize - 1, "one more, and three out of use");
}

#[tokio::test]
async fn what_may_be_old_is_not_shown() {
    let shop = shop().await;
    brought_up(&shop).await;
    mark(&shop).await;
    let all = marked(&shop).await;
    shop.sql("update commerce.product set vat_rate = 1 where id = 1").await;
    shop.price(2, "dealer", "1", "").await;
    assert_eq!(marked(&shop).await, all - 2, "two have changed");
    // A statement that changed so much that its note names nothing.
    shop.sql("insert into commerce.catalogue_change (kind) values ('goods')").await;
    assert_eq!(marked(&shop).await, 0);
    brought_up(&shop).await;
    mark(&shop).await;
    assert_eq!(marked(&shop).await, all);
    // Another program writes products down otherwise.
    shop.sql("update commerce.shelf_state set form = 'another'").await;
    assert_eq!(marked(&shop).await, 0);
    brought_up(&shop).await;
    assert_eq!(marked(&shop).await, 0, "written anew");
    mark(&shop).await;
    assert_eq!(marked(&shop).await, all);
    // More rows than are written down with a product.
    shop.sql(
        "insert into commerce.price (product_id, code, role, currency, amount, valid_from, created_at, updated_at, created_by, updated_by)
         select 1, 'many' || n, 'list', 'TRY', n, '2020-01-01'::date + n, now(), now(), 't', 't' from generate_series(1, 61) n",
    )
    .await;
    brought_up(&shop).await;
    mark(&shop).await;
    assert_eq!(marked(&shop).await, all - 1);
}

#[tokio::test]
async fn stock_that_has_changed_since_is_read_alone() {
    let shop = shop().await;
    let paths = paths(&["?limit=100", "?inStock=true", "?sort=code&limit=5"], &[1, 3, 4, 6]);
    brought_up(&shop).await;
    mark(&shop).await;
    let all = marked(&shop).await;
    let changes = [
        "update commerce.stock_level set quantity = quantity + 1 where product_id = 3",
        "update commerce.stock_level set quantity = 0 where product_id = 6",
        "delete from commerce.stock_level where product_id = 1",
        "update commerce.warehouse set name = 'Depo', code = code || 'X'",
        // A statement that changed so much that its note names nothing.
        "insert into commerce.catalogue_change (kind, of_prices) values ('goods', false)",
    ];
    for change in changes {
        shop.sql(change).await;
        assert_eq!(marked(&shop).await, all, "{change}");
    }
    let plain = read(&shop, &paths).await;
    let unmarked = |seen: Seen| -> Seen {
        seen.into_iter().map(|(of, status, text)| (of, status, text.replace(",\"mark\":", ",\"code\":"))).collect()
    };
    assert_same(&plain, &unmarked(seen(&shop, &paths, false).await));
    // What it was is written down anew, and the rest stays.
    shop.sql("delete from commerce.catalogue_change where ids is null").await;
    brought_up(&shop).await;
    assert_eq!(marked(&shop).await, all);
    shop.sql("delete from commerce.catalogue_change").await;
    assert_same(&plain, &unmarked(seen(&shop, &paths, false).await));
}

#[tokio::test]
async fn what_is_remembered_of_a_dealer_is_not_older_than_their_page() {
    let shop = shop().await;
    brought_up(&shop).await;
    let paths = paths(&["?limit=100"], &[1, 2]);
    for change in [
        "update commerce.customer set price_tier = null, currency = 'EUR'",
        "delete from commerce.customer_price_list",
        "update commerce.customer set price_tier = 'A', currency = 'USD'",
        "insert into commerce.customer_price_list (customer_id, price_list_id) select c.id, l.id from commerce.customer c, commerce.price_list l",
        "update commerce.price_list set is_active = false",
    ] {
        // Read a moment ago, and so remembered.
        seen(&shop, &paths, false).await;
        shop.sql(change).await;
        let seen = seen(&shop, &paths, false).await;
        assert_same(&read(&shop, &paths).await, &seen);
    }
}
