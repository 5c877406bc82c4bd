//! Who is signed in, for routes of people: the bearer of an access token, or an API key whose scopes name permissions.

use std::{ops::Deref, sync::Arc};

use axum::{
    extract::FromRequestParts,
    http::{HeaderValue, StatusCode, header, request::Parts},
};
use uuid::Uuid;

use super::{access::Access, caller::Caller, problem::Problem};
use crate::{
    identity::{people::AccessError, tokens::TokenRefusal, uses::Outcome},
    principal::{Permission, Permissions, Principal, PrincipalKind},
};

/// A verified caller. What it may do is asked with [`SignedIn::require`], whose data it sees with
/// [`Principal::scope`].
#[derive(Clone)]
pub struct SignedIn {
    principal: Principal,
    session: Option<Uuid>,
    access: Arc<Access>,
}

impl Deref for SignedIn {
    type Target = Principal;

    fn deref(&self) -> &Principal {
        &self.principal
    }
}

impl SignedIn {
    /// Refuses with 403 who may not do this.
    pub fn require(&self, permission: Permission) -> Result<(), Problem> {
        if self.may(permission) {
            return Ok(());
        }
        let detail = match (&self.principal.kind, self.role) {
            (PrincipalKind::ApiKey { id, .. }, _) => {
                self.access.used(Some(*id), Outcome::Scope);
                format!("this API key lacks the scope {}; make one that has it", permission.as_str())
            }
            (_, role) => {
                let role = role.map_or("of this account", |role| role.as_str());
                format!("the role {role} may not do this; it takes the permission {}", permission.as_str())
            }
        };
        Err(Problem::new(StatusCode::FORBIDDEN, "permission_missing", "Your role may not do this", detail))
    }

    /// The user's id, where only a person will do (a cart, a password).
    pub fn person(&self) -> Result<i64, Problem> {
        self.user_id().ok_or_else(|| {
            let detail = "this is for people who sign in; an API key cannot do it";
            Problem::new(StatusCode::FORBIDDEN, "person_needed", "Only a signed-in person may do this", detail)
        })
    }

    /// The session of a person. API keys have none.
    pub fn session(&self) -> Option<Uuid> {
        self.session
    }
}

impl<S: Sync> FromRequestParts<S> for SignedIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<SignedIn, Problem> {
        let Some(access) = parts.extensions.get::<Arc<Access>>().cloned() else {
            return Err(Problem::internal("a route for people is not behind the gate"));
        };
        let Some(token) = access.shown_token() else {
            if access.shown_key().is_none() {
                let detail = "sign in at /api/v1/auth/login and send the access token as `Authorization: Bearer …`";
                return Err(unauthorized("token_missing", detail));
            }
            return of_key(Caller::from_request_parts(parts, state).await?, access);
        };
        let (principal, session) = access.gate.people.verify(&token).await.map_err(|error| refused(&access, error))?;
        if let Some(limit) = principal.user_id().and_then(|id| access.gate.limits.user(id)) {
            match limit {
                Ok(window) => access.limited(window),
                Err(exceeded) => {
                    access.limited(exceeded.window());
                    return Err(exceeded.problem("this user"));
                }
            }
        }
        Ok(SignedIn { principal, session: Some(session), access })
    }
}

/// A key acts for the house, and may what its scopes name.
fn of_key(caller: Caller, access: Arc<Access>) -> Result<SignedIn, Problem> {
    let named: Vec<Permission> = caller.scopes.iter().filter_map(|scope| Permission::parse(scope)).collect();
    let kind = PrincipalKind::ApiKey { id: caller.key_id, prefix: caller.prefix.clone() };
    let principal = Principal { kind, role: None, permissions: Permissions::of(&named), company: None };
    Ok(SignedIn { principal, session: None, access })
}

fn refused(access: &Access, error: AccessError) -> Problem {
    match error {
        AccessError::Token(TokenRefusal::Expired) => {
            unauthorized("token_expired", "the access token has expired; get another one at /api/v1/auth/refresh")
        }
        AccessError::Token(TokenRefusal::Foreign) => {
            access.failed();
            unauthorized("token_invalid", "the access token is not one of ours; sign in at /api/v1/auth/login")
        }
        AccessError::Ended => {
            unauthorized("session_ended", "this session has ended; refresh the token, or sign in again")
        }
        AccessError::Keys(error) => Problem::internal(error),
        AccessError::Database(error) => error.into(),
    }
}

pub(super) fn unauthorized(code: &'static str, detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, code, "You are not signed in", detail)
        .header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
}
