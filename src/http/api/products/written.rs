//! Products that are kept as they are written down, and answers that are put together from them: the same bytes as those of
//! [`super::shapes`], which they are cut from.

use std::sync::LazyLock;

use rust_decimal::Decimal;
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64;

use super::shapes::{DetailOut, Figure, LevelOut, ListedOut};
use crate::{
    commerce::{
        catalogue::{Detail, Forms, Goods, LINE_FORM, Level, Line, Listed, Shown, Written},
        pricing::{PACKED_FORM, Quote},
    },
    http::{api::tagged::Tagged, problem::Problem},
    page::Page,
};

pub(in crate::http) fn forms() -> Forms {
    Forms { listed, detail, stock, levels, form }
}

/// A form is what writes it.
fn form() -> &'static str {
    const WRITERS: [&[u8]; 4] =
        [include_bytes!("shapes.rs"), include_bytes!("written.rs"), PACKED_FORM.as_bytes(), LINE_FORM.as_bytes()];
    static FORM: LazyLock<String> = LazyLock::new(|| {
        let hashes: Vec<String> = WRITERS.iter().map(|text| format!("{:016x}", xxh3_64(text))).collect();
        format!("{} {}", env!("CARGO_PKG_VERSION"), hashes.join(" "))
    });
    &FORM
}

const STOCK_OF_LISTED: &str = "stockQuantity";
const STOCK_OF_DETAIL: &str = "stock";

/// What is cut out. In the texts of a document quotes are written with a backslash, so it is nowhere else before.
const GAP: &str = r#""price":null,"inStock":false,"#;

fn listed(listed: Listed) -> Option<Written> {
    let stock = listed.stock.map(|figure| Some(stock(figure)));
    cut(&ListedOut::from(Listed { price: None, in_stock: false, stock: None, ..listed }), stock)
}

fn stock(stock: Decimal) -> Box<[u8]> {
    member(STOCK_OF_LISTED, &Figure::from(stock)).unwrap_or_default()
}

fn levels(levels: Vec<Level>) -> Box<[u8]> {
    let levels: Vec<LevelOut> = levels.into_iter().map(LevelOut::from).collect();
    member(STOCK_OF_DETAIL, &levels).unwrap_or_default()
}

fn detail(detail: Detail) -> Option<Written> {
    let mut whole = DetailOut::from(Detail { price: None, cost: None, in_stock: false, ..detail });
    let stock = whole.stock.take().map(|levels| member(STOCK_OF_DETAIL, &levels));
    cut(&whole, stock)
}

fn member(name: &str, value: &impl Serialize) -> Option<Box<[u8]>> {
    Some(format!("\"{name}\":{},", serde_json::to_string(value).ok()?).into_bytes().into())
}

/// `stock`: for who may see it; inside, whether it could be written.
fn cut(document: &impl Serialize, stock: Option<Option<Box<[u8]>>>) -> Option<Written> {
    let text = serde_json::to_string(document).ok()?;
    let (head, tail) = text.split_once(GAP)?;
    let stock = match stock {
        Some(written) => written?,
        None => Box::default(),
    };
    let bytes = |text: &str| text.as_bytes().into();
    Some(Written { head: bytes(head), stock, tail: bytes(tail) })
}

/// A product with what is said of it beside what is written down.
fn put(to: &mut Vec<u8>, written: &Written, quote: Option<Quote>, in_stock: bool, sees_stock: bool) {
    to.extend_from_slice(&written.head);
    match quote {
        Some(quote) => {
            to.extend_from_slice(b"\"price\":{\"amount\":");
            quote.write_amount(to);
            // Currencies are three letters, rules have names of ours.
            to.extend_from_slice(b",\"currency\":\"");
            to.extend_from_slice(quote.currency().as_bytes());
            to.extend_from_slice(b"\",\"rule\":\"");
            to.extend_from_slice(quote.rule.as_str().as_bytes());
            to.extend_from_slice(b"\"}");
        }
        None => to.extend_from_slice(b"\"price\":null"),
    }
    to.extend_from_slice(if in_stock { b",\"inStock\":true," } else { b",\"inStock\":false," });
    if sees_stock {
        to.extend_from_slice(&written.stock);
    }
    to.extend_from_slice(&written.tail);
}

fn put_kept(to: &mut Vec<u8>, goods: &Goods, quote: Option<Quote>, sees_stock: bool) {
    put(to, &goods.written, quote, goods.in_stock, sees_stock);
}

/// Its stock is there if this caller may see it.
fn put_line(to: &mut Vec<u8>, line: &Line) {
    put(to, &line.written, line.quote, line.in_stock, true);
}

/// What a product takes beside what is written down, about.
const BESIDE: usize = 128;

fn length(written: &Written) -> usize {
    written.head.len() + written.stock.len() + written.tail.len() + BESIDE
}

/// A page as `PageOut` has it, of items that are put one by one.
fn page_of<T>(
    items: impl Iterator<Item = T> + Clone,
    length: impl Fn(T) -> usize,
    mut put: impl FnMut(&mut Vec<u8>, T),
    next_cursor: Option<&str>,
    total_count: Option<i64>,
) -> Result<Tagged, Problem> {
    let mut body = Vec::with_capacity(items.clone().map(length).sum::<usize>() + 2 * BESIDE);
    body.extend_from_slice(b"{\"items\":[");
    for (at, item) in items.enumerate() {
        if at > 0 {
            body.push(b',');
        }
        put(&mut body, item);
    }
    body.extend_from_slice(b"],\"nextCursor\":");
    serde_json::to_writer(&mut body, &next_cursor).map_err(Problem::internal)?;
    if let Some(count) = total_count {
        body.extend_from_slice(format!(",\"totalCount\":{count}").as_bytes());
    }
    body.push(b'}');
    Tagged::of(body)
}

/// The page as `PageOut` has it.
pub(super) fn page(shown: &Shown) -> Result<Tagged, Problem> {
    let sees_stock = shown.sees_stock();
    page_of(
        shown.items(),
        |(goods, _)| length(&goods.written),
        |to, (goods, quote)| put_kept(to, goods, quote, sees_stock),
        shown.next_cursor.as_deref(),
        shown.total_count,
    )
}

/// The same of what is written down in the store.
pub(super) fn page_of_lines(page: &Page<Line>, total_count: Option<i64>) -> Result<Tagged, Problem> {
    page_of(page.items.iter(), |line| length(&line.written), put_line, page.next_cursor.as_deref(), total_count)
}

/// The product as `DetailOut` has it.
pub(super) fn product(shown: &Shown) -> Result<Tagged, Problem> {
    let mut body = Vec::with_capacity(2048);
    for (goods, quote) in shown.items() {
        put_kept(&mut body, goods, quote, shown.sees_stock());
    }
    Tagged::of(body)
}

/// The same of what is written down in the store.
pub(super) fn product_of_line(line: &Line) -> Result<Tagged, Problem> {
    let mut body = Vec::with_capacity(length(&line.written) + BESIDE);
    put_line(&mut body, line);
    Tagged::of(body)
}
