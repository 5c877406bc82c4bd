//! The body of a request: JSON of the right shape, or a refusal that says where it is not.

use std::{borrow::Cow, fmt};

use axum::{
    extract::{FromRequest, Request},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use serde::{
    Deserialize,
    de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use crate::http::problem::Problem;

/// The most items of one request.
pub(super) const MOST: usize = 1000;

/// The bytes of a JSON document; nothing else is read.
pub(super) struct Document(pub(super) Bytes);

impl<S: Send + Sync> FromRequest<S> for Document {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Document, Response> {
        let media_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if !media_type.is_some_and(is_json) {
            return Err(Problem::of_status(StatusCode::UNSUPPORTED_MEDIA_TYPE, String::new()).into_response());
        }
        let body = Bytes::from_request(request, state).await.map_err(IntoResponse::into_response)?;
        // A byte order mark is no part of the document.
        Ok(Document(match body.strip_prefix(b"\xEF\xBB\xBF") {
            Some(rest) => body.slice_ref(rest),
            None => body,
        }))
    }
}

fn is_json(media_type: &str) -> bool {
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

impl Document {
    /// The document as a list of one.
    pub(super) fn one(&self) -> Result<Bytes, Problem> {
        let _: Object = read(&self.0)?;
        let mut list = Vec::with_capacity(self.0.len() + 2);
        list.push(b'[');
        list.extend_from_slice(&self.0);
        list.push(b']');
        Ok(list.into())
    }

    /// Checks that there is a list of 1 to [`MOST`] items under `list`.
    pub(super) fn many(&self, list: &str) -> Result<(), Problem> {
        let lists: Lists = read(&self.0)?;
        let given = match (list, lists.products, lists.items) {
            ("products", Some(_), Some(_)) => {
                return Err(Problem::bad_request("the document has both `products` and `items`; send one of them"));
            }
            ("products", products, items) => products.or(items),
            (_, _, items) => items,
        };
        match given.map(|Count(count)| count) {
            None => Err(Problem::bad_request(format!("the document has no list `{list}`; send {{\"{list}\": [...]}}"))),
            Some(0) => Err(Problem::bad_request(format!("`{list}` is empty; send 1 to {MOST} items"))),
            Some(count) if count > MOST => {
                let detail = format!("`{list}` has {count} items, and at most {MOST} are taken; split it");
                Err(Problem::bad_request(detail))
            }
            Some(_) => Ok(()),
        }
    }
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Problem> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(Problem::bad_request("the body is empty; send a JSON document"));
    }
    serde_json::from_slice(body).map_err(|error| {
        let what = if error.is_data() { "the document has another shape" } else { "the body is not JSON" };
        Problem::bad_request(format!("{what}: {error}"))
    })
}

/// Any JSON object.
struct Object;

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Object, D::Error> {
        reader.deserialize_map(Object)
    }
}

impl<'de> Visitor<'de> for Object {
    type Value = Object;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Object)
    }
}

/// The lists that a bulk may have, counted.
#[derive(Default)]
struct Lists {
    products: Option<Count>,
    items: Option<Count>,
}

impl<'de> Deserialize<'de> for Lists {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Lists, D::Error> {
        reader.deserialize_map(Lists::default())
    }
}

impl<'de> Visitor<'de> for Lists {
    type Value = Lists;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object with a list in it")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Lists, A::Error> {
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            let (name, list) = match key.as_ref() {
                "products" => ("products", &mut self.products),
                "items" => ("items", &mut self.items),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            if list.is_some() {
                return Err(A::Error::duplicate_field(name));
            }
            *list = map.next_value()?;
        }
        Ok(self)
    }
}

struct Count(usize);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Count, D::Error> {
        reader.deserialize_seq(Count(0))
    }
}

impl<'de> Visitor<'de> for Count {
    type Value = Count;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of items")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<Count, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {
            self.0 = self.0.checked_add(1).ok_or_else(|| A::Error::custom("too many items"))?;
        }
        Ok(self)
    }
}
