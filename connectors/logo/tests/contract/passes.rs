//! Passes by SQL over a table that changes while it is read.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use axum::{body::Body, http::Response};
use chrono::{NaiveDateTime, TimeDelta};
use kopru_logo::sql::{After, Query, Since, StockPage, WhichItems};
use kopru_sdk::{Connector, Cursor, Fault, Page, Pass, PullRequest};
use serde_json::{Value, json};

use crate::support::{QUERIES, Seen, Server, TOKEN, answer, cx, pull, token};

#[derive(Default)]
struct Table {
    /// LOGICALREF and stamp.
    rows: Vec<(i64, NaiveDateTime)>,
    now: NaiveDateTime,
    /// Rows that the service gives at most, whatever is asked.
    cap: Option<usize>,
}

fn at(text: &str) -> NaiveDateTime {
    format!("2026-03-02T{text}").parse().unwrap()
}

impl Table {
    fn answer(&self, query: &Query) -> Value {
        let stamp = |time: &NaiveDateTime| time.format("%Y-%m-%dT%H:%M:%S").to_string();
        let (mut rows, limit): (Vec<Value>, u32) = match query {
            Query::ServerTime => (vec![json!({"STAMP": stamp(&self.now)})], 1),
            Query::Periods { .. } => {
                (vec![json!({"NR": 1, "BEGDATE": "2026-01-01", "ENDDATE": "2026-12-31", "ACTIVE": 1})], 99)
            }
            Query::Items { after: After { reference, limit }, .. } => {
                let mut rows: Vec<_> = self.rows.iter().filter(|row| row.0 > *reference).collect();
                rows.sort();
                let rows = rows.iter().map(|(reference, time)| {
                    json!({"INTERNAL_REFERENCE": reference, "CODE": format!("K{reference}"), "STAMP": stamp(time)})
                });
                (rows.collect(), *limit)
            }
            Query::ItemsChanged { since: Since { stamp: since, reference, limit }, .. } => {
                let mut rows: Vec<_> = self.rows.iter().map(|row| (row.1, row.0)).collect();
                rows.retain(|row| *row > (*since, *reference));
                rows.sort();
                let rows = rows.iter().map(|(time, reference)| {
                    json!({"INTERNAL_REFERENCE": reference, "CODE": format!("K{reference}"), "STAMP": stamp(time)})
                });
                (rows.collect(), *limit)
            }
            Query::Stock { page: StockPage { item, warehouse, limit, .. }, .. } => {
                let mut rows: Vec<_> = self.rows.iter().flat_map(|row| [(row.0, 0), (row.0, 1)]).collect();
                rows.retain(|row| *row > (*item, *warehouse));
                rows.sort();
                (rows.iter().map(|(item, warehouse)| json!({"STOCKREF": item, "INVENNO": warehouse})).collect(), *limit)
            }
            // Item n has the lines 10·n + 1 … 10·n + n % 3; those without have one row all the same.
            Query::ItemUnits { items, item, line, limit, .. } => {
                let mut rows: Vec<(i64, i64, i64)> = Vec::new();
                for (n, _) in self.rows.iter().filter(|row| items.contains(row.0)) {
                    let last = if n % 3 == 0 { 0 } else { n * 10 + n % 3 };
                    rows.extend((1..=n % 3).map(|line| (*n, n * 10 + line, last)));
                    rows.extend((last == 0).then_some((*n, 0, 0)));
                }
                rows.retain(|row| (row.0, row.1) > (*item, *line));
                rows.sort_unstable();
                let rows = rows.iter().map(|(item, line, last)| {
                    let code = if *line == 0 { Value::Null } else { json!(format!("B{line}")) };
                    json!({"STOCKREF": item, "INTERNAL_REFERENCE": line, "LASTLINE": last, "UNIT_CODE": code})
                });
                (rows.collect(), *limit)
            }
            Query::UnitSets { after: After { reference, limit }, .. } => {
                let rows = (reference + 1..=3).map(|set| json!({"INTERNAL_REFERENCE": set, "CODE": format!("S{set}")}));
                (rows.collect(), *limit)
            }
            // Set n has n lines.
            Query::UnitSetLines { first, last, set, line, limit, .. } => {
                let mut lines: Vec<(i64, i64)> =
                    (*first..=*last).flat_map(|n| (1..=n).map(move |m| (n, n * 10 + m))).collect();
                lines.retain(|key| *key > (*set, *line));
                let rows = lines
                    .iter()
                    .map(|(set, line)| json!({"UNITSETREF": set, "INTERNAL_REFERENCE": line, "CODE": line}));
                (rows.collect(), *limit)
            }
            other => panic!("{other:?}"),
        };
        rows.truncate(self.cap.unwrap_or(usize::MAX).min(limit as usize));
        json!({"Meta": {}, "count": rows.len(), "items": rows})
    }
}

