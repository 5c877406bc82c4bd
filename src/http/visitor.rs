//! Who comes, from where and with what.

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};

use super::{access::Access, correlation::CorrelationId, problem::Problem};
use crate::identity::people::Visit;

/// Who comes, from where, with what: taken out of a request by whoever does something that audit rows tell of.
pub(super) struct Visitor(pub Visit);

impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Visitor, Problem> {
        let Some(access) = parts.extensions.get::<Arc<Access>>() else {
            return Err(Problem::internal("a route is not behind the gate"));
        };
        let address = access.address;
        let Ok(correlation_id) = CorrelationId::from_request_parts(parts, state).await;
        let agent = agent(&parts.headers);
        Ok(Visitor(Visit { address, agent, correlation_id: correlation_id.as_str().to_owned() }))
    }
}

fn agent(headers: &HeaderMap) -> Option<String> {
    headers.get(header::USER_AGENT).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}
