//! What LOGO writes, and what becomes of it.

use serde_json::json;

use super::{Inbox, fixture, item, items};

/// What the samples refer to.
async fn references(inbox: &Inbox) {
    for (table, codes) in
        [("brand", &["ORBEK", "ÇINARKAB"][..]), ("category", &["KAMERA"]), ("unit_set", &["05", "UZUNLUK"])]
    {
        for code in codes {
            inbox
                .hub
                .execute(&format!(
                    "with made as (
                         insert into commerce.{table} (code, name, created_at, updated_at, created_by, updated_by)
                         values ('{code}', '{code}', now(), now(), 'test', 'test') returning id, code
                     )
                     insert into hub.external_ref (connector, entity, internal_id, external_code)
                     select 'erp', '{table}', id, code from made"
                ))
                .await;
        }
    }
}

#[tokio::test]
async fn an_item_file_in_latin_5_arrives_letter_by_letter() {
    let mut inbox = Inbox::new().await;
    references(&inbox).await;
    let file = inbox.take("ITEMS.xml", fixture("items.xml")).await;
    assert_eq!((file.state.as_str(), file.records, file.created, file.failed), ("done", 3, 3, 0));
    assert_eq!(file.encoding.as_deref(), Some("windows-1254"));
    assert_eq!(file.mapping.as_deref(), Some("logo/items"));
    let product = inbox.product("GKY-12V5A").await;
    assert_eq!(product["name"], "12V 5A Güç Kaynağı Akü Şarj Çıkışlı");
    let product = inbox.product("KBL-C6-305").await;
    assert_eq!(product["name"], "CAT6 U/UTP Kablo %100 Bakır Gri");
    assert_eq!(inbox.product("KMR-DM4-2812").await["requires_serial_number"], true);

    let every = "İıŞşĞğÇçÖöÜü";
    let text = items([item("INS", "HARF", every)]).replace("UTF-8", "ISO-8859-9");
    let bytes: Vec<u8> = text.chars().flat_map(latin_5).collect();
    inbox.take("ITEMS2.xml", bytes).await;
    assert_eq!(inbox.product("HARF").await["name"], every);
}

/// ISO-8859-9 of the letters that differ from Latin 1, by the standard's own table.
fn latin_5(letter: char) -> Option<u8> {
    Some(match letter {
        'Ğ' => 0xD0,
        'İ' => 0xDD,
        'Ş' => 0xDE,
        'ğ' => 0xF0,
        'ı' => 0xFD,
        'ş' => 0xFE,
        other => u8::try_from(u32::from(other)).ok()?,
    })
}

#[tokio::test]
async fn a_customer_file_arrives_with_packed_dates_and_comma_decimals() {
    let mut inbox = Inbox::new().await;
    let text = fixture("customers.xml");
    let file = inbox.take("AR_APS.XML", &text).await;
    assert_eq!((file.state.as_str(), file.created), ("done", 2));
    let customer = inbox.hub.row("select * from commerce.customer where code = '120.34.0187'").await;
    assert_eq!(customer["title"], "Yıldızhan Güvenlik Sis. San. ve Tic. Ltd. Şti.");

    // 132776706 is 2 March 2026; 12,5 and 1.234,5 are what a Turkish culture writes.
    let text =
        "<AR_APS><AR_AP DBOP='UPD'><CODE>120.34.0187</CODE><TITLE>Yeni</TITLE><DISCOUNT_RATE>12,5</DISCOUNT_RATE>
        <CREDIT_LIMIT>1.234,5</CREDIT_LIMIT><DATE_MODIFIED>132776706</DATE_MODIFIED><HOUR_MODIFIED>10</HOUR_MODIFIED>
        <BILINMEYEN><X>1</X></BILINMEYEN></AR_AP></AR_APS>";
    let file = inbox.take("AR_APS.xml", text).await;
    assert_eq!((file.state.as_str(), file.updated), ("done", 1));
    let customer = inbox.hub.row("select * from commerce.customer where code = '120.34.0187'").await;
    assert_eq!(
        (customer["discount_rate"].to_string(), customer["credit_limit"].to_string()),
        ("12.5000".to_owned(), "1234.5000".to_owned())
    );
    let link = inbox.hub.row("select * from hub.external_ref where external_code = '120.34.0187'").await;
    // 10:00 in Istanbul.
    assert_eq!((&link["version_kind"], &link["source_version"]), (&json!("logo.stamp"), &json!(1_772_434_800)));
}