type Shared = Arc<Mutex<Table>>;

async fn serve(table: Table) -> (Server, Shared) {
    let table = Arc::new(Mutex::new(table));
    let shared = Arc::clone(&table);
    let respond = move |seen: &Seen, before: usize| -> Response<Body> {
        if seen.path == TOKEN {
            return token(before, 1199);
        }
        assert_eq!(seen.path, QUERIES);
        answer(200, &shared.lock().unwrap().answer(&seen.sql().expect("a text of ours")))
    };
    (Server::start(respond).await, table)
}

async fn changed(connector: &dyn Connector, cursor: &Cursor, first: bool) -> Result<Page, Fault> {
    let request = PullRequest { stream: "items", pass: Pass::Incremental, cursor: Some(cursor), first, since: None };
    connector.source().unwrap().pull(&cx(), request).await
}

fn references(page: &Page) -> Vec<i64> {
    let body: Value = serde_json::from_slice(&page.body).unwrap();
    body["items"].as_array().unwrap().iter().map(|row| row["INTERNAL_REFERENCE"].as_i64().unwrap()).collect()
}

/// Runs a pass to its end; `between` happens after each page.
async fn full(connector: &dyn Connector, between: impl Fn(usize)) -> (BTreeSet<i64>, Cursor) {
    let (mut seen, mut cursor, mut pages) = (BTreeSet::new(), None, 0);
    loop {
        let page = pull(connector, "items", cursor.as_ref()).await.unwrap();
        seen.extend(references(&page));
        if page.end {
            return (seen, page.cursor);
        }
        cursor = Some(page.cursor);
        pages += 1;
        between(pages);
    }
}

async fn incremental(connector: &dyn Connector, from: &Cursor) -> (Vec<i64>, Cursor) {
    let (mut seen, mut cursor, mut first) = (Vec::new(), from.clone(), true);
    loop {
        let page = changed(connector, &cursor, first).await.unwrap();
        seen.extend(references(&page));
        cursor = page.cursor;
        first = false;
        if page.end {
            return (seen, cursor);
        }
    }
}

#[tokio::test]
async fn nothing_is_lost_when_rows_are_added_while_a_full_pass_runs() {
    let table = Table {
        rows: (1..=95).map(|n| (n, at("08:00:00"))).collect(),
        now: at("09:00:00"),
        // Shorter pages than asked for: a short page ends nothing.
        cap: Some(7),
    };
    let (server, table) = serve(table).await;
    let connector = server.connector(json!({"sql_page": 10}));
    let (seen, _) = full(&*connector, |page| {
        if page <= 10 {
            table.lock().unwrap().rows.push((95 + page as i64, at("09:00:01")));
        }
    })
    .await;
    assert!(seen.iter().copied().eq(1..=105));
}

#[tokio::test]
async fn equal_stamps_across_a_page_border_lose_nothing() {
    let table = Table { rows: (1..=25).map(|n| (n, at("09:30:00"))).collect(), now: at("09:31:00"), cap: None };
    let (server, table) = serve(table).await;
    let connector = server.connector(json!({"sql_page": 10, "overlap": "0s"}));
    let start = Cursor(json!({"at": "rest", "since": "2026-03-02T09:30:00"}));
    let (seen, end) = incremental(&*connector, &start).await;
    assert_eq!(seen, (1..=25).collect::<Vec<_>>());
    // The next pass starts at the server's clock from before this one.
    assert_eq!(end.0["since"], "2026-03-02T09:31:00");
    table.lock().unwrap().rows.push((26, at("09:31:00")));
    assert_eq!(incremental(&*connector, &end).await.0, [26]);
}

