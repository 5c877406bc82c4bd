//! Mapping alone: from the bytes of a page to canonical changes with their hash, on one core.
//!
//! `cargo bench --bench mapping` prints records a second for pages of 1,000 rows as the SQL way delivers them (19
//! columns) and for full REST records with units.

use std::fmt::Write;
use std::time::{Duration, Instant};

use kopru::mapping::{Format, Library, Mapping, Overlay};

/// The program's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROWS: usize = 1_000;
const PAGES: usize = 20;

/// A page of SQL rows: flat, all columns there, strings in Turkish.
fn sql_page(page: usize) -> String {
    let mut out = String::from(r#"{"Meta":{"href":"http://logo/api/v1/queries/unsafe"},"items":["#);
    for row in 0..ROWS {
        let id = page * ROWS + row;
        if row > 0 {
            out.push(',');
        }
        let _ = write!(
            out,
            concat!(
                r#"{{"INTERNAL_REFERENCE":{id},"RECORD_STATUS":0,"CARD_TYPE":1,"CODE":"KMR-{id:07}","#,
                r#""NAME":"{id} 4MP IP Dome Kamera Motorize Işıklı","NAME3":"Gece görüşlü, IP67, şeffaf ğ {id}","#,
                r#""GROUP_CODE":"KAMERA{group}","PRODUCER_CODE":"OBK-{id}","AUXIL_CODE":"IP","AUTH_CODE":"B2B","#,
                r#""VAT":20.0,"SELVAT":20.0,"TRACK_TYPE":{track},"UNITSET_CODE":"05","UNIT_CODE":"ADET","#,
                r#""MARKCODE":"ORBEK{group}","GTIPCODE":"852589000000","EAN_BARCODE":"869{id:010}","#,
                r#""STAMP":"2026-02-{day:02}T16:05:31"}}"#
            ),
            id = id,
            group = id % 40,
            track = id % 3,
            day = id % 28 + 1,
        );
    }
    out.push_str(r#"],"count":1000}"#);
    out
}

/// A page of REST records at full expansion.
fn rest_page(page: usize) -> String {
    let mut out = String::from(r#"{"items":["#);
    for row in 0..ROWS {
        let id = page * ROWS + row;
        if row > 0 {
            out.push(',');
        }
        let _ = write!(
            out,
            concat!(
                r#"{{"Meta":{{"href":"http://logo/api/v1/items/{id}","mediaType":"application/json; charset=UTF-8"}},"#,
                r#""INTERNAL_REFERENCE":{id},"RECORD_STATUS":0,"CARD_TYPE":1,"CODE":"KMR-{id:07}","NAME":"Kamera {id}","#,
                r#""GROUP_CODE":"KAMERA","VAT":20.0,"SELVAT":20.0,"TRACK_TYPE":2,"UNITSET_CODE":"05","MARKCODE":"ORBEK","#,
                r#""DATE_CREATED":"2025-11-18T00:00:00","HOUR_CREATED":9,"MIN_CREATED":42,"SEC_CREATED":7,"#,
                r#""DATE_MODIFIED":"2026-02-27T00:00:00","HOUR_MODIFIED":16,"MIN_MODIFIED":5,"SEC_MODIFIED":31,"#,
                r#""UNITS":{{"Meta":{{"href":"x"}},"items":[{{"UNIT_CODE":"ADET","CONV_FACT1":1.0,"CONV_FACT2":1.0,"#,
                r#""WEIGHT":0.74,"BARCODE_LIST":{{"items":[{{"BARCODE":"869{id:010}","LINENR":1,"TYPE":0}}]}}}},"#,
                r#"{{"UNIT_CODE":"KOLI","CONV_FACT1":1.0,"CONV_FACT2":12.0}}]}}}}"#
            ),
            id = id,
        );
    }
    out.push_str("]}");
    out
}

/// Seconds that this thread has spent on a core: other programs on the machine do not count.
fn core_seconds(start: Instant) -> f64 {
    std::fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|text| text.split(' ').next()?.parse::<u64>().ok())
        .map_or_else(|| start.elapsed().as_secs_f64(), |nanoseconds| nanoseconds as f64 / 1e9)
}

/// The best of several rounds, each of at least a second: the machine's noise only ever adds.
fn measure(name: &str, mapping: &Mapping, pages: &[String]) {
    let overlay = Overlay::new();
    let mut best = 0.0_f64;
    let bytes: usize = pages.iter().map(String::len).sum();
    for _ in 0..5 {
        let start = Instant::now();
        let before = core_seconds(start);
        let mut rounds = 0_u32;
        while start.elapsed() < Duration::from_secs(1) {
            for page in pages {
                let mapped = mapping.map(Format::Json, page.as_bytes(), &overlay).expect("the page is readable");
                assert_eq!(mapped.changes.len(), ROWS, "{:?}", mapped.rejected.first());
                std::hint::black_box(mapped);
            }
            rounds += 1;
        }
        let seconds = core_seconds(start) - before;
        best = best.max(f64::from(rounds) * (pages.len() * ROWS) as f64 / seconds);
    }
    let rate = best * bytes as f64 / (pages.len() * ROWS) as f64 / 1e6;
    println!("{name:<28} {best:>12.0} records/s   {rate:>7.0} MB/s");
}

fn main() {
    let library = Library::load(None).expect("the mappings of the repository are sound");
    let items = library.get("logo/items").expect("there is a mapping for items");
    let sql: Vec<String> = (0..PAGES).map(sql_page).collect();
    let rest: Vec<String> = (0..PAGES).map(rest_page).collect();
    measure("items, SQL rows", &items, &sql);
    measure("items, REST with units", &items, &rest);
}