#[tokio::test]
async fn a_byte_order_mark_beats_the_declaration() {
    let mut inbox = Inbox::new().await;
    let text = items([item("INS", "A", "Şarj İğne")]).replace("UTF-8", "ISO-8859-9");
    let file = inbox.take("a.xml", format!("\u{FEFF}{text}")).await;
    assert_eq!((file.state.as_str(), file.encoding.as_deref()), ("done", Some("UTF-8")));
    assert_eq!(inbox.product("A").await["name"], "Şarj İğne");
}

#[tokio::test]
async fn what_the_record_asks_for_is_done_in_the_order_of_the_file() {
    let mut inbox = Inbox::new().await;
    let mut missing = item("INS", "NEW", "Yeni");
    missing = missing.replace(" DBOP=\"INS\"", "");
    let text = items([
        item("INS", "A", "Bir"),
        item("INS", "B", "İki"),
        missing,
        item("DEL", "A", "Bir"),
        "<ITEM DBOP=\"DEL\"><CODE>B</CODE></ITEM>".to_owned(),
        item("INS", "B", "İki, yine"),
        "<ITEM DBOP=\"DEL\"><CODE>NEVER</CODE></ITEM>".to_owned(),
        item("XXX", "C", "Üç"),
        "<ITEM DBOP=\"DEL\"><NAME>kodsuz</NAME></ITEM>".to_owned(),
    ]);
    let file = inbox.take("a.xml", text).await;
    let counts = (file.records, file.created, file.updated, file.deactivated, file.skipped, file.failed);
    assert_eq!(counts, (9, 3, 1, 2, 1, 2), "{file:?}");
    assert_eq!(inbox.product("A").await["is_active"], false);
    let again = inbox.product("B").await;
    assert_eq!((&again["is_active"], &again["name"]), (&json!(true), &json!("İki, yine")));
    assert_eq!(inbox.hub.count("commerce.product where code in ('C', 'NEVER')").await, 0);

    let report = inbox.report("done");
    assert_eq!(report["failures"][0]["ordinal"], 7);
    assert_eq!(report["failures"][0]["line"], 8);
    assert_eq!(report["failures"][0]["code"], "C");
    assert_eq!(report["failures"][0]["reason"], "unknown_operation");
    assert!(report["failures"][0]["deadLetterId"].is_string(), "{report}");
    assert_eq!(report["failures"][0]["value"], "XXX");
    assert_eq!(report["failures"][1]["reason"], "missing_code");
    let letter = inbox.hub.row("select * from hub.dead_letter").await;
    assert_eq!((&letter["key"], &letter["reason"]), (&json!("C"), &json!("unknown_operation")));
    let audit = inbox.hub.row("select * from identity.audit_event").await;
    assert_eq!((&audit["action"], &audit["detail"]["deactivated"]), (&json!("file.records_deactivated"), &json!(2)));
}

#[tokio::test]
async fn bad_records_are_letters_and_the_report_names_them() {
    let mut inbox = Inbox::new().await;
    let text = items([
        item("INS", "A", "Bir"),
        "<ITEM><CODE>B</CODE><NAME>b</NAME><VAT>yirmi</VAT></ITEM>\n".to_owned(),
        item("INS", "C", "Üç"),
        "<ITEM><NAME>kodsuz</NAME></ITEM>\n".to_owned(),
        "<ITEM><CODE>D</CODE><NAME>d</NAME><MARKCODE>YOK</MARKCODE></ITEM>\n".to_owned(),
    ]);
    let file = inbox.take("ITEMS_1.xml", text).await;
    assert_eq!((file.state.as_str(), file.created, file.failed, file.deferred), ("done", 2, 2, 1));
    let report = inbox.report("done");
    let told = &report["file"];
    assert_eq!((&told["records"], &told["created"], &told["failed"]), (&json!(5), &json!(2), &json!(2)));
    assert_eq!(told["name"], "ITEMS_1.xml");
    let failures = report["failures"].as_array().expect("failures");
    assert_eq!(failures.len(), 2);
    let letter = inbox.hub.row("select * from hub.dead_letter where key = 'B'").await;
    assert_eq!(failures[0]["deadLetterId"], letter["id"]);
    assert_eq!(
        (&failures[0]["ordinal"], &failures[0]["line"], &failures[0]["code"]),
        (&json!(1), &json!(4), &json!("B"))
    );
    assert_eq!((&failures[0]["reason"], &failures[0]["value"]), (&json!("not_a_number"), &json!("yirmi")));
    assert!(failures[0]["field"].as_str().expect("a field").starts_with("vatRate"));
    assert_eq!((&failures[1]["ordinal"], &failures[1]["reason"]), (&json!(3), &json!("missing_code")));
    assert_eq!(inbox.names("done").len(), 2);
    assert!(inbox.names("done")[0].starts_with("ITEMS_1.2"), "{:?}", inbox.names("done"));

    // What B's letter complains of is mended by the next file.
    let mended = items(["<ITEM><CODE>B</CODE><NAME>b</NAME><VAT>20</VAT></ITEM>".to_owned()]);
    inbox.take("ITEMS_2.xml", mended).await;
    assert_eq!(inbox.hub.count("hub.dead_letter where key = 'B'").await, 0);
}

