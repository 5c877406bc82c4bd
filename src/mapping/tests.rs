//! The room through its public surface: whole files, whole pages.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::canonical::{Entity, Value};

fn library(files: &[(&str, &str)]) -> Library {
    Library::from_texts(files).unwrap_or_else(|problems| {
        panic!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    })
}

fn problems(files: &[(&str, &str)]) -> Vec<String> {
    Library::from_texts(files).unwrap_err().iter().map(ToString::to_string).collect()
}

const SMALL: &str = r#"
entity = "product"
[records]
json = ["items", "."]
xml = "ITEMS.ITEM"
csv = true
[key]
from = "CODE"
[version]
kind = "test.number"
from = { number = "V" }
[fields.name]
from = "NAME"
[fields.sku]
from = "CODE"
[fields.vatRate]
from = "VAT"
number = "comma"
[fields.weight]
cel = "r.VAT == '20' ? '1.5' : null"
[fields.attributes]
object = { b = "B", a = ["A", "B"] }
[fields.images]
each = "IMG"
[fields.images.fields.url]
from = "URL"
"#;

#[test]
fn three_formats_give_one_change() {
    let library = library(&[("x/small.toml", SMALL)]);
    let mapping = library.get("x/small").unwrap();
    let json = r#"[{"CODE":"A","NAME":"Ad","VAT":"20","B":"b","V":7,"IMG":[{"URL":"u"}]}]"#;
    let xml =
        "<ITEMS><ITEM><CODE>A</CODE><NAME>Ad</NAME><VAT>20</VAT><B>b</B><V>7</V><IMG><URL>u</URL></IMG></ITEM></ITEMS>";
    let csv = "CODE;NAME;VAT;B;V\r\nA;Ad;20;b;7\r\n";
    let overlay = Overlay::new();
    let from_json = mapping.map(Format::Json, json.as_bytes(), &overlay).unwrap();
    let from_xml = mapping.map(Format::Xml, xml.as_bytes(), &overlay).unwrap();
    let from_csv = mapping.map(Format::Csv, csv.as_bytes(), &overlay).unwrap();
    assert_eq!(from_json.rejected, []);
    assert_eq!(from_json, from_xml);
    let change = &from_json.changes[0];
    let at = |name: &str| change.values[Entity::Product.field(name).unwrap()].clone();
    assert_eq!(change.version.as_ref().map(|version| version.value), Some(7));
    assert_eq!(at("vatRate"), Value::Decimal(20.into()));
    assert_eq!(at("weight"), Value::Decimal("1.5".parse().unwrap()));
    assert_eq!(at("attributes"), Value::Json(r#"{"a":"b","b":"b"}"#.into()));
    assert_eq!(at("description"), Value::Absent);
    // A CSV file has no lists.
    let mut without_images = change.clone();
    without_images.values[Entity::Product.field("images").unwrap()] = Value::Absent;
    assert_eq!(from_csv.changes[0].values, without_images.values);
    // A record on its own becomes the same again.
    for (format, body, mapped) in
        [(Format::Json, json, &from_json), (Format::Xml, xml, &from_xml), (Format::Csv, csv, &from_csv)]
    {
        let alone = mapping.raw_record(format, body.as_bytes(), 0).unwrap();
        assert_eq!(mapping.map(format, &alone, &overlay).unwrap().changes, mapped.changes, "{format}");
        assert_eq!(mapping.raw_record(format, body.as_bytes(), 1), None, "{format}");
    }
}

#[test]
fn key_order_white_space_and_notation_do_not_change_the_hash() {
    let library = library(&[("x/small.toml", SMALL)]);
    let mapping = library.get("x/small").unwrap();
    let overlay = Overlay::new();
    let hash = |body: &str| mapping.map(Format::Json, body.as_bytes(), &overlay).unwrap().changes[0].hash;
    let one = hash(r#"[{"CODE":"A","NAME":"şık","VAT":20}]"#);
    assert_eq!(one, hash("[ {\"VAT\" : 20.00,\n\"NAME\":\"\\u015f\\u0131k\",\"CODE\":\"A\", \"X\":1}]"));
    assert_ne!(one, hash(r#"[{"CODE":"A","NAME":"sik","VAT":20}]"#));
    assert_ne!(one, hash(r#"[{"CODE":"A","NAME":"şık","VAT":null}]"#));
}

#[test]
fn an_expression_that_fails_is_a_fault_of_the_record() {
    let library = library(&[("x/small.toml", SMALL)]);
    let mapping = library.get("x/small").unwrap();
    let body = br#"[{"CODE":"A","NAME":"a"},{"CODE":"B","NAME":"b","VAT":"1"}]"#;
    let mapped = mapping.map(Format::Json, body, &Overlay::new()).unwrap();
    assert_eq!(mapped.changes.len(), 1);
    assert_eq!((mapped.rejected[0].field.as_str(), mapped.rejected[0].reason), ("weight", Reason::Expression));
}

#[test]
fn an_expression_sees_numbers_without_floats() {
    let evaluated = |cel: &str, record: &str| {
        let text = SMALL.replace("r.VAT == '20' ? '1.5' : null", cel);
        let library = library(&[("x/small.toml", &text)]);
        let mapping = library.get("x/small").unwrap();
        let body = format!(r#"[{{"CODE":"A","NAME":"a",{record}}}]"#);
        let mapped = mapping.map(Format::Json, body.as_bytes(), &Overlay::new()).unwrap();
        let weight = Entity::Product.field("weight").unwrap();
        mapped.changes.first().map(|change| change.values[weight].clone().into_owned())
    };
    let number = |text: &str| Some(Value::Decimal(text.parse().unwrap()));
    assert_eq!(evaluated("has(r.KG) ? r.KG : null", r#""KG":1.25"#), number("1.25"));
    assert_eq!(evaluated("has(r.KG) ? r.KG : null", r#""X":1"#), Some(Value::Null));
    assert_eq!(evaluated("r.KG * 2", r#""KG":21.0"#), number("42"));
    assert_eq!(evaluated("r.L.map(x, x.N)[1]", r#""L":[{"N":1},{"N":2}]"#), number("2"));
    assert_eq!(evaluated("double(r.KG) * 2.0", r#""KG":1.25"#), None);
}

#[test]
fn all_problems_of_all_files_are_told_with_place_and_remedy() {
    let broken = "entity = \"prodcut\"\n[key]\nform = \"CODE\"\n[records]\njson = \"items\"\n[fields.name]\nfrom = 7\n";
    let other = concat!(
        "entity = \"product\"\n[records]\njson = \"items\"\n[key]\nfrom = \"CODE\"\n",
        "[fields.name]\nfrom = \"N\"\ntransforms = [\"trimm\", { cut = \"x\" }]\ntable = \"curency\"\n",
        "[fields.vatrate]\nfrom = \"V\"\n[fields.weight]\ncel = \"q.X + \"\n[fields.isActive]\ndefault = \"belki\"\n",
        "[fields.category]\nfrom = \"A[\"\ntransforms = [\"upper_tr\"]\n[fields.units]\nfields = {}\n",
        "[[skip]]\nwhen = { field = \"A\" }\n",
    );
    let told = problems(&[
        ("x/broken.toml", broken),
        ("x/other.toml", other),
        ("x/tables.toml", "[currency]\n1 = \"USD\"\n2 = []\n"),
        ("x/syntax.toml", "entity = \n"),
    ]);
    let told = told.join("\n");
    for wanted in [
        "x/broken.toml:1:10: `prodcut` is no value of `entity`; did you mean `product`?",
        "x/broken.toml:3:1: unknown key `form` in [key]; did you mean `from`?",
        "x/other.toml:8:15: there is no transform `trimm`; did you mean `trim`?",
        "x/other.toml:8:32: `cut` cannot take that;",
        "x/other.toml:9:9: there is no code table `curency`; did you mean `currency`?",
        "x/other.toml:10:9: the entity product has no field `vatrate`; did you mean `vatRate`?",
        "x/other.toml:13:7: the expression is wrong:",
        "x/other.toml:15:11: `default` does not fit the field:",
        "x/other.toml:17:8: `A[` is no path:",
        "codes must not change their case",
        "[fields.units] is a list and has no `each`",
        "a row of `units` has no rule",
        "the condition tests nothing",
        "[[skip]] has no `reason`",
        "the required field `code` of a row of `units` has no rule",
        "x/tables.toml:3:1: the value of the code `2` is neither",
        "x/syntax.toml:1:10: this is not TOML:",
    ] {
        assert!(told.contains(wanted), "{wanted}\n--- was not told in:\n{told}");
    }
}

#[test]
fn the_hash_covers_the_file_and_the_tables_that_it_uses() {
    let hash = |text: &str, tables: &str| {
        library(&[("x/small.toml", text), ("x/tables.toml", tables)]).get("x/small").unwrap().hash().to_owned()
    };
    let with_table = format!("{SMALL}[fields.unit]\nfrom = \"U\"\ntable = \"unit\"\n");
    let one = hash(&with_table, "[unit]\nA = \"B\"\n[other]\nA = 1\n");
    assert_eq!(one.len(), 64);
    assert_eq!(one, hash(&with_table, "[other]\nA = 2\n[unit]\nA = \"B\"\n"));
    assert_ne!(one, hash(&with_table, "[unit]\nA = \"C\"\n"));
    assert_ne!(one, hash(&format!("{with_table}# a word\n"), "[unit]\nA = \"B\"\n"));
}

#[test]
fn references_carry_their_policy() {
    let library = Library::load(None).unwrap();
    let stock = library.get("logo/stock").unwrap();
    let warehouse = Entity::Stock.field("warehouse").unwrap();
    let product = Entity::Stock.field("product").unwrap();
    assert_eq!(stock.reference_policy(warehouse), OnMissing::Create);
    assert_eq!(stock.reference_policy(product), OnMissing::Defer);
    assert_eq!(
        stock.references(),
        [(product, Entity::Product, OnMissing::Defer), (warehouse, Entity::Warehouse, OnMissing::Create)]
    );
    let items = library.get("logo/items").unwrap();
    assert_eq!(items.search_keys(), [Entity::Product.field("sku").unwrap(), Entity::Product.field("barcode").unwrap()]);
    assert_eq!((items.name(), items.entity()), ("logo/items", Entity::Product));
}

#[test]
fn the_directory_gives_what_is_compiled_in() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("mappings");
    let from_disk = Library::load(Some(&dir)).unwrap();
    let built_in = Library::load(None).unwrap();
    let hashes =
        |library: &Library| -> Vec<String> { library.iter().map(|mapping| mapping.hash().to_owned()).collect() };
    assert_eq!(hashes(&from_disk), hashes(&built_in));
    let missing = Library::load(Some(&dir.join("nowhere"))).unwrap_err();
    assert_eq!((missing.len(), missing[0].line), (1, 0));
}

#[test]
fn a_case_that_does_not_hold_is_told() {
    let cases = r#"
[[case]]
name = "wrong in every way"
given = { CODE = "A", NAME = "a", VAT = "20", V = 1 }
expect = { name = "b", vatRate = 21, isActive = true, weight = 1.50 }
null = ["sku"]
absent = ["name"]
rejected = { code = "B" }
skipped = "x"
"#;
    let library = library(&[("x/small.toml", SMALL), ("x/small.cases.toml", cases)]);
    let results = run_cases(&library, |_| true).unwrap();
    assert_eq!(results[0].line, 2);
    assert_eq!(
        results[0].misses,
        [
            "isActive is absent, expected true",
            "name is \"a\", expected \"b\"",
            "vatRate is 20, expected 21",
            "sku is Some(String(\"A\")), expected null",
            "name is \"a\", expected it to be absent",
            "0 records rejected, expected 1",
            "skipped for [], expected [\"x\"]",
        ]
    );
    let broken = [("x/small.toml", SMALL), ("x/small.cases.toml", "[[case]]\nnam = \"x\"\n")];
    assert_eq!(run_cases(&Library::from_texts(&broken).unwrap(), |_| true).unwrap_err().len(), 3);
    assert!(problems(&[("x/none.cases.toml", "")])[0].contains("there is no mapping `x/none`"));
}

#[test]
fn explain_tells_every_field_and_the_same_fate() {
    let library = library(&[("x/small.toml", SMALL)]);
    let mapping = library.get("x/small").unwrap();
    let body = br#"[{"CODE":"A","NAME":"a","VAT":"1,5"},{"CODE":"B","VAT":"x"}]"#;
    let told = mapping.explain(Format::Json, body, &Overlay::new()).unwrap();
    assert_eq!((told[0].fate.clone(), told[0].code.as_deref()), (Fate::Change, Some("A")));
    let vat = told[0].fields.iter().find(|field| field.target == "vatRate").unwrap();
    assert_eq!(
        (vat.source.as_str(), vat.given.as_deref(), vat.value.clone()),
        ("VAT", Some("1,5"), Some(serde_json::from_str("1.5").unwrap()))
    );
    assert_eq!(told[1].fate, Fate::Rejected);
    assert_eq!(told[1].fields.iter().filter(|field| field.fault.is_some()).count(), 2);
}

#[test]
fn mappings_are_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Library>();
    shared::<Mapping>();
}

/// Bytes that are nearly a page.
fn nearly_json() -> impl Strategy<Value = String> + use<> {
    let leaf = prop_oneof![
        "\"\\PC{0,12}\"",
        "-?[0-9]{1,25}(\\.[0-9]{1,9})?([eE][-+]?[0-9]{1,3})?",
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("\"\\u0000\"".to_owned()),
        Just("\"\\ud800\"".to_owned()),
        Just("\"1899-12-30T00:00:00\"".to_owned()),
    ];
    let key = prop::sample::select(vec![
        "CODE",
        "NAME",
        "VAT",
        "SELVAT",
        "CARD_TYPE",
        "RECORD_STATUS",
        "UNITS",
        "items",
        "STAMP",
        "DATE_MODIFIED",
        "HOUR_MODIFIED",
        "CONV_FACT1",
        "UNIT_CODE",
        "BARCODE_LIST",
        "TRACK_TYPE",
        "PRODUCER_CODE",
    ]);
    let value = leaf.prop_recursive(4, 32, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec((key.clone(), inner), 0..8).prop_map(|fields| {
                let fields: Vec<String> = fields.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
                format!("{{{}}}", fields.join(","))
            }),
        ]
    });
    prop::collection::vec(value, 0..6).prop_map(|records| format!("{{\"items\":[{}]}}", records.join(",")))
}

static BUILT_IN: LazyLock<Library> = LazyLock::new(|| Library::load(None).unwrap());

fn check_page(mapping: &Mapping, format: Format, body: &[u8]) {
    let overlay = Overlay::new();
    let Ok(mapped) = mapping.map(format, body, &overlay) else { return };
    let skipped: usize = mapped.skipped.iter().map(|(_, count)| count).sum();
    assert_eq!(mapped.records, mapped.changes.len() + mapped.rejected.len() + skipped);
    for change in &mapped.changes {
        let alone = mapping.raw_record(format, body, change.ordinal).unwrap();
        let again = mapping.map(format, &alone, &overlay).unwrap();
        assert_eq!(again.changes[0].hash, change.hash);
        assert_eq!(again.changes[0].code, change.code);
    }
    assert_eq!(mapping.explain(format, body, &overlay).unwrap().len(), mapped.records);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let library = &*BUILT_IN;
        for mapping in library.iter() {
            for format in Format::ALL {
                check_page(mapping, format, &bytes);
            }
        }
    }

    #[test]
    fn no_nearly_json_makes_it_panic(body in nearly_json()) {
        let library = &*BUILT_IN;
        for name in ["logo/items", "logo/unit_sets", "logo/customers"] {
            check_page(&library.get(name).unwrap(), Format::Json, body.as_bytes());
        }
    }

    #[test]
    fn no_nearly_xml_makes_it_panic(inner in "(<(ITEM|CODE|NAME|UNITS|/ITEM|/CODE|/NAME|!--|!\\[CDATA\\[|\\?x| a=\"[&;a]{0,3}\")/?>?|&[a-z#0-9]{0,4};|\\PC){0,40}") {
        let library = &*BUILT_IN;
        let mapping = library.get("logo/items").unwrap();
        check_page(&mapping, Format::Xml, inner.as_bytes());
        check_page(&mapping, Format::Xml, format!("<ITEMS><ITEM>{inner}</ITEM></ITEMS>").as_bytes());
    }

    #[test]
    fn no_csv_makes_it_panic(body in "(CODE|NAME|VAT|[;,\"\n\r\t|]|\\PC){0,40}") {
        let library = library(&[("x/small.toml", SMALL)]);
        check_page(&library.get("x/small").unwrap(), Format::Csv, body.as_bytes());
        check_page(&library.get("x/small").unwrap(), Format::Csv, format!("CODE;NAME;VAT\n{body}").as_bytes());
    }

    #[test]
    fn no_text_makes_the_loader_panic(text in "\\PC{0,60}", line in "(entity|from|\\[fields\\.|name|\\]|=|\"|\\{|\\}|\n|product|[a-z]){0,30}") {
        let _ = Library::from_texts(&[("x/a.toml", &text), ("x/b.toml", &line), ("x/tables.toml", &text)]);
        let _ = Library::from_texts(&[("x/a.toml", &format!("{SMALL}{line}"))]);
    }
}

const PART: &str = r#"
entity = "price"
[records]
json = ["items", "."]
[key]
join = ["CODE", "=list"]
separator = "|"
[[skip]]
reason = "no_price"
when = { field = "PRICE", filled = false }
[fields.product]
from = "CODE"
[fields.role]
value = "list"
[fields.amount]
from = "PRICE"
[fields.currency]
from = "CURRENCY"
required = "when_new"
"#;

fn whole(parts: &str) -> String {
    format!(
        "entity = \"product\"\nparts = {parts}\n[records]\njson = [\"items\", \".\"]\n[key]\nfrom = \"CODE\"\n\
         [fields.name]\nfrom = \"NAME\"\n[fields.sku]\nfrom = \"CODE\"\n"
    )
}

#[test]
fn a_mapping_and_its_parts_read_one_document_once() {
    let own = whole(r#"["x/list", "x/list"]"#);
    let library = library(&[("x/items.toml", &own), ("x/list.toml", PART)]);
    let mapping = library.get("x/items").unwrap();
    assert_eq!(mapping.parts().len(), 1);
    assert_ne!(mapping.hash(), library.get("x/list").unwrap().hash());
    let page = r#"{"items":[{"CODE":"A","NAME":"a","PRICE":5},{"CODE":"B","PRICE":5},{"NAME":"c","CODE":"C"},7,
        {"PRICE":"x","NAME":"d","CODE":"D"}]}"#;
    let mapped = mapping.map_with_parts(Format::Json, page.as_bytes(), &Overlay::new()).unwrap();
    let [own, prices] = &mapped[..] else { panic!("{mapped:?}") };
    assert_eq!(own, &mapping.map(Format::Json, page.as_bytes(), &Overlay::new()).unwrap());
    let codes = |of: &Mapped<'_>| of.changes.iter().map(|change| change.code.to_string()).collect::<Vec<_>>();
    assert_eq!(codes(own), ["A", "C", "D"]);
    // B has no name and the fourth is no record: a refused record has no parts.
    assert_eq!(codes(prices), ["A|list"]);
    assert_eq!(prices.skipped, [("no_price".to_owned(), 1)]);
    assert_eq!((prices.rejected[0].ordinal, prices.rejected[0].code.as_deref()), (4, Some("D|list")));
}

#[test]
fn parts_that_are_missing_circular_or_elsewhere_are_told() {
    let own = whole(r#"["x/lost", "x/elsewhere", "x/list"]"#);
    let elsewhere = PART.replace("[\"items\", \".\"]", "\"prices\"");
    let circular = PART.replacen('\n', "\nparts = \"x/items\"\n", 1);
    let told = problems(&[("x/items.toml", &own), ("x/elsewhere.toml", &elsewhere), ("x/list.toml", &circular)]);
    for wanted in ["there is no mapping `x/lost`", "`x/elsewhere` looks for its records elsewhere", "is part of itself"]
    {
        assert!(told.iter().any(|line| line.contains(wanted)), "{wanted}: {told:#?}");
    }
    // A part that has problems of its own is not told as missing.
    let told = problems(&[("x/items.toml", &whole(r#""x/list""#)), ("x/list.toml", "entity = \"prise\"")]);
    assert!(!told.iter().any(|line| line.contains("no mapping")), "{told:#?}");
}