#[tokio::test]
async fn what_is_committed_late_is_found_by_the_overlap() {
    let (server, table) = serve(Table { rows: vec![(1, at("09:00:00"))], now: at("09:20:00"), cap: None }).await;
    let connector = server.connector(json!({}));
    let (_, end) = full(&*connector, |_| ()).await;
    {
        let mut table = table.lock().unwrap();
        // Stamped before the pass began, committed after it.
        table.rows.push((2, at("09:15:00")));
        table.now = at("09:26:00");
    }
    let (seen, end) = incremental(&*connector, &end).await;
    assert_eq!(seen, [2]);
    // Passes without a change do not drift backwards.
    table.lock().unwrap().now += TimeDelta::minutes(30);
    let (seen, end) = incremental(&*connector, &end).await;
    assert!(seen.is_empty());
    assert_eq!(end.0["since"], "2026-03-02T09:56:00");
}

#[tokio::test]
async fn a_stamp_in_the_future_moves_nothing() {
    let (server, table) = serve(Table { rows: vec![(1, at("23:00:00"))], now: at("09:20:00"), cap: None }).await;
    let connector = server.connector(json!({}));
    let (_, end) = full(&*connector, |_| ()).await;
    let (seen, end) = incremental(&*connector, &end).await;
    assert_eq!(seen, [1]);
    table.lock().unwrap().rows.push((2, at("09:21:00")));
    assert_eq!(incremental(&*connector, &end).await.0, [2, 1]);
}

