//! `/api/v1/products`: the catalogue at the caller's prices, and what people change in it.
//!
//! Invariants
//! - A dealer sees products in use, at the prices of their own company; another company's id is as good as none that exists.
//! - People who edit products see what is overridden in them, and those out of use; a person of the house sees a dealer's prices by `customerId`.

mod answers;
mod edit;
mod images;
mod overrides;
mod query;
mod read;
mod shapes;
mod written;

use axum::http::StatusCode;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    commerce::editing::EditError,
    http::{
        idempotency::Stop,
        problem::{FieldError, Problem},
        router::PublicState,
    },
};

pub(super) fn routes() -> OpenApiRouter<PublicState> {
    OpenApiRouter::new()
        .routes(routes!(read::list, edit::save))
        .routes(routes!(read::show, edit::remove))
        .routes(routes!(read::show_by_sku))
        .routes(routes!(read::price, edit::set_prices))
        .routes(routes!(edit::set_stock))
        .routes(routes!(images::add, images::remove))
        .routes(routes!(overrides::list))
        .routes(routes!(overrides::set, overrides::remove))
}

pub(in crate::http) use answers::Answers;
pub(super) use answers::Asked;
pub(in crate::http) use written::forms;

fn unknown() -> Problem {
    Problem::not_found("there is no such product")
}

/// Why an edit did not happen, as it is answered.
fn stop(error: EditError) -> Stop {
    match error {
        EditError::UnknownProduct => unknown().into(),
        EditError::Refused(violation) => {
            let field = if violation.field == "categoryCode" || violation.field == "brandCode" {
                violation.field
            } else {
                sent_as(violation.field)
            };
            let error = FieldError { field: field.to_owned(), code: violation.rule.into(), message: violation.detail };
            Problem::invalid(vec![error]).into()
        }
        EditError::SourceOwned { ref fields, ref owner } => {
            let rule = |field: &String| FieldError {
                field: sent_as(field).to_owned(),
                code: "source_owned".into(),
                message: format!("comes from {owner}; change it there"),
            };
            let title = "The source of this record owns these fields";
            Problem::new(StatusCode::CONFLICT, "source_owned", title, error.to_string())
                .with_errors(fields.iter().map(rule).collect())
                .member("owner", owner.as_str())
                .into()
        }
        EditError::NoSource => {
            let title = "No source writes this record";
            Problem::new(StatusCode::CONFLICT, "not_source_owned", title, error.to_string()).into()
        }
        EditError::Command(error) if error.retry_at_once() => Stop::Again(Box::new(error)),
        EditError::Command(error) => match error.violation() {
            Some(violation) => stop(EditError::Refused(violation)),
            None => Problem::internal(error).into(),
        },
    }
}

/// The name under which a canonical field is sent.
fn sent_as(field: &str) -> &str {
    match field {
        "category" => "categoryCode",
        "brand" => "brandCode",
        "vatRate" => "taxRate",
        other => other,
    }
}
