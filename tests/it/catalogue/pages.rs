//! Search, order and pages.

use super::{Shop, codes};

#[tokio::test]
async fn search_knows_turkish_letters_prefixes_and_parts() {
    let shop = Shop::open().await;
    for (code, name) in [
        ("KMR-DM4", "4MP Dome Kamera Çift IŞIK"),
        ("KBL-C6", "CAT6 Kablo Güvenlik"),
        ("ISI-1", "Isıtıcı İzmir"),
        ("PCT_1", "100% pamuk"),
        ("UNI-日本", "日本 Łódź"),
    ] {
        shop.product(code, name, None).await;
    }
    shop.sql("update commerce.product set barcode = '8690001' where code = 'KBL-C6'").await;
    for (search, found) in [
        ("ışık", vec!["KMR-DM4"]),
        ("isik", vec!["KMR-DM4"]),
        ("IŞIK", vec!["KMR-DM4"]),
        ("Işık çİFT", vec!["KMR-DM4"]),
        ("guven", vec!["KBL-C6"]),
        ("GÜVENLİĞ", vec![]),
        ("izmir", vec!["ISI-1"]),
        ("İZMİR", vec!["ISI-1"]),
        ("ISITICI", vec!["ISI-1"]),
        ("kmr-dm", vec!["KMR-DM4"]),
        ("sku-kbl", vec!["KBL-C6"]),
        ("869000", vec!["KBL-C6"]),
        ("mera", vec!["KMR-DM4"]),
        ("4m", vec!["KMR-DM4"]),
        ("me", vec![]),
        ("100%", vec!["PCT_1"]),
        ("pct_", vec!["PCT_1"]),
        ("a_t", vec![]),
        ("日本", vec!["UNI-日本"]),
        ("łódź", vec!["UNI-日本"]),
        ("lodz", vec!["UNI-日本"]),
        ("';drop table commerce.product;--", vec![]),
        ("<script>alert(1)</script>", vec![]),
        ("kamera kablo", vec![]),
        ("\\", vec![]),
    ] {
        let query: String = url_of(search);
        assert_eq!(shop.codes(&format!("?search={query}")).await, found, "{search}");
    }
    assert_eq!(shop.list("?search=%20%20").await["items"].as_array().expect("items").len(), 5, "no word, no filter");
}

fn url_of(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// A catalogue with ties everywhere: few names, few prices, some without a price.
async fn with_ties(shop: &Shop) {
    shop.sql(
        "insert into commerce.product (created_at, updated_at, code, sku, name, slug, unit, created_by, updated_by)
         select now(), now(), 'P' || lpad(n::text, 3, '0'), 'S' || n,
                (array['Çanta', 'Cam', 'çanta', 'Şal', 'Sal', 'Iğne', 'İğne', 'Zil'])[n % 8 + 1], 's', 'ADET', 't', 't'
         from generate_series(1, 67) n",
    )
    .await;
    shop.sql(
        "insert into commerce.price (product_id, code, role, currency, amount, created_at, updated_at, created_by, updated_by)
         select id, code, 'dealer', 'TRY', (id % 4) * 10 + 10, now(), now(), 't', 't' from commerce.product where id % 5 <> 0",
    )
    .await;
}

async fn all_pages(shop: &Shop, query: &str, limit: usize) -> Vec<String> {
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = shop.list(&format!("?{query}&limit={limit}{cursor}")).await;
        let found = codes(&page);
        assert!(found.len() <= limit);
        seen.extend(found);
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return seen,
        }
    }
}

#[tokio::test]
async fn pages_over_ties_are_the_whole_list_once() {
    let shop = Shop::open().await;
    with_ties(&shop).await;
    let orders = [
        ("name", "order by name collate \"tr-x-icu\", id"),
        ("-name", "order by name collate \"tr-x-icu\" desc, id desc"),
        ("price", "order by a is null, a, id"),
        ("-price", "order by a is null, a desc, id desc"),
        ("newest", "order by id desc"),
        ("code", "order by code collate \"C\""),
    ];
    for (sort, order) in orders {
        let text = format!(
            "select p.code from (select p.id, p.code, p.name, r.amount as a from commerce.product p
             left join commerce.price r on r.product_id = p.id) p {order}"
        );
        let expected: Vec<String> =
            sqlx::query_scalar(sqlx::AssertSqlSafe(text)).fetch_all(shop.served.pool()).await.expect("the whole list");
        for limit in [1, 7, 66, 67, 100] {
            if limit == 1 && sort != "price" {
                continue;
            }
            assert_eq!(all_pages(&shop, &format!("sort={sort}"), limit).await, expected, "{sort} by {limit}");
        }
    }
    let cheap = all_pages(&shop, "sort=price&minPrice=20&maxPrice=30", 5).await;
    let all = all_pages(&shop, "sort=-name&minPrice=20&maxPrice=30", 4).await;
    let expected = shop.number("select count(*) from commerce.price where amount in (20, 30)").await;
    assert_eq!((cheap.len() as i64, all.len() as i64), (expected, expected));
    let counted = shop.list("?minPrice=20&maxPrice=30&count=true&limit=1").await;
    assert_eq!(counted["totalCount"], expected);
    assert!(shop.list("?limit=1").await.get("totalCount").is_none());
}

#[tokio::test]
async fn rows_that_come_and_go_shift_no_page() {
    let shop = Shop::open().await;
    with_ties(&shop).await;
    let first = shop.list("?sort=code&limit=10").await;
    let cursor = first["nextCursor"].as_str().expect("more").to_owned();
    shop.product("P0000", "Yeni", None).await;
    shop.sql("update commerce.product set is_active = false where code in ('P001', 'P011')").await;
    let second = shop.list(&format!("?sort=code&limit=10&cursor={cursor}")).await;
    assert_eq!(codes(&second)[0], "P012");
}
