//! Products that are kept as they are written down, and answers that are put together from them: the same bytes as those of
//! [`super::shapes`], which they are cut from.

use serde::Serialize;

use super::shapes::{DetailOut, Figure, ListedOut, PriceOut};
use crate::{
    commerce::{
        catalogue::{Detail, Forms, Goods, Listed, Shown, Written},
        pricing::Offer,
    },
    http::{api::tagged::Tagged, problem::Problem},
};

pub(in crate::http) fn forms() -> Forms {
    Forms { listed, detail }
}

/// What is cut out. In the texts of a document quotes are written with a backslash, so it is nowhere else before.
const GAP: &str = r#""price":null,"inStock":false,"#;

fn listed(listed: Listed) -> Option<Written> {
    let stock = listed.stock.map(|stock| member("stockQuantity", &Figure::from(stock)));
    cut(&ListedOut::from(Listed { price: None, in_stock: false, stock: None, ..listed }), stock)
}

fn detail(detail: Detail) -> Option<Written> {
    let mut whole = DetailOut::from(Detail { price: None, cost: None, in_stock: false, ..detail });
    let stock = whole.stock.take().map(|levels| member("stock", &levels));
    cut(&whole, stock)
}

fn member(name: &str, value: &impl Serialize) -> Option<String> {
    Some(format!("\"{name}\":{},", serde_json::to_string(value).ok()?))
}

/// `stock`: for who may see it; inside, whether it could be written.
fn cut(document: &impl Serialize, stock: Option<Option<String>>) -> Option<Written> {
    let text = serde_json::to_string(document).ok()?;
    let (head, tail) = text.split_once(GAP)?;
    let stock = match stock {
        Some(written) => written?,
        None => String::new(),
    };
    let bytes = |text: &str| text.as_bytes().into();
    Some(Written { head: bytes(head), stock: bytes(&stock), tail: bytes(tail) })
}

fn put(to: &mut Vec<u8>, goods: &Goods, offer: Option<&Offer>, sees_stock: bool) -> Result<(), serde_json::Error> {
    to.extend_from_slice(&goods.written.head);
    to.extend_from_slice(b"\"price\":");
    match offer.and_then(|offer| offer.net.map(|net| (offer, net))) {
        Some((offer, net)) => serde_json::to_writer(&mut *to, &PriceOut::of(net, offer.currency(), offer.rule))?,
        None => to.extend_from_slice(b"null"),
    }
    to.extend_from_slice(if goods.in_stock { b",\"inStock\":true," } else { b",\"inStock\":false," });
    if sees_stock {
        to.extend_from_slice(&goods.written.stock);
    }
    to.extend_from_slice(&goods.written.tail);
    Ok(())
}

/// The page as `PageOut` has it.
pub(super) fn page(shown: &Shown) -> Result<Tagged, Problem> {
    let length = |goods: &Goods| goods.written.head.len() + goods.written.stock.len() + goods.written.tail.len() + 128;
    let mut body = Vec::with_capacity(shown.goods.iter().map(|goods| length(goods)).sum::<usize>() + 256);
    body.extend_from_slice(b"{\"items\":[");
    for (at, (goods, offer)) in shown.items().enumerate() {
        if at > 0 {
            body.push(b',');
        }
        put(&mut body, goods, offer, shown.sees_stock()).map_err(Problem::internal)?;
    }
    body.extend_from_slice(b"],\"nextCursor\":");
    serde_json::to_writer(&mut body, &shown.next_cursor).map_err(Problem::internal)?;
    if let Some(count) = shown.total_count {
        body.extend_from_slice(format!(",\"totalCount\":{count}").as_bytes());
    }
    body.push(b'}');
    Tagged::of(body)
}

/// The product as `DetailOut` has it.
pub(super) fn product(shown: &Shown) -> Result<Tagged, Problem> {
    let mut body = Vec::with_capacity(2048);
    for (goods, offer) in shown.items() {
        put(&mut body, goods, offer, shown.sees_stock()).map_err(Problem::internal)?;
    }
    Tagged::of(body)
}
