//! Files that are refused whole: nothing of them is applied, and the report says where they are broken.

use serde_json::json;

use super::{Inbox, fixture, item, items, many};

/// Drops a broken file behind good records; it must be refused whole, for this reason at this place.
async fn refused(inbox: &mut Inbox, name: &str, bytes: impl AsRef<[u8]>, reason: &str) -> (i64, i64) {
    let file = inbox.take(name, bytes).await;
    assert_eq!((file.state.as_str(), file.reason.as_deref()), ("failed", Some(reason)), "{name}: {:?}", file.detail);
    assert_eq!(file.records, 0);
    assert_eq!(inbox.hub.count("commerce.product").await, 0, "{name} was applied in part");
    assert_eq!(inbox.hub.count("hub.dead_letter").await, 0);
    assert!(inbox.names("work").is_empty() && inbox.names("done").is_empty());
    (file.line.expect("a line"), file.byte.expect("a byte"))
}

#[tokio::test]
async fn what_no_parser_should_swallow_is_refused_with_its_place() {
    let mut inbox = Inbox::new().await;
    let lol: String =
        (1..10).map(|n| format!("<!ENTITY lol{n} \"{}\">", format!("&lol{};", n - 1).repeat(10))).collect();
    let laughs =
        format!("<?xml version=\"1.0\"?>\n<!DOCTYPE ITEMS [<!ENTITY lol0 \"lol\">{lol}]>\n<ITEMS>&lol9;</ITEMS>");
    assert_eq!(refused(&mut inbox, "dtd.xml", &laughs, "dtd").await, (2, 22));

    let entity = items([item("INS", "A", "Bir"), item("INS", "B", "&bilinmeyen;")]);
    let (line, byte) = refused(&mut inbox, "entity.xml", &entity, "entity").await;
    assert_eq!((line, Some(byte as usize)), (4, entity.find("&bilinmeyen")));

    let attributes: String = (0..800_000).map(|n| format!(" a{n}=\"1\"")).collect();
    let wide = items([item("INS", "A", "Bir"), format!("<ITEM{attributes}/>")]);
    refused(&mut inbox, "wide.xml", &wide, "too_large").await;
    let attributes: String = (0..65).map(|n| format!(" a{n}=\"1\"")).collect();
    let wide = items([item("INS", "A", "Bir"), format!("<ITEM{attributes}/>")]);
    assert_eq!(refused(&mut inbox, "wider.xml", &wide, "too_large").await.0, 4);

    let deep = items([item("INS", "A", "Bir"), format!("<ITEM>{}", "<X>".repeat(10_000))]);
    assert_eq!(refused(&mut inbox, "deep.xml", &deep, "too_deep").await.0, 4);

    let long = items([item("INS", "A", "Bir"), item("INS", "B", &"x".repeat(2 * 1024 * 1024))]);
    assert_eq!(refused(&mut inbox, "long.xml", &long, "too_large").await.0, 4);

    let crowded = items([item("INS", "A", "Bir"), format!("<ITEM>{}</ITEM>", "<X/>".repeat(10_001))]);
    assert_eq!(refused(&mut inbox, "crowded.xml", &crowded, "too_large").await.0, 4);
}

