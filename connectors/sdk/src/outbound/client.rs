//! The client and its calls.

use std::{
    error::Error,
    num::NonZeroU32,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use governor::{DefaultDirectRateLimiter, Quota};
use reqwest::{
    Method, Url,
    header::{HeaderMap, HeaderName, HeaderValue},
};

use super::{Answer, Tls, tls};
use crate::fault::Fault;

/// Whether a call changes something on the other side. It decides what a broken connection means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    Read,
    Change,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    pub connect: Duration,
    /// From the first byte sent to the last byte received, for calls that read.
    pub read: Duration,
    /// The same for calls that change something.
    pub write: Duration,
}

/// How one instance calls its system.
#[derive(Debug, Clone)]
pub struct Policy {
    pub timeouts: Timeouts,
    /// Calls per second, evenly spread; `None`: no limit of ours.
    pub rate_per_second: Option<NonZeroU32>,
    /// Bytes of one answer, after decompression.
    pub max_answer: usize,
    pub tls: Tls,
}

impl Default for Policy {
    fn default() -> Self {
        let timeouts = Timeouts {
            connect: Duration::from_secs(5),
            read: Duration::from_secs(60),
            write: Duration::from_secs(180),
        };
        Policy { timeouts, rate_per_second: None, max_answer: Policy::MAX_ANSWER, tls: Tls::Verify }
    }
}

impl Policy {
    pub const MAX_ANSWER: usize = 32 * 1024 * 1024;
}

/// One call. Secrets belong into `headers` or `body`, which are never printed.
#[derive(Clone)]
pub struct Call {
    pub effect: Effect,
    pub method: Method,
    /// Below the base address, beginning with `/`.
    pub path: String,
    pub query: Vec<(&'static str, String)>,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Instead of the time-out of the call's kind.
    pub timeout: Option<Duration>,
}

impl Call {
    fn new(effect: Effect, method: Method, path: impl Into<String>) -> Call {
        Call {
            effect,
            method,
            path: path.into(),
            query: Vec::new(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            timeout: None,
        }
    }

    /// A call that changes nothing over there, whatever its method.
    pub fn read(method: Method, path: impl Into<String>) -> Call {
        Call::new(Effect::Read, method, path)
    }

    pub fn change(method: Method, path: impl Into<String>) -> Call {
        Call::new(Effect::Change, method, path)
    }

    #[must_use]
    pub fn query(mut self, name: &'static str, value: impl Into<String>) -> Call {
        self.query.push((name, value.into()));
        self
    }

    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Call {
        self.headers.insert(name, value);
        self
    }

    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Call {
        self.body = body.into();
        self
    }

    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Call {
        self.timeout = Some(timeout);
        self
    }
}

/// The calls of one instance towards one base address.
pub struct Outbound {
    client: reqwest::Client,
    base: Url,
    policy: Policy,
    limiter: Option<DefaultDirectRateLimiter>,
}

impl std::fmt::Debug for Outbound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbound").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

impl Outbound {
    /// `base` is an http or https address without query and user; a path in it stands before every call's own.
    pub fn new(base: &Url, policy: Policy) -> Result<Outbound, String> {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("kopru/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .http1_only()
            .connect_timeout(policy.timeouts.connect);
        if base.scheme() == "https"
            && let Some(config) = policy.tls.client_config().map_err(|error| error.to_string())?
        {
            builder = builder.tls_backend_preconfigured(config);
        }
        let client = builder.build().map_err(|error| chain(&error))?;
        let limiter = policy
            .rate_per_second
            .map(|rate| DefaultDirectRateLimiter::direct(Quota::per_second(rate).allow_burst(NonZeroU32::MIN)));
        Ok(Outbound { client, base: base.clone(), policy, limiter })
    }

    /// Waits for the rate, calls, and reads the answer to its end. Any status is an answer; a fault is a call that
    /// brought none.
    pub async fn send(&self, call: Call) -> Result<Answer, Fault> {
        let name = self.name(&call);
        if let Some(limiter) = &self.limiter {
            limiter.until_ready().await;
        }
        let timeout = call.timeout.unwrap_or(match call.effect {
            Effect::Read => self.policy.timeouts.read,
            Effect::Change => self.policy.timeouts.write,
        });
        let started = Instant::now();
        let mut request = self.client.request(call.method, self.url(&call.path)).timeout(timeout).headers(call.headers);
        if !call.query.is_empty() {
            request = request.query(&call.query);
        }
        if !call.body.is_empty() {
            request = request.body(call.body);
        }
        let outcome = match request.send().await {
            Ok(response) => self.read(response, call.effect, &name).await,
            Err(error) => Err(broken(&error, call.effect, &name)),
        };
        tracing::debug!(
            call = name,
            status = outcome.as_ref().map_or(0, |answer| answer.status.as_u16()),
            bytes = outcome.as_ref().map_or(0, |answer| answer.body.len()),
            duration_ms = started.elapsed().as_millis() as u64,
            "called another system"
        );
        outcome
    }

    async fn read(&self, mut response: reqwest::Response, effect: Effect, name: &str) -> Result<Answer, Fault> {
        let limit = self.policy.max_answer;
        let announced = response.content_length();
        if announced.is_some_and(|length| length > limit as u64) {
            return Err(too_large(effect, name, limit));
        }
        let mut body = BytesMut::with_capacity(announced.map_or(16 * 1024, |length| length as usize));
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() > limit => return Err(too_large(effect, name, limit)),
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(error) => return Err(broken(&error, effect, name)),
            }
        }
        Ok(Answer::new(response.status(), response.headers(), body.freeze(), name.to_owned()))
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        let prefix = self.base.path().trim_end_matches('/');
        url.set_path(&format!("{prefix}{path}"));
        url
    }

    fn name(&self, call: &Call) -> String {
        let host = self.base.host_str().unwrap_or_default();
        match self.base.port() {
            Some(port) => format!("{} {} at {host}:{port}", call.method, call.path),
            None => format!("{} {} at {host}", call.method, call.path),
        }
    }
}

/// Why a call brought no complete answer.
pub(super) fn why(error: &reqwest::Error) -> String {
    match (error.is_timeout(), error.is_connect()) {
        (true, true) => "no connection within the time-out".to_owned(),
        (true, false) => "no answer within the time-out".to_owned(),
        (false, _) => chain(error),
    }
}

/// A call that brought no complete answer.
fn broken(error: &reqwest::Error, effect: Effect, name: &str) -> Fault {
    let detail = format!("{name}: {}", why(error));
    if tls::is_refused_certificate(error) {
        return Fault::Contract { detail };
    }
    // Without a connection, or with a request that could not be formed, nothing was sent.
    if effect == Effect::Change && !error.is_connect() && !error.is_builder() {
        return Fault::UnknownOutcome { detail };
    }
    Fault::Transient { detail }
}

fn too_large(effect: Effect, name: &str, limit: usize) -> Fault {
    let fault = Answer::too_large(name, limit);
    match effect {
        Effect::Change => Fault::UnknownOutcome { detail: fault.to_string() },
        Effect::Read => fault,
    }
}

/// The causes of an error in one line. The library's own first line names the address with its query string: it is
/// left out.
pub(super) fn chain(error: &reqwest::Error) -> String {
    let mut causes = Vec::new();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let text = inner.to_string();
        if causes.last() != Some(&text) {
            causes.push(text);
        }
        cause = inner.source();
    }
    if causes.is_empty() { "the call failed".to_owned() } else { causes.join(": ") }
}
