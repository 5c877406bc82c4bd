//! `limit` and `cursor` of a list.

use axum::{
    extract::{FromRequestParts, Query},
    http::request::Parts,
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    http::problem::{FieldError, Problem},
    page::{BadPage, PageRequest},
};

/// Which page of a list is wanted.
pub(super) struct Listed(pub PageRequest);

/// The query of every list, for the description.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// How many items, 1 to 100; 20 when it is not said.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100)]
    limit: Option<String>,
    /// `nextCursor` of the page before.
    cursor: Option<String>,
}

impl<S: Sync> FromRequestParts<S> for Listed {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Listed, Problem> {
        let query = Query::<PageQuery>::try_from_uri(&parts.uri)
            .map_err(|error| Problem::bad_request(format!("the query cannot be read: {error}")))?;
        let limit = match query.0.limit.as_deref().map(str::trim) {
            None | Some("") => None,
            Some(text) => {
                Some(text.parse::<i64>().map_err(|_| wrong("limit", "it must be a number between 1 and 100"))?)
            }
        };
        let cursor = query.0.cursor.filter(|cursor| !cursor.is_empty());
        Ok(Listed(PageRequest::new(limit, cursor)?))
    }
}

impl From<BadPage> for Problem {
    fn from(bad: BadPage) -> Problem {
        wrong(bad.parameter(), &bad.to_string())
    }
}

fn wrong(field: &str, message: &str) -> Problem {
    Problem::invalid(vec![FieldError { field: field.to_owned(), code: "invalid".into(), message: message.to_owned() }])
}
