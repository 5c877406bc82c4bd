//! `Idempotency-Key`: a request that is sent again gets the answer of the first one, and its effect happens once.
//!
//! Invariants
//! - The answer is kept in the transaction of its effect.
//! - Twins in one process queue up without a connection of the database; those in other processes wait on a lock in it.
//!   Both for ten seconds at most, then 409.
//! - A refusal by the caller's fault is kept as well, without the effect. 401, 403, 429 and failures of ours are not: the
//!   same key may be used again.

use std::{
    collections::HashMap,
    error::Error,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use axum::{
    body::Body,
    extract::{FromRequestParts, MatchedPath},
    http::{HeaderName, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use sha2::{Digest, Sha256};
use sqlx::{Acquire, PgConnection};
use tokio::{sync::OwnedMutexGuard, time::Instant};

use super::{
    access::Access,
    correlation::CorrelationId,
    problem::{self, Problem},
};
use crate::{
    identity::idempotency::{self, Kept, LockError, Scope},
    transaction,
};

const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const LONGEST: usize = 255;
/// How often an effect starts over because another writer was faster.
const CONFLICTS: u32 = 20;

/// What a route answers.
#[derive(Debug, Clone)]
pub struct Answer {
    status: StatusCode,
    content_type: HeaderValue,
    body: Vec<u8>,
}

impl Answer {
    pub fn json(status: StatusCode, body: &impl Serialize) -> Result<Answer, Problem> {
        let body = serde_json::to_vec(body).map_err(Problem::internal)?;
        Ok(Answer { status, content_type: HeaderValue::from_static("application/json"), body })
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        (self.status, [(header::CONTENT_TYPE, self.content_type)], self.body).into_response()
    }
}

/// Why an effect did not happen. Its transaction is rolled back.
#[derive(Debug)]
pub enum Stop {
    /// This is the answer.
    Problem(Box<Problem>),
    /// Another writer was faster: it is tried again in a new transaction.
    Again(Box<dyn Error + Send + Sync>),
}

impl From<Problem> for Stop {
    fn from(problem: Problem) -> Stop {
        Stop::Problem(Box::new(problem))
    }
}

impl From<sqlx::Error> for Stop {
    fn from(error: sqlx::Error) -> Stop {
        let code = error.as_database_error().and_then(|error| error.code());
        match code.as_deref() {
            // serialization_failure, deadlock_detected
            Some("40001" | "40P01") => Stop::Again(Box::new(error)),
            _ => Problem::from(error).into(),
        }
    }
}

/// What a request does, within a transaction that somebody else begins and ends. It owns what it works with, since it may be
/// run again: `|tx| { let body = body.clone(); Box::pin(async move { … }) }`.
pub type Effect<'c> = Pin<Box<dyn Future<Output = Result<Answer, Stop>> + Send + 'c>>;

/// A request that changes something, and may say which one it is.
#[derive(Clone)]
pub struct Idempotent {
    key: Option<String>,
    method: String,
    route: String,
    target: String,
    path: String,
    correlation_id: CorrelationId,
    access: Arc<Access>,
}

impl<S: Sync> FromRequestParts<S> for Idempotent {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Idempotent, Problem> {
        let Some(access) = parts.extensions.get::<Arc<Access>>().cloned() else {
            return Err(Problem::internal("a route that changes something is not behind the gate"));
        };
        let Ok(correlation_id) = CorrelationId::from_request_parts(parts, state).await;
        let route = parts.extensions.get::<MatchedPath>().map_or_else(String::new, |path| path.as_str().to_owned());
        let sent: Vec<_> = parts.headers.get_all(HEADER).iter().collect();
        let key = match sent.as_slice() {
            [] => None,
            [one] => Some(read_key(one)?),
            _ => return Err(bad_key("is given more than once")),
        };
        Ok(Idempotent {
            key,
            method: parts.method.as_str().to_owned(),
            route,
            target: parts.uri.path_and_query().map_or_else(String::new, ToString::to_string),
            path: parts.uri.path().to_owned(),
            correlation_id,
            access,
        })
    }
}

fn read_key(value: &HeaderValue) -> Result<String, Problem> {
    let bytes = value.as_bytes();
    if bytes.is_empty() || bytes.len() > LONGEST {
        return Err(bad_key("must have 1 to 255 characters"));
    }
    if !bytes.iter().all(|byte| (b' '..=b'~').contains(byte)) {
        return Err(bad_key("may hold printable ASCII characters only"));
    }
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

fn bad_key(what: &str) -> Problem {
    let detail = format!("the header Idempotency-Key {what}; a UUID is a good one");
    Problem::new(StatusCode::BAD_REQUEST, "idempotency_key_invalid", "The idempotency key is not acceptable", detail)
}

impl Idempotent {
    /// Runs `effect` in a transaction of its own and commits what it did, or gives the answer that was given before.
    ///
    /// `principal` says whose keys these are ([`crate::identity::api_keys::ApiCaller::actor`]); `body` is the request's.
    /// The effect may be run again from its beginning ([`Stop::Again`]), always in a fresh transaction.
    pub async fn run<F>(&self, principal: &str, body: &[u8], effect: F) -> Result<Response, Problem>
    where
        F: for<'c> FnMut(&'c mut PgConnection) -> Effect<'c>,
    {
        match &self.key {
            None => self.run_once(effect).await,
            Some(key) => {
                let scope = Scope {
                    principal: principal.to_owned(),
                    method: self.method.clone(),
                    route: self.route.clone(),
                    key: key.clone(),
                };
                self.run_kept(&scope, body, effect).await
            }
        }
    }

    async fn run_once<F>(&self, mut effect: F) -> Result<Response, Problem>
    where
        F: for<'c> FnMut(&'c mut PgConnection) -> Effect<'c>,
    {
        let mut tries = Tries::default();
        loop {
            let mut tx = transaction::begin(&self.access.gate.pool).await?;
            match effect(&mut tx).await {
                Ok(answer) => match tx.commit().await.map_err(Stop::from) {
                    Ok(()) => return Ok(answer.into_response()),
                    Err(stop) => tries.again(stop).await?,
                },
                Err(stop) => {
                    tx.rollback().await?;
                    tries.again(stop).await?;
                }
            }
        }
    }

    async fn run_kept<F>(&self, scope: &Scope, body: &[u8], mut effect: F) -> Result<Response, Problem>
    where
        F: for<'c> FnMut(&'c mut PgConnection) -> Effect<'c>,
    {
        let request_hash = self.hash(body);
        let deadline = Instant::now() + self.access.gate.twins_wait;
        let _turn = self.access.gate.in_hand.turn(scope, deadline).await.ok_or_else(busy)?;
        let mut tries = Tries::default();
        loop {
            let mut tx = transaction::begin(&self.access.gate.pool).await?;
            let patience = deadline.saturating_duration_since(Instant::now());
            match idempotency::lock(&mut tx, scope, patience).await {
                Ok(()) => {}
                Err(LockError::Busy) => return Err(busy()),
                Err(LockError::Database(error)) => return Err(error.into()),
            }
            if let Some(kept) = idempotency::find(&mut tx, scope).await? {
                tx.rollback().await?;
                return replay(kept, &request_hash);
            }
            let mut work = tx.begin().await?;
            let done = match effect(&mut work).await {
                Ok(answer) => work.commit().await.map(|()| answer).map_err(Stop::from),
                Err(stop) => {
                    work.rollback().await?;
                    Err(stop)
                }
            };
            let (response, kept) = match done {
                Ok(answer) => {
                    let kept = kept(&request_hash, answer.status, &answer.content_type, &answer.body);
                    (Ok(answer.into_response()), kept)
                }
                Err(Stop::Problem(problem)) if worth_keeping(problem.status()) => {
                    let text = problem.render(Some(&self.path), Some(self.correlation_id.as_str()));
                    let kept = kept(&request_hash, problem.status(), &problem::MEDIA_TYPE, &text);
                    (Err(*problem), kept)
                }
                Err(stop) => {
                    tx.rollback().await?;
                    tries.again(stop).await?;
                    continue;
                }
            };
            if worth_keeping(StatusCode::from_u16(kept.status).unwrap_or_default()) {
                idempotency::keep(&mut tx, scope, &kept).await?;
            }
            match tx.commit().await.map_err(Stop::from) {
                Ok(()) => return response,
                Err(stop) => tries.again(stop).await?,
            }
        }
    }

    /// Of everything that says what is asked for: the same key with another path or body is another request.
    fn hash(&self, body: &[u8]) -> Vec<u8> {
        let mut hash = Sha256::new();
        hash.update(self.target.as_bytes());
        hash.update([0]);
        hash.update(body);
        hash.finalize().to_vec()
    }
}

fn kept(request_hash: &[u8], status: StatusCode, content_type: &HeaderValue, body: &[u8]) -> Kept {
    Kept {
        request_hash: request_hash.to_vec(),
        status: status.as_u16(),
        content_type: content_type.to_str().unwrap_or("application/json").to_owned(),
        body: body.to_vec(),
    }
}

fn worth_keeping(status: StatusCode) -> bool {
    let code = status.as_u16();
    (200..500).contains(&code) && ![401, 403, 429].contains(&code)
}

fn replay(kept: Kept, request_hash: &[u8]) -> Result<Response, Problem> {
    if kept.request_hash != request_hash {
        let detail = "this Idempotency-Key was used for another request; use a new one for each request";
        let title = "The idempotency key belongs to another request";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", title, detail));
    }
    let mut response = Response::new(Body::from(kept.body));
    *response.status_mut() = StatusCode::from_u16(kept.status).map_err(Problem::internal)?;
    let content_type = HeaderValue::from_str(&kept.content_type).map_err(Problem::internal)?;
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}

fn busy() -> Problem {
    let detail = "a request with this Idempotency-Key is still under way; ask again with the same key";
    Problem::new(StatusCode::CONFLICT, "idempotency_key_in_use", "The same request is under way", detail)
        .header(header::RETRY_AFTER, HeaderValue::from_static("5"))
}

#[derive(Default)]
struct Tries(u32);

impl Tries {
    async fn again(&mut self, stop: Stop) -> Result<(), Problem> {
        match stop {
            Stop::Problem(problem) => Err(*problem),
            Stop::Again(cause) if self.0 >= CONFLICTS => Err(Problem::internal(cause)),
            Stop::Again(_) => {
                self.0 += 1;
                // Who comes second goes on when the first one has committed; a short pause keeps them out of step.
                tokio::time::sleep(Duration::from_millis(u64::from(self.0.min(5)) * 2)).await;
                Ok(())
            }
        }
    }
}

/// The requests with a key that this process works on: twins wait here for their turn.
#[derive(Default)]
pub(super) struct InHand(Mutex<HashMap<Scope, Weak<tokio::sync::Mutex<()>>>>);

struct Turn {
    held: Option<OwnedMutexGuard<()>>,
    scope: Scope,
    all: Arc<InHand>,
}

impl InHand {
    async fn turn(self: &Arc<Self>, scope: &Scope, deadline: Instant) -> Option<Turn> {
        let queue = {
            let mut all = self.lock();
            match all.get(scope).and_then(Weak::upgrade) {
                Some(queue) => queue,
                None => {
                    // What callers left behind who went away while they waited.
                    if all.len() >= 1024 {
                        all.retain(|_, queue| queue.strong_count() > 0);
                    }
                    let queue = Arc::new(tokio::sync::Mutex::new(()));
                    all.insert(scope.clone(), Arc::downgrade(&queue));
                    queue
                }
            }
        };
        let held = tokio::time::timeout_at(deadline, queue.lock_owned()).await.ok()?;
        Some(Turn { held: Some(held), scope: scope.clone(), all: Arc::clone(self) })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Scope, Weak<tokio::sync::Mutex<()>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        drop(self.held.take());
        let mut all = self.all.lock();
        if all.get(&self.scope).is_some_and(|queue| queue.strong_count() == 0) {
            all.remove(&self.scope);
        }
    }
}
