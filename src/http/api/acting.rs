//! Who changes something, in which request and when, and the one way in which it is done: once for each `Idempotency-Key`.

use std::sync::Arc;

use axum::{
    extract::{FromRef, FromRequestParts},
    http::request::Parts,
    response::Response,
};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::{
    audit::Actor,
    commerce::orders::{OrderContext, OrderRules},
    http::{
        idempotency::{Answer, Idempotent, Stop},
        problem::Problem,
        router::HttpState,
        signed_in::SignedIn,
        visitor::Visitor,
    },
    identity::people::Visit,
    outbox::Provenance,
    principal::Permission,
};

/// A signed-in caller in a request, with the rules of orders that are in force.
pub(super) struct Acting {
    pub(super) caller: SignedIn,
    actor: String,
    visit: Visit,
    rules: OrderRules,
    now: DateTime<Utc>,
}

/// What is done, in the transaction of the request. It may be done again from its beginning, in a fresh one.
pub(super) trait Deed: Send + Sync + 'static {
    fn done(&self, conn: &mut PgConnection, acting: &Acting) -> impl Future<Output = Result<Answer, Stop>> + Send;
}

impl<S> FromRequestParts<S> for Acting
where
    S: Send + Sync,
    HttpState: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Acting, Problem> {
        let caller = SignedIn::from_request_parts(parts, state).await?;
        let Visitor(visit) = Visitor::from_request_parts(parts, state).await?;
        let http = HttpState::from_ref(state);
        Ok(Acting { actor: caller.actor(), caller, visit, rules: http.order_rules, now: http.clock.now() })
    }
}

impl Acting {
    pub(super) fn require(&self, permission: Permission) -> Result<(), Problem> {
        self.caller.require(permission)
    }

    /// As audit rows name it.
    pub(super) fn by_actor(&self) -> Actor<'_> {
        self.visit.by(&self.actor)
    }

    pub(super) const fn now(&self) -> DateTime<Utc> {
        self.now
    }

    /// As commands write it down.
    pub(super) fn by(&self) -> Provenance<'_> {
        self.visit.provenance(&self.actor, self.now)
    }

    pub(super) fn context(&self) -> OrderContext<'_> {
        OrderContext { principal: &self.caller, by: self.by(), rules: &self.rules }
    }

    /// Does it, and answers what came of it.
    pub(super) async fn perform(self, request: &Idempotent, body: &[u8], deed: impl Deed) -> Result<Response, Problem> {
        let work = Arc::new((self, deed));
        request
            .run(&work.0.actor, body, |tx| {
                let work = Arc::clone(&work);
                Box::pin(async move { work.1.done(tx, &work.0).await })
            })
            .await
    }
}
