//! The generated firm itself.

use std::collections::{BTreeMap, BTreeSet};

use kopru_logo::{
    sandbox::world::{Scratch, World, items::FIRST_INDEX, prices},
    sql::Query,
};
use kopru_sdk::sandbox::SandboxOptions;
use serde_json::{Value, json};

use crate::{
    queries::after,
    support::{Logo, options},
};

async fn bytes(logo: &Logo, query: &Query) -> Vec<u8> {
    let text = json!(kopru_logo::sql::render(query));
    let request = logo.http.post(logo.url("/queries/unsafe")).bearer_auth(&logo.token).json(&text);
    request.send().await.unwrap().bytes().await.unwrap().to_vec()
}

#[tokio::test]
async fn the_same_seed_gives_the_same_bytes_and_another_one_does_not() {
    let (a, b) = (Logo::small().await, Logo::small().await);
    let other = Logo::with(&SandboxOptions { seed: 6, ..options(400, json!({})) }).await;
    for query in [
        Query::Items { firm: 7, after: after(0, 1_000) },
        Query::Customers { firm: 7, after: after(0, 1_000) },
        Query::Prices { firm: 7, after: after(0, 5_000) },
    ] {
        let first = bytes(&a, &query).await;
        assert_eq!(first, bytes(&b, &query).await);
        assert_ne!(first, bytes(&other, &query).await);
    }
}

#[tokio::test]
async fn counts_are_those_expected() {
    let logo = Logo::new(2_000, json!({})).await;
    let expected = logo.state("kind=expected").await;
    let number = |name: &str| expected["streams"][name].as_u64().unwrap();
    let items = logo.sql(&Query::Items { firm: 7, after: after(0, 10_000) }).await;
    let products = items.iter().filter(|row| row["CARD_TYPE"].as_i64().unwrap() < 20);
    assert_eq!((number("items"), products.count()), (2_000, 2_000));
    let passive = items.iter().filter(|row| row["RECORD_STATUS"] == 1).count();
    assert_eq!(expected["detail"]["itemsPassive"], passive);
    assert!((20..=60).contains(&passive));
    let customers = logo.sql(&Query::Customers { firm: 7, after: after(0, 10_000) }).await;
    let buyers = customers.iter().filter(|row| row["ACCOUNT_TYPE"] != 2).count();
    assert_eq!(number("customers"), buyers as u64);
    assert!(buyers < 200 && buyers > 150, "200 cards, one in ten a supplier");
    let price_rows = logo.sql(&Query::Prices { firm: 7, after: after(0, 20_000) }).await;
    assert_eq!(number("prices"), price_rows.len() as u64);
    let valid = price_rows.iter().filter(|row| row["ACTIVE"] == 0);
    assert_eq!(expected["detail"]["pricesActive"], valid.count());
}

#[tokio::test]
async fn every_kind_of_oddity_is_there() {
    let logo = Logo::new(2_000, json!({})).await;
    let items = logo.sql(&Query::Items { firm: 7, after: after(0, 10_000) }).await;
    let share = |holds: &dyn Fn(&Value) -> bool| items.iter().filter(|row| holds(row)).count();
    assert!(share(&|row| row["MARKCODE"].is_null()) > 60);
    assert!(share(&|row| row["GROUP_CODE"] == "") > 40);
    assert!(share(&|row| row["SELVAT"].is_null()) > 20);
    for set in ["05", "UZUNLUK", "KOLI12", "KOLI48", "AGIRLIK"] {
        assert!(share(&|row| row["UNITSET_CODE"] == set) > 10, "{set}");
    }
    let codes: BTreeSet<&str> = items.iter().map(|row| row["CODE"].as_str().unwrap()).collect();
    assert_eq!(codes.len(), items.len());
    assert!(codes.iter().any(|code| code.starts_with("KİL-")) && codes.iter().any(|code| code.starts_with("KIL-")));
    let groups: BTreeSet<&str> = items.iter().map(|row| row["GROUP_CODE"].as_str().unwrap()).collect();
    assert_eq!(groups.len(), 61, "60 and none");

    let price_rows = logo.sql(&Query::Prices { firm: 7, after: after(0, 20_000) }).await;
    let mut lists: BTreeMap<&str, usize> = BTreeMap::new();
    for row in &price_rows {
        *lists.entry(row["GRPCODE"].as_str().unwrap()).or_default() += 1;
    }
    assert!(lists["LISTE"] > 1_900 && lists["BAYI"] > 1_500 && lists["OZEL"] > 100, "{lists:?}");
    for currency in [160, 1, 20] {
        assert!(price_rows.iter().any(|row| row["CURRENCY"] == currency));
    }
    assert!(price_rows.iter().any(|row| row["ARP_CODE"] == "120.34.*"));
    let customers = logo.sql(&Query::Customers { firm: 7, after: after(0, 10_000) }).await;
    let buyers: BTreeSet<&str> =
        customers.iter().filter(|row| row["ACCOUNT_TYPE"] != 2).map(|row| row["CODE"].as_str().unwrap()).collect();
    for row in price_rows.iter().filter(|row| row["ARP_CODE"] != "") {
        let customer = row["ARP_CODE"].as_str().unwrap();
        assert!(customer.ends_with('*') || buyers.contains(customer), "{customer}");
    }
    let taxes: Vec<&str> =
        customers.iter().map(|row| row["TAX_ID"].as_str().unwrap()).filter(|t| t.len() == 10).collect();
    let distinct: BTreeSet<&&str> = taxes.iter().collect();
    assert!(taxes.len() - distinct.len() >= 4, "several cards share a tax number");
    assert!(customers.iter().any(|row| row["TAX_ID"].as_str().unwrap().len() == 11), "a person's number misplaced");
}

#[test]
fn texts_fit_their_fields_and_codes_lead_back() {
    let world = World::new(3, 100_000);
    let mut scratch = Scratch::default();
    for index in (0..100_000).step_by(7) {
        let card = world.item(index + FIRST_INDEX, 9_999, &mut scratch);
        assert!(card.name.chars().count() <= 50 && card.code.chars().count() <= 24, "{card:?}");
        assert!(card.producer.chars().count() <= 50);
        assert_eq!(world.item_of_code(card.code), Some(index));
    }
    for k in 0..world.customers {
        let card = world.customer(k + 1, 9_999, &mut scratch);
        assert!(card.code.len() <= 16 && card.title.chars().count() <= 200);
        assert_eq!(world.customer_of_code(card.code), Some(k));
        assert_eq!((card.tax_id.len(), card.tckno.len()) == (10, 0), card.person == 0);
    }
    for index in (0..100_000 * prices::SLOTS).filter(|index| world.has_price(*index)).step_by(11) {
        let card = world.price(index, 0, &mut scratch);
        assert!(card.price > 0 && card.code.len() <= 24 && card.starts < card.ends);
    }
    assert_eq!(world.item_of_code("KMR-"), None);
}