#[tokio::test]
async fn a_pass_that_was_given_up_is_taken_up_where_it_stood() {
    let rows = (1..=30).map(|n| (n, at("09:00:00") + TimeDelta::minutes(n))).collect();
    let (server, _) = serve(Table { rows, now: at("10:00:00"), cap: None }).await;
    let connector = server.connector(json!({"sql_page": 10, "overlap": "0s"}));
    let start = Cursor(json!({"at": "rest", "since": "2026-03-02T09:00:00"}));
    let page = changed(&*connector, &start, true).await.unwrap();
    assert_eq!(references(&page), (1..=10).collect::<Vec<_>>());
    // Begun anew from the middle: the rows behind it have been applied, its last row may come again.
    let (seen, _) = incremental(&*connector, &page.cursor).await;
    assert_eq!(seen, (10..=30).collect::<Vec<_>>());
    // A full pass that was given up is finished, or what it had not read would never come.
    let page = pull(&*connector, "items", None).await.unwrap();
    let (seen, _) = incremental(&*connector, &page.cursor).await;
    assert_eq!(seen, (11..=30).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_page_that_does_not_lead_on_is_a_fault() {
    let server = Server::start(|seen, before| match (seen.path.as_str(), seen.sql()) {
        (TOKEN, _) => token(before, 1199),
        (_, Some(Query::ItemUnits { .. })) => answer(200, &json!({"items": []})),
        (_, Some(Query::ServerTime)) => answer(200, &json!({"items": [{"STAMP": "2026-03-02T09:00:00"}]})),
        _ => answer(200, &json!({"items": [{"INTERNAL_REFERENCE": 5, "CODE": "A"}]})),
    })
    .await;
    let connector = server.connector(json!({}));
    let page = pull(&*connector, "items", None).await.unwrap();
    let fault = pull(&*connector, "items", Some(&page.cursor)).await.unwrap_err();
    assert!(fault.class() == "contract" && fault.to_string().contains("does not lead on"), "{fault}");
}

#[tokio::test]
async fn stock_goes_by_item_and_warehouse() {
    let rows = (1..=5).map(|n| (n, at("08:00:00"))).collect();
    let (server, _) = serve(Table { rows, now: at("09:00:00"), cap: Some(3) }).await;
    let connector = server.connector(json!({"period": null}));
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let page = pull(&*connector, "stock", cursor.as_ref()).await.unwrap();
        let body: Value = serde_json::from_slice(&page.body).unwrap();
        let rows = body["items"].as_array().unwrap().clone();
        seen.extend(rows.iter().map(|row| (row["STOCKREF"].as_i64().unwrap(), row["INVENNO"].as_i64().unwrap())));
        cursor = Some(page.cursor);
        if page.end {
            break;
        }
    }
    assert_eq!(seen, (1..=5).flat_map(|n| [(n, 0), (n, 1)]).collect::<Vec<_>>());
}

#[tokio::test]
async fn unit_sets_come_with_all_their_lines() {
    let (server, _) = serve(Table { cap: Some(2), now: at("09:00:00"), rows: vec![] }).await;
    let connector = server.connector(json!({}));
    let page = pull(&*connector, "unit_sets", None).await.unwrap();
    let next = pull(&*connector, "unit_sets", Some(&page.cursor)).await.unwrap();
    let lines = |page: &Page| -> Vec<usize> {
        let body: Value = serde_json::from_slice(&page.body).unwrap();
        body["items"].as_array().unwrap().iter().map(|set| set["UNITS"]["items"].as_array().unwrap().len()).collect()
    };
    assert_eq!((lines(&page), lines(&next)), (vec![1, 2], vec![3]));
    assert!(pull(&*connector, "unit_sets", Some(&next.cursor)).await.unwrap().end);
}

/// The unit codes of each item of a page; `None` where the page says nothing of them.
fn units(page: &Page) -> Vec<Option<Vec<String>>> {
    let body: Value = serde_json::from_slice(&page.body).unwrap();
    let codes = |item: &Value| -> Option<Vec<String>> {
        let units = item["UNITS"]["items"].as_array()?;
        Some(units.iter().map(|unit| unit["UNIT_CODE"].as_str().unwrap().to_owned()).collect())
    };
    body["items"].as_array().unwrap().iter().map(codes).collect()
}

fn unit_queries(server: &Server) -> Vec<WhichItems> {
    let texts = server.seen(QUERIES);
    let queries = texts.iter().filter_map(|seen| match seen.sql() {
        Some(Query::ItemUnits { items, .. }) => Some(items),
        _ => None,
    });
    queries.collect()
}

#[tokio::test]
async fn items_come_with_their_units_by_one_further_query_a_page() {
    let rows = (1..=25).map(|n| (n, at("09:30:00"))).collect();
    let (server, _) = serve(Table { rows, now: at("09:31:00"), cap: None }).await;
    let connector = server.connector(json!({"sql_page": 10, "overlap": "0s"}));
    let page = pull(&*connector, "items", None).await.unwrap();
    let texts = |list: &[&str]| Some(list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
    assert_eq!(units(&page)[..4], [texts(&["B11"]), texts(&["B21", "B22"]), None, texts(&["B41"])]);
    assert_eq!(unit_queries(&server), [WhichItems::Range(1, 10)]);
    full(&*connector, |_| ()).await;
    assert_eq!(unit_queries(&server).len(), 1 + 3);

    // Changed cards are scattered; only they are asked for.
    let (server, _) = serve(Table {
        rows: vec![(3, at("09:40:00")), (700, at("09:41:00")), (11, at("09:42:00")), (5, at("08:00:00"))],
        now: at("10:00:00"),
        cap: None,
    })
    .await;
    let connector = server.connector(json!({"overlap": "0s"}));
    let start = Cursor(json!({"at": "rest", "since": "2026-03-02T09:30:00"}));
    let page = changed(&*connector, &start, true).await.unwrap();
    assert_eq!(references(&page), [3, 700, 11]);
    assert_eq!(units(&page), [None, texts(&["B7001"]), texts(&["B111", "B112"])]);
    assert_eq!(unit_queries(&server), [WhichItems::Only(vec![3, 11, 700])]);
}

#[tokio::test]
async fn units_that_a_site_cuts_are_read_to_their_end() {
    let rows = (1..=5).map(|n| (n, at("08:00:00"))).collect();
    let (server, _) = serve(Table { rows, now: at("09:00:00"), cap: Some(2) }).await;
    let connector = server.connector(json!({}));
    let mut all = Vec::new();
    let mut cursor = None;
    loop {
        let page = pull(&*connector, "items", cursor.as_ref()).await.unwrap();
        all.extend(units(&page));
        if page.end {
            break;
        }
        cursor = Some(page.cursor);
    }
    let counts: Vec<usize> = all.iter().map(|units| units.as_ref().map_or(0, Vec::len)).collect();
    assert_eq!(counts, [1, 2, 0, 1, 2]);
}
