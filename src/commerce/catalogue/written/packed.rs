//! What is written down of a product, in one piece.
//!
//! Numbers are big-endian; a text has its length before it (four bytes). A line of a list: stock in ten-thousandths of the main unit (eight
//! bytes, the smallest number: it is not counted), code, name, head, tail, offers. A page: what is said of its stock (one byte), stock,
//! head, tail, offers.

use rust_decimal::{Decimal, prelude::ToPrimitive};

use crate::commerce::{
    catalogue::{Written, found::Place},
    pricing::{self, Offer},
};

/// Which form this is.
pub const FORM: &str = "1";

/// Decimals of a stock.
const SCALE: u32 = 4;
const UNCOUNTED: i64 = i64::MIN;

const IN_STOCK: u8 = 1;
const COUNTED: u8 = 2;

/// A product as lists show it.
pub(super) struct Line {
    pub place: Place,
    pub written: Written,
    pub offers: Vec<Offer>,
    /// `None`: it is not counted.
    pub stock: Option<Decimal>,
}

/// A product as its own page shows it.
pub(super) struct Page {
    /// With its stock, as who may see it is shown it.
    pub written: Written,
    pub offers: Vec<Offer>,
    pub in_stock: bool,
    pub counted: bool,
}

/// `None`: it is more than can be told.
fn stock_bytes(stock: Option<Decimal>) -> Option<[u8; 8]> {
    let told = match stock {
        Some(stock) => {
            let told = stock.checked_mul(Decimal::from(10_i64.pow(SCALE)))?.trunc();
            told.to_i64().filter(|told| *told != UNCOUNTED)?
        }
        None => UNCOUNTED,
    };
    Some(told.to_be_bytes())
}

fn put(to: &mut Vec<u8>, text: &[u8]) -> Option<()> {
    to.extend(u32::try_from(text.len()).ok()?.to_be_bytes());
    to.extend_from_slice(text);
    Some(())
}

/// `None`: it cannot be packed. `offers`: packed ones.
pub(super) fn line(place: &Place, written: &Written, stock: Option<Decimal>, offers: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(written.head.len() + written.tail.len() + offers.len() + 96);
    bytes.extend(stock_bytes(stock)?);
    for text in [place.code.as_bytes(), place.name.as_bytes(), &written.head, &written.tail] {
        put(&mut bytes, text)?;
    }
    bytes.extend_from_slice(offers);
    Some(bytes)
}

/// The same line with another stock.
pub(super) fn restocked_line(mut line: Vec<u8>, stock: Option<Decimal>) -> Option<Vec<u8>> {
    line.get_mut(..8)?.copy_from_slice(&stock_bytes(stock)?);
    Some(line)
}

pub(super) fn page(written: &Written, in_stock: bool, counted: bool, offers: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(written.head.len() + written.tail.len() + offers.len() + 96);
    bytes.push(if in_stock { IN_STOCK } else { 0 } | if counted { COUNTED } else { 0 });
    for text in [&written.stock, &written.head, &written.tail] {
        put(&mut bytes, text)?;
    }
    bytes.extend_from_slice(offers);
    Some(bytes)
}

/// The same page with another stock.
pub(super) fn restocked_page(page: &[u8], stock: &[u8], in_stock: bool, counted: bool) -> Option<Vec<u8>> {
    let mut rest = page.get(1..)?;
    take(&mut rest)?;
    let mut bytes = Vec::with_capacity(page.len() + stock.len());
    bytes.push(if in_stock { IN_STOCK } else { 0 } | if counted { COUNTED } else { 0 });
    put(&mut bytes, stock)?;
    bytes.extend_from_slice(rest);
    Some(bytes)
}

fn take<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = from.split_first_chunk()?;
    let (text, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    *from = rest;
    Some(text)
}

/// `None`: it is none of ours.
pub(super) fn read_line(id: i64, mut bytes: &[u8]) -> Option<Line> {
    let from = &mut bytes;
    let (stock, rest) = from.split_first_chunk()?;
    *from = rest;
    let stock = Some(i64::from_be_bytes(*stock)).filter(|told| *told != UNCOUNTED);
    let text = |bytes: &[u8]| Some(std::str::from_utf8(bytes).ok()?.to_owned());
    let place = Place { id, code: text(take(from)?)?, name: text(take(from)?)? };
    let written = Written { head: take(from)?.into(), stock: Box::default(), tail: take(from)?.into() };
    let offers = pricing::unpack(from)?;
    Some(Line { place, written, offers, stock: stock.map(|told| Decimal::new(told, SCALE)) })
}

/// `None`: it is none of ours.
pub(super) fn read_page(bytes: &[u8]) -> Option<Page> {
    let (told, mut bytes) = bytes.split_first()?;
    let from = &mut bytes;
    let stock = take(from)?.into();
    let written = Written { stock, head: take(from)?.into(), tail: take(from)?.into() };
    let offers = pricing::unpack(from)?;
    Some(Page { written, offers, in_stock: told & IN_STOCK != 0, counted: told & COUNTED != 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written() -> Written {
        Written { head: (*b"{\"id\":1,").into(), stock: (*b"\"stock\":[],").into(), tail: (*b"}").into() }
    }

    #[test]
    fn what_is_packed_is_read_again() {
        let place = Place { id: 7, code: "K".to_owned(), name: "Kamera ğ".to_owned() };
        for stock in [None, Some(Decimal::new(25_000, 4)), Some(Decimal::ZERO), Some(Decimal::new(-1, 4))] {
            let packed = line(&place, &written(), stock, &[]).expect("packed");
            let read = read_line(7, &packed).expect("read");
            assert_eq!((read.stock, &read.place.code, &read.place.name), (stock, &place.code, &place.name));
            assert_eq!((&read.written.head, &read.written.tail), (&written().head, &written().tail));
            let again = restocked_line(packed, Some(Decimal::TEN)).expect("restocked");
            let read = read_line(7, &again).expect("read");
            assert_eq!((read.stock, read.written.head), (Some(Decimal::TEN), written().head));
        }
        let packed = page(&written(), true, false, &[]).expect("packed");
        let read = read_page(&packed).expect("read");
        assert_eq!((read.in_stock, read.counted, read.written), (true, false, written()));
        let read = read_page(&restocked_page(&packed, b"x", false, true).expect("restocked")).expect("read");
        assert_eq!((read.in_stock, read.counted), (false, true));
        assert_eq!(read.written, Written { stock: (*b"x").into(), ..written() });
    }

    #[test]
    fn what_is_none_of_ours_is_not_read() {
        let place = Place { id: 7, code: "K".to_owned(), name: "N".to_owned() };
        let (packed, page) = (line(&place, &written(), None, &[]), page(&written(), true, true, &[]));
        let (packed, page) = (packed.expect("packed"), page.expect("packed"));
        for length in 0..packed.len() {
            assert!(read_line(7, &packed[..length]).is_none(), "{length}");
        }
        for length in 0..page.len() {
            assert!(read_page(&page[..length]).is_none(), "{length}");
        }
        assert!(line(&place, &written(), Some(Decimal::MAX), &[]).is_none(), "more than can be told");
    }
}
