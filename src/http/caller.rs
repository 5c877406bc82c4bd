//! Who calls, for routes that want an API key.

use std::{ops::Deref, sync::Arc};

use axum::{
    extract::FromRequestParts,
    http::{HeaderValue, StatusCode, header, request::Parts},
};

use super::{access::Access, problem::Problem};
use crate::identity::{
    api_keys::{ApiCaller, Refusal},
    uses::Outcome,
};

/// The verified holder of an API key. What it may do is asked with [`Caller::require`].
#[derive(Clone)]
pub struct Caller {
    key: ApiCaller,
    access: Arc<Access>,
}

impl Deref for Caller {
    type Target = ApiCaller;

    fn deref(&self) -> &ApiCaller {
        &self.key
    }
}

impl Caller {
    /// Refuses with 403 who does not hold the scope.
    pub fn require(&self, scope: &str) -> Result<(), Problem> {
        self.require_any(&[scope])
    }

    /// The same for one of several.
    pub fn require_any(&self, scopes: &[&str]) -> Result<(), Problem> {
        if scopes.iter().any(|scope| self.may(scope)) {
            return Ok(());
        }
        self.access.used(Some(self.key_id), Outcome::Scope);
        let detail = format!("this API key lacks the scope {}; it has {}", scopes.join(" or "), self.scopes.join(", "));
        Err(Problem::new(StatusCode::FORBIDDEN, "scope_missing", "The API key may not do this", detail))
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Caller, Problem> {
        let Some(access) = parts.extensions.get::<Arc<Access>>().cloned() else {
            return Err(Problem::internal("a route that wants a key is not behind the gate"));
        };
        let Some(shown) = access.shown_key() else {
            return Err(unauthorized("api_key_missing", "send an API key in the header X-API-Key"));
        };
        let key = match access.gate.keys.verify(&shown, access.address).await {
            Ok(key) => key,
            Err(refusal) => return Err(refused(&access, refusal)),
        };
        if let Some(limit) = access.gate.limits.key(key.key_id, key.rate_per_minute) {
            match limit {
                Ok(window) => access.limited(window),
                Err(exceeded) => {
                    access.used(Some(key.key_id), Outcome::Rate);
                    access.limited(exceeded.window());
                    return Err(exceeded.problem("this API key"));
                }
            }
        }
        access.used(Some(key.key_id), Outcome::Accepted);
        Ok(Caller { key, access })
    }
}

fn refused(access: &Access, refusal: Refusal) -> Problem {
    let (key_id, outcome, problem) = match refusal {
        Refusal::Unknown => {
            access.failed();
            let detail = "the API key in X-API-Key is not known; check that it was copied whole";
            (None, Outcome::Unknown, unauthorized("api_key_unknown", detail))
        }
        Refusal::Revoked(id) => {
            let detail = "this API key was revoked; ask for a new one";
            (Some(id), Outcome::Revoked, unauthorized("api_key_revoked", detail))
        }
        Refusal::Expired(id) => {
            let detail = "this API key has expired; ask for a new one";
            (Some(id), Outcome::Expired, unauthorized("api_key_expired", detail))
        }
        Refusal::Address(id) => {
            let detail = format!("this API key may not be used from {}", access.address);
            let title = "The API key may not be used here";
            (Some(id), Outcome::Address, Problem::new(StatusCode::FORBIDDEN, "address_not_allowed", title, detail))
        }
        Refusal::Database(error) => return error.into(),
    };
    access.used(key_id, outcome);
    problem
}

fn unauthorized(code: &'static str, detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, code, "An API key is needed", detail)
        .header(header::WWW_AUTHENTICATE, HeaderValue::from_static("ApiKey header=\"X-API-Key\""))
}
