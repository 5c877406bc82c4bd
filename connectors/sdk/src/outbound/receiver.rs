//! Calls to one address that somebody else chose.
//!
//! Invariants
//! - Every connection is made to addresses that the [`Guard`] judged just then, and a redirect is an answer like any other.
//! - What comes back is read to its end or as far as is kept, within the time of the call.
//! - Neither path nor query of the address is in an error or a log: they may be a secret of the receiver's.

use std::{
    num::NonZeroU32,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use governor::{DefaultDirectRateLimiter, Quota};
use reqwest::{Url, header::HeaderMap};

use super::{Answer, Guard, client};
use crate::fault::Fault;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiverPolicy {
    pub connect: Duration,
    /// From the connection to the end of the answer. Waiting for the rate is not in it.
    pub timeout: Duration,
    /// Evenly spread; `None`: no limit of ours.
    pub rate_per_second: Option<NonZeroU32>,
    /// Bytes of an answer that are kept; of a longer one the rest is not read.
    pub kept: usize,
}

impl Default for ReceiverPolicy {
    fn default() -> ReceiverPolicy {
        ReceiverPolicy {
            connect: Duration::from_secs(5),
            timeout: Duration::from_secs(15),
            rate_per_second: None,
            kept: 4 * 1024,
        }
    }
}

pub struct Receiver {
    client: reqwest::Client,
    url: Url,
    /// `hooks.example.com:443`, for texts.
    place: String,
    guard: Guard,
    policy: ReceiverPolicy,
    limiter: Option<DefaultDirectRateLimiter>,
}

impl std::fmt::Debug for Receiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receiver").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Receiver {
    pub fn new(url: &Url, policy: ReceiverPolicy, guard: &Guard) -> Result<Receiver, String> {
        let client = reqwest::Client::builder()
            .user_agent(concat!("kopru/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .no_gzip()
            .http1_only()
            .tcp_nodelay(true)
            .connect_timeout(policy.connect)
            // Many servers close what is idle for five seconds: a call must not meet that moment.
            .pool_idle_timeout(Duration::from_secs(4))
            .dns_resolver(guard.pinned(url))
            .build()
            .map_err(|error| client::chain(&error))?;
        let port = url.port_or_known_default().unwrap_or_default();
        let place = format!("{}:{port}", url.host_str().unwrap_or_default());
        let limiter = policy
            .rate_per_second
            .map(|rate| DefaultDirectRateLimiter::direct(Quota::per_second(rate).allow_burst(NonZeroU32::MIN)));
        Ok(Receiver { client, url: url.clone(), place, guard: guard.clone(), policy, limiter })
    }

    /// Waits for the rate and calls. Any status is an answer; a call that brought none, or not a whole one, is transient:
    /// the receiver knows by what it is sent whether it had it before.
    pub async fn post(&self, headers: HeaderMap, body: Bytes) -> Result<Answer, Fault> {
        let call = format!("POST at {}", self.place);
        let fault = |why: String| Fault::transient(format!("{call}: {why}"));
        self.check_literal().await.map_err(|fault| Fault::transient(format!("{call}: {fault}")))?;
        if let Some(limiter) = &self.limiter {
            limiter.until_ready().await;
        }
        let began = Instant::now();
        let request = self.client.post(self.url.clone()).timeout(self.policy.timeout).headers(headers).body(body);
        let outcome = match request.send().await {
            Ok(response) => self.read(response, &call).await,
            Err(error) => Err(fault(client::why(&error))),
        };
        tracing::debug!(
            call,
            status = outcome.as_ref().map_or(0, |answer| answer.status.as_u16()),
            duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            "called a receiver"
        );
        outcome
    }

    async fn read(&self, mut response: reqwest::Response, call: &str) -> Result<Answer, Fault> {
        let mut body = BytesMut::new();
        while body.len() < self.policy.kept {
            match response.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk[..chunk.len().min(self.policy.kept - body.len())]),
                Ok(None) => break,
                Err(error) => return Err(Fault::transient(format!("{call}: {}", client::why(&error)))),
            }
        }
        Ok(Answer::new(response.status(), response.headers(), body.freeze(), call.to_owned()))
    }

    /// The client asks no resolver about an address that is a number.
    async fn check_literal(&self) -> Result<(), super::Blocked> {
        match self.url.host() {
            Some(url::Host::Domain(_)) => self.guard.check_form(&self.url).map(|_| ()),
            _ => self.guard.check(&self.url).await,
        }
    }

    /// Whether somebody takes connections there. Nothing is asked.
    pub async fn reach(&self) -> Result<(), Fault> {
        let fault = |why: String| Fault::transient(format!("connecting to {}: {why}", self.place));
        let addresses = self.guard.addresses(&self.url).await.map_err(|blocked| fault(blocked.to_string()))?;
        let connecting = tokio::net::TcpStream::connect(&addresses[..]);
        match tokio::time::timeout(self.policy.connect, connecting).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(fault(error.to_string())),
            Err(_) => Err(fault("no connection within the time-out".to_owned())),
        }
    }
}
