//! Searches by the leaves of names: what they find is what the products themselves say.

use super::{Shop, codes, shelf::brought_up};

const WORDS: [&str; 12] =
    ["kamera", "isik", "kab", "4m", "k", "p00", "p0001", "sku-p00", "era kamera", "kablo 2", "yok-boyle-bir-sey", "7"];

/// So many products from this one on, whose names lie together and whose codes do not.
async fn add(shop: &Shop, from: i64, count: i64) {
    shop.sql(&format!(
        "insert into commerce.product (created_at, updated_at, code, sku, name, slug, unit, created_by, updated_by)
         select now(), now(), 'P' || lpad(((n * 7919) % 100000)::text, 5, '0'), 'SKU-P' || n,
                (array['Dome Kamera', 'Işıklı Siren', 'CAT6 Kablo', 'Çift Kamera 4MP', 'Zil'])[n % 5 + 1] || ' ' || n % 40,
                's', 'ADET', 't', 't'
         from generate_series({from}, {from} + {count} - 1) n"
    ))
    .await;
}

async fn pages(shop: &Shop, query: &str, limit: usize) -> Vec<String> {
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = shop.list(&format!("?{query}&limit={limit}{cursor}")).await;
        seen.extend(codes(&page));
        match page["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return seen,
        }
    }
}

/// By the products themselves.
async fn expected(shop: &Shop, words: &str, order: &str) -> Vec<String> {
    let is = |word: &str| {
        let blank = if word.len() < 3 { " " } else { "" };
        format!("p.search_text like commerce.fold('%{blank}{word}%')")
    };
    let conditions: Vec<String> = words.split(' ').map(is).collect();
    let text = format!(
        "select p.code from commerce.product p where p.is_active and p.deleted_at is null and {} {order}",
        conditions.join(" and ")
    );
    sqlx::query_scalar(sqlx::AssertSqlSafe(text)).fetch_all(shop.served.pool()).await.expect("the whole list")
}

async fn assert_found(shop: &Shop, when: &str) {
    for words in WORDS {
        let query = words.replace(' ', "%20");
        for (sort, order, limit) in [
            ("name", "order by name collate \"tr-x-icu\", id", 100),
            ("-name", "order by name collate \"tr-x-icu\" desc, id desc", 33),
        ] {
            let found = pages(shop, &format!("search={query}&sort={sort}"), limit).await;
            assert_eq!(found, expected(shop, words, order).await, "{when}: {words} by {sort}");
        }
    }
}

async fn leaves(shop: &Shop) -> i64 {
    shop.number("select count(*) from commerce.search_leaf").await
}

#[tokio::test]
async fn a_search_finds_what_there_is_whatever_has_changed() {
    let shop = Shop::open().await;
    add(&shop, 1, 400).await;
    brought_up(&shop).await;
    assert_eq!(leaves(&shop).await, 7);
    assert_found(&shop, "as made").await;
    let changes = [
        "update commerce.product set name = 'Anten Kamera' where id % 37 = 0",
        "update commerce.product set name = upper(name), is_active = id % 11 <> 0 where id % 3 = 0",
        "update commerce.product set deleted_at = now() where name like 'Zil%' and id % 2 = 0",
        "update commerce.product set barcode = 'kamera' || id where id % 41 = 0",
        "update commerce.product set is_active = true where id % 22 = 0",
    ];
    for change in changes {
        shop.sql(change).await;
        assert_found(&shop, change).await;
        brought_up(&shop).await;
        assert_found(&shop, &format!("{change}, taken over")).await;
    }
    // Many in one place, so that leaves are parted.
    add(&shop, 1_000, 600).await;
    brought_up(&shop).await;
    assert!(leaves(&shop).await > 10);
    assert_found(&shop, "grown").await;
    shop.sql("update commerce.product set is_active = false").await;
    brought_up(&shop).await;
    assert_found(&shop, "empty").await;
    shop.sql("update commerce.product set is_active = true where id % 5 = 0").await;
    brought_up(&shop).await;
    assert_found(&shop, "not empty any more").await;
}

#[tokio::test]
async fn a_search_is_answered_by_its_leaves() {
    let shop = Shop::open().await;
    add(&shop, 1, 200).await;
    brought_up(&shop).await;
    let all = pages(&shop, "search=kamera", 50).await;
    assert_eq!(all.len(), 80);
    // A leaf that says too little, which never happens, shows who answers.
    shop.sql("update commerce.search_leaf set texts = array_fill(' x'::text, array[cardinality(texts)])").await;
    assert!(pages(&shop, "search=kamera", 50).await.is_empty());
    for lost in ["ready = false", "ready = true, leaves_ready = false"] {
        shop.sql(&format!("update commerce.shelf_state set {lost}")).await;
        assert_eq!(pages(&shop, "search=kamera", 50).await, all, "{lost}: by the products themselves");
    }
    // A statement that changed so much that its note names nothing.
    shop.sql("update commerce.shelf_state set leaves_ready = true").await;
    shop.sql("insert into commerce.catalogue_change (kind) values ('product')").await;
    assert_eq!(pages(&shop, "search=kamera", 50).await, all);
    shop.sql("delete from commerce.catalogue_change").await;
    // What the leaves cannot hold is searched as before.
    assert_eq!(pages(&shop, "search=kamera&sort=code", 50).await.len(), all.len());
}
