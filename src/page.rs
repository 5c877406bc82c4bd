//! The one way to page through a list: `limit` and `cursor` in, `items` and `nextCursor` out.
//!
//! A cursor is opaque to its holder: the sort key of the last item that was shown, with the name of the list and order that
//! it belongs to. Rows that come and go between two pages shift nothing (keyset, no offsets).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Datelike, NaiveDate, Utc};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use uuid::Uuid;

pub const DEFAULT_LIMIT: u32 = 20;
pub const LARGEST_LIMIT: u32 = 100;

/// What of a list is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PageRequest {
    limit: u32,
    cursor: Option<String>,
}

/// A page request that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPage {
    #[error("limit is {0}; it must be between 1 and {LARGEST_LIMIT}")]
    Limit(i64),
    #[error("the cursor is not one that this list gave with this sorting; begin again without a cursor")]
    Cursor,
}

impl BadPage {
    /// The query parameter that is wrong.
    pub const fn parameter(&self) -> &'static str {
        match self {
            BadPage::Limit(_) => "limit",
            BadPage::Cursor => "cursor",
        }
    }
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Null on the last page.
    pub next_cursor: Option<String>,
}

/// What a cursor leads behind. Its holder may have written it: what the store could not even read is no cursor of ours.
pub trait Key: DeserializeOwned {
    fn is_storable(&self) -> bool {
        true
    }
}

impl Key for i64 {}
impl Key for Uuid {}

impl Key for String {
    fn is_storable(&self) -> bool {
        !self.contains('\0')
    }
}

impl Key for NaiveDate {
    fn is_storable(&self) -> bool {
        (0..=9999).contains(&self.year())
    }
}

impl Key for DateTime<Utc> {
    fn is_storable(&self) -> bool {
        self.date_naive().is_storable()
    }
}

impl<A: Key, B: Key> Key for (A, B) {
    fn is_storable(&self) -> bool {
        self.0.is_storable() && self.1.is_storable()
    }
}

impl<A: Key, B: Key, C: Key, D: Key> Key for (A, B, C, D) {
    fn is_storable(&self) -> bool {
        self.0.is_storable() && self.1.is_storable() && self.2.is_storable() && self.3.is_storable()
    }
}

impl PageRequest {
    pub fn new(limit: Option<i64>, cursor: Option<String>) -> Result<PageRequest, BadPage> {
        let asked = limit.unwrap_or(i64::from(DEFAULT_LIMIT));
        match u32::try_from(asked) {
            Ok(limit @ 1..=LARGEST_LIMIT) => Ok(PageRequest { limit, cursor }),
            _ => Err(BadPage::Limit(asked)),
        }
    }

    /// How many rows to read: one more than is shown, so that the last page knows that it is the last.
    pub fn rows(&self) -> i64 {
        i64::from(self.limit) + 1
    }

    /// The sort key behind which this page begins; `None`: at the beginning. `list` names the list and its order.
    pub fn after<K: Key>(&self, list: &str) -> Result<Option<K>, BadPage> {
        #[derive(Deserialize)]
        struct Read<K>(String, K);
        let Some(cursor) = &self.cursor else { return Ok(None) };
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| BadPage::Cursor)?;
        let Read(named, key): Read<K> = serde_json::from_slice(&bytes).map_err(|_| BadPage::Cursor)?;
        if named == list && key.is_storable() { Ok(Some(key)) } else { Err(BadPage::Cursor) }
    }

    /// Makes a page of the rows that [`PageRequest::rows`] asked for. `key` is what the next page begins behind.
    pub fn page<T, K: Serialize>(&self, list: &str, mut rows: Vec<T>, key: impl Fn(&T) -> K) -> Page<T> {
        let shown = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let more = rows.len() > shown;
        rows.truncate(shown);
        let next_cursor = rows.last().filter(|_| more).and_then(|last| cursor(list, &key(last)));
        Page { items: rows, next_cursor }
    }
}

/// The cursor of the page that begins behind `key`, for lists that know by themselves where their pages end.
pub fn cursor<K: Serialize>(list: &str, key: &K) -> Option<String> {
    serde_json::to_vec(&(list, key)).ok().map(|text| URL_SAFE_NO_PAD.encode(text))
}

impl<T> Page<T> {
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(change).collect(), next_cursor: self.next_cursor }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn request(limit: i64, cursor: Option<String>) -> PageRequest {
        PageRequest::new(Some(limit), cursor).expect("a good request")
    }

    #[test]
    fn a_cursor_leads_on_and_the_last_page_has_none() {
        let first = request(2, None);
        assert_eq!(first.rows(), 3);
        let page = first.page("products:name", vec![("a", 1), ("b", 2), ("c", 3)], |row| *row);
        assert_eq!(page.items, [("a", 1), ("b", 2)]);
        let second = request(2, page.next_cursor);
        assert_eq!(second.after::<(String, i64)>("products:name"), Ok(Some(("b".to_owned(), 2))));
        assert_eq!(second.page("products:name", vec![("c", 3)], |row| *row).next_cursor, None);
    }

    #[test]
    fn a_cursor_of_another_list_or_of_nobody_is_refused() {
        let page = request(1, None).page("orders", vec![1, 2], |id| *id);
        for cursor in [page.next_cursor.as_deref().unwrap_or_default(), "", "AAAA", "ğ", "bnVsbA"] {
            let asked = request(1, Some(cursor.to_owned()));
            assert_eq!(asked.after::<i64>("products"), Err(BadPage::Cursor), "{cursor}");
        }
    }

    #[test]
    fn a_cursor_holds_only_what_the_store_can_read() {
        let after = |key: Value| request(1, cursor("l", &key));
        for day in ["-9999-01-01", "-262143-01-01", "+262142-12-31"] {
            assert_eq!(after(json!([day, 1])).after::<(NaiveDate, i64)>("l"), Err(BadPage::Cursor), "{day}");
            let instant = format!("{day}T00:00:00Z");
            assert_eq!(after(json!(instant)).after::<DateTime<Utc>>("l"), Err(BadPage::Cursor), "{instant}");
        }
        assert_eq!(after(json!(["a\0", 1])).after::<(String, i64)>("l"), Err(BadPage::Cursor));
        assert!(after(json!(["2026-03-02", 1])).after::<(NaiveDate, i64)>("l").is_ok());
    }

    #[test]
    fn a_limit_has_bounds() {
        assert_eq!(PageRequest::new(None, None).expect("the default").rows(), 21);
        for limit in [0, -1, 101, i64::MAX] {
            assert_eq!(PageRequest::new(Some(limit), None), Err(BadPage::Limit(limit)));
        }
    }
}
