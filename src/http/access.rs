//! The gate that every public request passes: from where it comes, whether that address may ask, which key it shows, and
//! afterwards what is counted and told about it.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderMap, HeaderName, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use ipnet::IpNet;
use sqlx::PgPool;

use super::{
    client_address,
    idempotency::InHand,
    rate_limit::{RateLimiter, Window},
};
use crate::identity::{
    api_keys::KeyRing,
    people::People,
    uses::{Outcome, Use, UseCounter},
};

pub(super) const KEY_HEADER: HeaderName = HeaderName::from_static("x-api-key");

/// What all requests share.
pub(super) struct Gate {
    pub pool: PgPool,
    pub keys: KeyRing,
    pub people: People,
    pub uses: UseCounter,
    pub limits: RateLimiter,
    pub in_hand: Arc<InHand>,
    /// How long a twin waits for the first request with its key.
    pub twins_wait: Duration,
    pub trusted_proxies: Vec<IpNet>,
}

/// What the gate knows of one request. It travels in the request's extensions.
pub(super) struct Access {
    pub gate: Arc<Gate>,
    pub address: IpAddr,
    note: Mutex<Note>,
}

#[derive(Default)]
struct Note {
    /// Taken out of the headers, so that nothing behind the gate can write it anywhere.
    shown: Option<String>,
    bearer: Option<String>,
    used: Option<(Option<i64>, Outcome)>,
    failed: bool,
    window: Option<Window>,
}

impl Access {
    /// The key that was shown. `None`: no such header.
    pub fn shown_key(&self) -> Option<String> {
        self.lock().shown.clone()
    }

    /// The access token that was shown. `None`: no such header.
    pub fn shown_token(&self) -> Option<String> {
        self.lock().bearer.clone()
    }

    /// What became of the key; the last word counts.
    pub fn used(&self, key_id: Option<i64>, outcome: Outcome) {
        self.lock().used = Some((key_id, outcome));
    }

    /// Somebody showed what is nobody's: a guess. What was once good (a token that ended) is none, nor is nothing at all.
    pub fn failed(&self) {
        self.lock().failed = true;
    }

    /// Of several limits the one with the least left is told.
    pub fn limited(&self, window: Window) {
        let mut note = self.lock();
        if note.window.is_none_or(|other| window.remaining < other.remaining) {
            note.window = Some(window);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Note> {
        self.note.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) async fn guard(gate: Arc<Gate>, peer: SocketAddr, mut request: Request, next: Next) -> Response {
    let address = client_address::of(peer, request.headers(), &gate.trusted_proxies);
    let shown = take_key(request.headers_mut());
    let bearer = take_bearer(request.headers_mut());
    let access = Arc::new(Access { gate, address, note: Mutex::new(Note { shown, bearer, ..Note::default() }) });
    request.extensions_mut().insert(Arc::clone(&access));
    let exempt = request.uri().path().starts_with("/health/");
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();

    let limit = if exempt { None } else { access.gate.limits.address(address) };
    let mut response = match limit {
        Some(Err(exceeded)) => {
            access.limited(exceeded.window());
            exceeded.problem("this address").into_response()
        }
        Some(Ok(window)) => {
            access.limited(window);
            next.run(request).await
        }
        None => next.run(request).await,
    };

    let (used, failed, window) = {
        let note = access.lock();
        (note.used, note.failed, note.window)
    };
    if failed {
        access.gate.limits.failed(address);
    }
    if let Some((key_id, outcome)) = used {
        let route = route.map_or("unmatched".to_owned(), |path| path.as_str().into());
        access.gate.uses.count(Use {
            key_id,
            address: Some(address),
            method: method.as_str().to_owned(),
            route,
            outcome,
        });
    }
    if let Some(window) = window {
        window.write(response.headers_mut());
    }
    response
}

/// Several headers, or no text: shown, and no key of anybody's.
fn take_key(headers: &mut HeaderMap) -> Option<String> {
    let alone = headers.get_all(KEY_HEADER).iter().nth(1).is_none();
    let first = headers.remove(KEY_HEADER)?;
    Some(first.to_str().ok().filter(|_| alone).unwrap_or_default().to_owned())
}

/// The token of `Authorization: Bearer …`. Several headers, another scheme or no text: shown, and no token of anybody's.
fn take_bearer(headers: &mut HeaderMap) -> Option<String> {
    let alone = headers.get_all(header::AUTHORIZATION).iter().nth(1).is_none();
    let first = headers.remove(header::AUTHORIZATION)?;
    let text = first.to_str().ok().filter(|_| alone);
    let (scheme, token) = text.and_then(|text| text.split_once(' ')).unwrap_or_default();
    Some(if scheme.eq_ignore_ascii_case("bearer") { token.trim().to_owned() } else { String::new() })
}
