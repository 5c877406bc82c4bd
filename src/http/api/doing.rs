//! Who changes something, in which request and when.

use axum::{
    extract::{FromRef, FromRequestParts},
    http::request::Parts,
};
use chrono::{DateTime, Utc};

use crate::{
    http::{correlation::CorrelationId, problem::Problem, router::HttpState, signed_in::SignedIn},
    outbox::Provenance,
};

/// A signed-in caller in a request.
pub(super) struct Doing {
    pub(super) caller: SignedIn,
    pub(super) actor: String,
    correlation_id: CorrelationId,
    now: DateTime<Utc>,
}

impl<S> FromRequestParts<S> for Doing
where
    S: Send + Sync,
    HttpState: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Doing, Problem> {
        let caller = SignedIn::from_request_parts(parts, state).await?;
        let Ok(correlation_id) = CorrelationId::from_request_parts(parts, state).await;
        let now = HttpState::from_ref(state).clock.now();
        Ok(Doing { actor: caller.actor(), caller, correlation_id, now })
    }
}

impl Doing {
    /// As commands write it down.
    pub(super) fn by(&self) -> Provenance<'_> {
        Provenance { origin: &self.actor, bulk: false, correlation_id: self.correlation_id.as_str(), now: self.now }
    }
}