#[tokio::test]
async fn the_same_code_twice_counts_as_its_last_and_the_same_file_twice_as_nothing() {
    let mut inbox = Inbox::new().await;
    let near = items([item("INS", "A", "Bir"), item("UPD", "A", "İki")]);
    let file = inbox.take("a.xml", &near).await;
    assert_eq!((file.created, file.superseded), (1, 1));
    assert_eq!(inbox.product("A").await["name"], "İki");

    // In another slice of the file.
    let between = (0..1_500).map(|n| item("INS", &format!("B{n}"), "b"));
    let far = items([item("UPD", "A", "Üç")].into_iter().chain(between).chain([item("UPD", "A", "Dört")]));
    let file = inbox.take("b.xml", &far).await;
    assert_eq!((file.created, file.updated), (1_500, 2));
    assert_eq!(inbox.product("A").await["name"], "Dört");

    let before = inbox.product("B7").await;
    let events = inbox.hub.count("hub.outbox_event").await;
    let file = inbox.take("b.xml", items((0..1_500).map(|n| item("INS", &format!("B{n}"), "b")))).await;
    assert_eq!((file.state.as_str(), file.unchanged, file.created + file.updated), ("done", 1_500, 0));
    assert_eq!((inbox.product("B7").await, inbox.hub.count("hub.outbox_event").await), (before, events));
}

#[tokio::test]
async fn an_older_file_changes_nothing_that_is_newer() {
    let mut inbox = Inbox::new().await;
    let dated = |name: &str, day: u32| {
        items([format!(
            "<ITEM><CODE>A</CODE><NAME>{name}</NAME><DATE_MODIFIED>{}</DATE_MODIFIED></ITEM>",
            2026 * 65536 + 3 * 256 + day
        )])
    };
    inbox.take("new.xml", dated("yeni", 5)).await;
    let file = inbox.take("old.xml", dated("eski", 2)).await;
    assert_eq!((file.state.as_str(), file.stale), ("done", 1));
    assert_eq!(inbox.product("A").await["name"], "yeni");
}

#[tokio::test]
async fn lines_of_one_code_that_are_all_refused_are_told_one_by_one() {
    let mut inbox = Inbox::new().await;
    let bad: String = (0..60).map(|n| format!("RV-1;ad;{}\n", 200 + n)).collect();
    let file = inbox.take("products.csv", format!("Stok Kodu;Stok Adı;KDV\n{bad}RV-2;ad;20\n")).await;
    assert_eq!((file.state.as_str(), file.created, file.failed), ("done", 1, 60));
    assert_eq!(inbox.report("done")["failures"].as_array().map(Vec::len), Some(60));
}

#[tokio::test]
async fn an_earlier_line_never_overwrites_a_later_one_of_its_code() {
    let mut inbox = Inbox::new().await;
    inbox.take("products.csv", "Stok Kodu;Stok Adı\nFX-3;ad\nFX-4;ad\n").await;
    // The good line stands in the same slice, and in the next one.
    let filler: String = (0..1_200).map(|_| "FX-9;Liste;;10;TL\n").collect();
    let text = format!(
        "Stok Kodu;Fiyat Türü;Birim;Fiyat;Para Birimi\nFX-3;Liste;;10;ALTIN\nFX-4;Liste;;10;ALTIN\nFX-3;Liste;;20;TL\n\
         {filler}FX-4;Liste;;20;TL\n"
    );
    let file = inbox.take("prices.csv", text).await;
    assert_eq!((file.state.as_str(), file.created, file.failed), ("done", 2, 2));
    assert_eq!(inbox.hub.count("hub.dead_letter").await, 0);
    assert_eq!(inbox.hub.count("hub.dead_letter_history where resolution = 'superseded'").await, 2);
    let prices = "select distinct amount::bigint as price from commerce.price";
    assert_eq!(inbox.hub.rows(prices).await, [json!({ "price": 20 })]);
}
