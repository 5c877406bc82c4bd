//! CSV lists, as spreadsheets and scripts write them.

use serde_json::json;

use super::Inbox;

const LIST: &str =
    "Stok Kodu;Stok Adı;KDV;Açıklama\r\nA;Şarj İğne;20;\"iki\r\nsatır; ve \"\"tırnak\"\"\"\r\nB;Çıkış;10,5;\r\n";

async fn arrives(name: &str, bytes: &[u8], encoding: &str) {
    let mut inbox = Inbox::new().await;
    let file = inbox.take(name, bytes).await;
    assert_eq!((file.state.as_str(), file.created, file.failed), ("done", 2, 0), "{name}: {file:?}");
    assert_eq!(file.encoding.as_deref(), Some(encoding));
    let product = inbox.product("A").await;
    assert_eq!(product["name"], "Şarj İğne");
    assert_eq!(product["description"].as_str().expect("a text").replace('\r', ""), "iki\nsatır; ve \"tırnak\"");
    assert_eq!(inbox.product("B").await["vat_rate"].to_string(), "10.5000");
}

#[tokio::test]
async fn lists_arrive_in_whatever_encoding_they_have() {
    arrives("products.csv", LIST.as_bytes(), "UTF-8").await;
    arrives("PRODUCTS 2.CSV", format!("\u{FEFF}{LIST}").as_bytes(), "UTF-8").await;
    let turkish: Vec<u8> = LIST
        .chars()
        .map(|letter| match letter {
            'İ' => 0xDD,
            'Ş' => 0xDE,
            'ş' => 0xFE,
            'ğ' => 0xF0,
            'ı' => 0xFD,
            other => u8::try_from(u32::from(other)).expect("Latin 1"),
        })
        .collect();
    arrives("products.csv", &turkish, "windows-1254").await;
}

#[tokio::test]
async fn commas_part_columns_where_the_header_says_so() {
    let mut inbox = Inbox::new().await;
    let file = inbox.take("products.csv", "Stok Kodu,Stok Adı,KDV\nA,\"Ad, soyad\",\"18,5\"\n\nB,b,1\nC,c\n").await;
    assert_eq!((file.state.as_str(), file.records, file.created, file.failed), ("done", 3, 2, 1));
    assert_eq!(inbox.product("A").await["name"], "Ad, soyad");
    let report = inbox.report("done");
    assert_eq!((&report["failures"][0]["line"], &report["failures"][0]["ordinal"]), (&json!(5), &json!(2)));
}

#[tokio::test]
async fn slices_of_a_long_list_know_their_header_and_their_lines() {
    let mut inbox = Inbox::new().await;
    let lines: String = (0..2_500)
        .map(|n| if n == 2_222 { "X;\"iki\nsatır\";yanlış\n".to_owned() } else { format!("S{n};Ürün {n};20\n") })
        .collect();
    let file = inbox.take("products.csv", format!("Stok Kodu;Stok Adı;KDV\n{lines}")).await;
    assert_eq!((file.records, file.created, file.failed), (2_500, 2_499, 1));
    let report = inbox.report("done");
    let failure = &report["failures"][0];
    assert_eq!(
        (&failure["ordinal"], &failure["line"], &failure["value"]),
        (&json!(2_222), &json!(2_224), &json!("yanlış"))
    );
}

#[tokio::test]
async fn stock_and_prices_wait_for_their_products() {
    let mut inbox = Inbox::new().await;
    let file = inbox.take("stock.csv", "Stok Kodu;Depo;Miktar\nA;MERKEZ;1.250,5\n").await;
    assert_eq!((file.state.as_str(), file.deferred), ("done", 1), "{file:?}");
    assert_eq!(inbox.hub.count("hub.message where state = 'deferred'").await, 1);
    let file = inbox.take("prices.csv", "Stok Kodu;Fiyat Türü;Birim;Fiyat;Para Birimi\nA;Liste;;1.845,50;TL\n").await;
    assert_eq!((file.state.as_str(), file.deferred), ("done", 1), "{file:?}");
    inbox.take("products.csv", "Stok Kodu;Stok Adı\nA;a\n").await;
    inbox.hub.work().await;
    assert_eq!(inbox.hub.count("commerce.stock_level where quantity = 1250.5").await, 1);
    assert_eq!(inbox.hub.count("commerce.price where amount = 1845.5").await, 1);
}

#[tokio::test]
async fn lists_that_cannot_be_meant_are_refused_whole() {
    let mut inbox = Inbox::new().await;
    for (name, text, reason, line) in [
        ("products1.csv", "", "empty_body", 1),
        ("products2.csv", "\r\n\r\n", "empty_body", 1),
        ("products3.csv", "Kod;Ad\nA;a\n", "wrong_shape", 1),
        ("products7.csv", "Stok Kodu;Stok Adı;Stok Adı\nA;a;b\n", "wrong_shape", 1),
        ("products4.csv", "Stok Kodu;Stok Adı\nA;a\nB;\"açık\nC;c\nD;d\n", "cut_off", 3),
        ("products5.csv", "<html><body>502</body></html>", "html", 1),
    ] {
        let file = inbox.take(name, text).await;
        assert_eq!((file.state.as_str(), file.reason.as_deref()), ("failed", Some(reason)), "{name} {:?}", file.detail);
        assert_eq!(file.line, Some(line), "{name}");
    }
    let endless = format!("Stok Kodu;Stok Adı\nA;a\nB;\"{}", "x;y\n".repeat(600_000));
    let file = inbox.take("products6.csv", endless).await;
    assert_eq!((file.state.as_str(), file.reason.as_deref()), ("failed", Some("too_large")));
    assert_eq!(inbox.hub.count("commerce.product").await, 0);
}

#[tokio::test]
async fn a_configured_encoding_is_taken_at_its_word() {
    let mut inbox = Inbox::with(|folder| folder.takes[1].encoding = Some("utf-8".to_owned())).await;
    let file = inbox.take("products.csv", b"Stok Kodu;Stok Ad\xFD\nA;a\n").await;
    assert_eq!((file.state.as_str(), file.reason.as_deref(), file.byte), ("failed", Some("encoding"), Some(17)));
}

#[tokio::test]
async fn a_header_may_stand_behind_blank_lines_and_a_spreadsheets_hint() {
    let mut inbox = Inbox::new().await;
    for (name, text, line) in [
        ("products1.csv", "\r\n\r\nStok Kodu;Stok Adı\r\nA;a\r\nB;b;fazla\r\n", 5),
        ("products2.csv", "sep=;\r\nStok Kodu;Stok Adı\r\nC;c\r\nB;b;fazla\r\n", 4),
    ] {
        let file = inbox.take(name, text).await;
        assert_eq!((file.state.as_str(), file.created, file.failed), ("done", 1, 1), "{name}: {file:?}");
        let report =
            inbox.names("done").into_iter().rfind(|it| it.starts_with(&name[..9]) && it.ends_with(".report.json"));
        let text =
            std::fs::read_to_string(inbox.path().join("done").join(report.expect("a report"))).expect("readable");
        let report: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(report["failures"][0]["line"], line, "{name}");
    }
}