#[tokio::test]
async fn what_is_cut_off_or_no_xml_is_refused_with_its_place() {
    let mut inbox = Inbox::new().await;
    let whole = many(1_200);
    let cut = &whole[..whole.len() - 30];
    let (line, byte) = refused(&mut inbox, "cut.xml", cut, "cut_off").await;
    assert!(line == 1_202 && usize::try_from(byte).is_ok_and(|byte| byte <= cut.len() && byte + 120 > cut.len()));
    let between = &whole[..whole.find("<ITEM DBOP=\"INS\"><CODE>A00009").expect("a record")];
    assert_eq!(refused(&mut inbox, "between.xml", between, "cut_off").await.1 as usize, between.len());

    assert_eq!(refused(&mut inbox, "empty.xml", "", "empty_body").await, (1, 0));
    assert_eq!(refused(&mut inbox, "blank.xml", " \n \n", "not_xml").await.0, 3);
    assert_eq!(refused(&mut inbox, "text.xml", "Merhaba\nsadece metin", "not_xml").await, (1, 0));
    refused(&mut inbox, "json.xml", "{\"items\":[]}", "not_xml").await;
    refused(&mut inbox, "picture.xml", [0x89, b'P', b'N', b'G', 0, 1, 2, 0xFF], "encoding").await;
    let crossed = items([item("INS", "A", "Bir"), "<ITEM><CODE>B</NAME></ITEM>".to_owned()]);
    let (line, byte) = refused(&mut inbox, "crossed.xml", &crossed, "not_xml").await;
    assert_eq!((line, Some(byte as usize)), (4, crossed.find("</NAME></ITEM></ITEMS>")));
    let twice = format!("{}<ITEMS/>", items([item("INS", "A", "Bir")]));
    assert_eq!(refused(&mut inbox, "twice.xml", &twice, "not_xml").await.0, 5);
    let padded = format!("{}\0\0\0\0", items([item("INS", "A", "Bir")]));
    assert_eq!(refused(&mut inbox, "padded.xml", &padded, "not_xml").await.0, 4);
    refused(&mut inbox, "other.xml", "<SALES_ORDERS><ORDER_SLIP/></SALES_ORDERS>", "no_records").await;
    refused(&mut inbox, "answer.xml", "<ITEMS><ERROR>Lisans yok</ERROR></ITEMS>", "no_records").await;
    assert_eq!(inbox.names("failed").len(), 24, "each with its report");
}

#[tokio::test]
async fn letters_of_another_encoding_are_refused_with_the_byte() {
    let mut inbox = Inbox::new().await;
    let bytes = fixture("items.xml");
    let text = String::from_utf8_lossy(&bytes).replace("ISO-8859-9", "UTF-8");
    assert!(text.contains("UTF-8"));
    let declared: Vec<u8> = {
        let at = bytes.windows(10).position(|part| part == b"ISO-8859-9").expect("declared");
        [&bytes[..at], b"UTF-8", &bytes[at + 10..]].concat()
    };
    let bad = declared.iter().position(|byte| !byte.is_ascii()).expect("a Turkish letter");
    let line = declared[..bad].iter().filter(|byte| **byte == b'\n').count() + 1;
    let place = refused(&mut inbox, "wrong.xml", &declared, "encoding").await;
    assert_eq!(place, (line as i64, bad as i64));
    let report = inbox.report("failed");
    let told = &report["file"];
    assert_eq!((&told["reason"], &told["byte"], &told["line"]), (&json!("encoding"), &json!(bad), &json!(line)));
    assert!(told["detail"].as_str().expect("a detail").contains("0xFD is not UTF-8"), "{told}");
    assert_eq!(told["state"], "failed");

    let wide: Vec<u8> = [0xFF, 0xFE].into_iter().chain(many(1).encode_utf16().flat_map(u16::to_le_bytes)).collect();
    refused(&mut inbox, "wide.xml", wide, "encoding").await;
}

#[tokio::test]
async fn a_fault_at_the_very_end_of_a_long_file_applies_nothing() {
    let mut inbox = Inbox::new().await;
    let long = many(3_500).replace("</ITEMS>", "<ITEM><CODE>son</CODE></ITEMS>");
    let (line, _) = refused(&mut inbox, "long.xml", long, "not_xml").await;
    assert_eq!(line, 3_503);
}

#[tokio::test]
async fn a_file_beyond_the_limit_is_refused_unread() {
    let mut inbox = Inbox::with(|folder| folder.max_bytes = 1_000).await;
    refused(&mut inbox, "big.xml", many(100), "too_large").await;
}
