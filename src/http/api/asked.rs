//! What the query of a request asks for, and whose data is meant.

use std::str::FromStr;

use axum::{extract::Query, http::Uri};
use chrono::{DateTime, NaiveDate, Utc};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::{
    commerce::account::{BadPeriod, ListError},
    http::{
        problem::{FieldError, Problem},
        signed_in::SignedIn,
    },
};

/// The query, with every value as text; the route judges them one by one.
pub(super) fn query<T: DeserializeOwned>(uri: &Uri) -> Result<T, Problem> {
    Query::<T>::try_from_uri(uri)
        .map(|query| query.0)
        .map_err(|error| Problem::bad_request(format!("the query cannot be read: {error}")))
}

pub(super) fn wrong(field: &str, code: &'static str, message: impl Into<String>) -> Problem {
    Problem::invalid(vec![FieldError { field: field.to_owned(), code: code.into(), message: message.into() }])
}

/// What is empty was not said.
pub(super) fn given(text: &Option<String>) -> Option<&str> {
    text.as_deref().map(str::trim).filter(|text| !text.is_empty())
}

/// A text that the store can be asked about.
pub(super) fn text<'a>(field: &str, value: &'a Option<String>, most: usize) -> Result<Option<&'a str>, Problem> {
    let Some(value) = given(value) else { return Ok(None) };
    if value.contains('\0') || value.chars().count() > most {
        return Err(wrong(field, "format", format!("it has at most {most} characters and no NUL")));
    }
    Ok(Some(value))
}

fn parsed<T: FromStr>(field: &str, value: &Option<String>, what: &str) -> Result<Option<T>, Problem> {
    given(value)
        .map(|value| value.parse().map_err(|_| wrong(field, "format", format!("it must be {what}"))))
        .transpose()
}

pub(super) fn id(field: &str, value: &Option<String>) -> Result<Option<i64>, Problem> {
    parsed(field, value, "an id, a whole number")
}

pub(super) fn uuid(field: &str, value: &Option<String>) -> Result<Option<Uuid>, Problem> {
    parsed(field, value, "an id, a UUID")
}

pub(super) fn time(field: &str, value: &Option<String>) -> Result<Option<DateTime<Utc>>, Problem> {
    let read = |text: &str| {
        let read = DateTime::parse_from_rfc3339(text).map(|at| at.to_utc().max(DateTime::UNIX_EPOCH));
        read.map_err(|_| wrong(field, "format", "it must be a time, as in 2026-11-21T08:00:00Z"))
    };
    given(value).map(read).transpose()
}

pub(super) fn flag(field: &str, value: &Option<String>) -> Result<Option<bool>, Problem> {
    parsed(field, value, "true or false")
}

pub(super) fn day(field: &str, value: &Option<String>) -> Result<Option<NaiveDate>, Problem> {
    parsed(field, value, "a day, as in 2026-03-02")
}

pub(super) fn one_of<T>(
    field: &str,
    value: &Option<String>,
    parse: impl Fn(&str) -> Option<T>,
    known: &[&str],
) -> Result<Option<T>, Problem> {
    let unknown = || wrong(field, "unknown_value", format!("it must be one of {}", known.join(", ")));
    given(value).map(|value| parse(value).ok_or_else(unknown)).transpose()
}

pub(super) fn currency(field: &str, value: &Option<String>) -> Result<Option<String>, Problem> {
    let Some(value) = given(value) else { return Ok(None) };
    if crate::money::is_currency(value) {
        return Ok(Some(value.to_owned()));
    }
    Err(wrong(field, "format", "it must be a currency's code of three capital letters"))
}

/// The company that is meant: a dealer's own, or for the house the one that is named.
pub(super) fn whose(caller: &SignedIn, named: Option<i64>) -> Result<i64, Problem> {
    let scope = caller.scope();
    match named {
        Some(id) if scope.covers(id) => Ok(id),
        Some(_) => Err(no_customer()),
        None if scope.is_house() => {
            Err(wrong("customerId", "required", "it is required of people of the house: whose account is meant"))
        }
        None => Ok(scope.company_id()),
    }
}

pub(super) fn no_customer() -> Problem {
    Problem::not_found("there is no such customer")
}

impl From<ListError> for Problem {
    fn from(error: ListError) -> Problem {
        match error {
            ListError::Page(bad) => bad.into(),
            ListError::Period(bad) => bad.into(),
            ListError::Database(error) => error.into(),
        }
    }
}

impl From<BadPeriod> for Problem {
    fn from(bad: BadPeriod) -> Problem {
        let code = match bad {
            BadPeriod::Reversed(..) => "reversed",
            BadPeriod::TooLong(_) => "too_long",
            BadPeriod::Far(_) => "out_of_range",
        };
        wrong("from", code, bad.to_string())
    }
}
