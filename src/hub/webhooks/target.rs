//! The call of an endpoint, and what its answer means.
//!
//! | answer | what follows |
//! | --- | --- |
//! | 2xx | done |
//! | 410 | the endpoint is switched off; what it was not told is held |
//! | 429, and 502, 503, 504 with `Retry-After` | nobody is told anything there before that time |
//! | anything else, redirects too, or none | tried again; in a row it opens the breaker, for days it ends the endpoint |

use std::{
    num::NonZeroU32,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use kopru_sdk::{
    Cause, Ctx, Fault, Refusal, async_trait,
    outbound::{Answer, HeaderMap, HeaderValue, Receiver, ReceiverPolicy, Url, header},
};

use super::{
    super::{
        deliveries::{Document, Target, Tried},
        pages::Failure,
    },
    KIND, WebhookSettings, message,
    signature::Key,
};

/// The reason of the refusal that ends an endpoint.
const GONE: &str = "gone";

/// The longest that an endpoint may ask to be left alone.
const LONGEST_QUIET: Duration = Duration::from_secs(3600);

/// Characters of an answer that are kept for people.
const SHOWN: usize = 300;

/// What signs, and until when.
#[derive(Debug, Clone)]
pub struct Signer {
    pub key: Key,
    pub until: Option<DateTime<Utc>>,
}

/// An endpoint as this process calls it.
#[derive(Debug)]
pub struct Webhook {
    receiver: Receiver,
    signers: Vec<Signer>,
    unready: Option<Failure>,
    at_once: usize,
    timeout: Duration,
    give_up_after: Duration,
    quiet_until: Mutex<Option<Instant>>,
}

impl Webhook {
    /// `rate`: of this process. `Err`: why the address cannot be called at all.
    pub fn new(
        settings: &WebhookSettings,
        url: &str,
        signers: Result<Vec<Signer>, Failure>,
        rate: Option<NonZeroU32>,
    ) -> Result<Webhook, String> {
        let url: Url = url.parse().map_err(|error| format!("the address cannot be read: {error}"))?;
        let policy = ReceiverPolicy { timeout: settings.timeout, rate_per_second: rate, ..ReceiverPolicy::default() };
        // Those that wait for the rate wait in the call, signed: never for longer than a second or two.
        let at_once = rate
            .map_or(settings.at_once, |rate| settings.at_once.min(usize::try_from(rate.get()).unwrap_or(usize::MAX)));
        let (signers, unready) = match signers {
            Ok(signers) => (signers, None),
            Err(failure) => (Vec::new(), Some(failure)),
        };
        Ok(Webhook {
            receiver: Receiver::new(&url, policy, &settings.guard)?,
            signers,
            unready,
            at_once,
            timeout: settings.timeout + Duration::from_secs(10),
            give_up_after: settings.give_up_after,
            quiet_until: Mutex::new(None),
        })
    }

    fn headers(&self, id: &str, now: DateTime<Utc>, body: &[u8]) -> Result<(HeaderMap, usize), Fault> {
        let valid = self.signers.iter().filter(|signer| signer.until.is_none_or(|until| until > now));
        let signatures: Vec<String> = valid.map(|signer| signer.key.sign(id, now, body)).collect();
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in [
            ("webhook-id", id.to_owned()),
            ("webhook-timestamp", now.timestamp().to_string()),
            ("webhook-signature", signatures.join(" ")),
        ] {
            let value = HeaderValue::from_str(&value).map_err(|error| Fault::contract(error.to_string()))?;
            headers.insert(name, value);
        }
        Ok((headers, signatures.len()))
    }

    fn be_quiet(&self, wait: Duration) {
        let until = Instant::now().checked_add(wait.min(LONGEST_QUIET));
        *self.quiet_until.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }

    fn is_quiet(&self) -> bool {
        let until = *self.quiet_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| until > Instant::now())
    }

    /// One signed call, whatever the state of the endpoint is.
    pub(super) async fn call(&self, cx: &Ctx, document: &Document) -> (Tried, Option<u16>) {
        let id = message::id_of(document).to_string();
        let not_asked = |fault| (Tried::not_asked(Err(fault)), None);
        let body = match message::body_of(document) {
            Ok(body) => Bytes::from(body),
            Err(error) => return not_asked(Fault::contract(error.to_string())),
        };
        let (headers, signatures) = match self.headers(&id, cx.now, &body) {
            Ok(headers) => headers,
            Err(fault) => return not_asked(fault),
        };
        let asked = Some(format!("webhook-id {id}, {} bytes, signatures: {signatures}", body.len()));
        match self.receiver.post(headers, body).await {
            Ok(answer) => {
                let answered = Some(shown(&answer));
                (Tried { outcome: meaning(&answer), asked, answered, effect: None }, Some(answer.status.as_u16()))
            }
            Err(fault) => (Tried { outcome: Err(fault), asked, answered: None, effect: None }, None),
        }
    }
}

/// Status and the beginning of the text.
fn shown(answer: &Answer) -> String {
    let text = String::from_utf8_lossy(&answer.body);
    let text: String = text.chars().filter(|c| !c.is_control()).take(SHOWN).collect();
    format!("{} {text}", answer.status.as_u16()).trim_end().to_owned()
}

fn meaning(answer: &Answer) -> Result<Option<String>, Fault> {
    let status = answer.status.as_u16();
    let detail = format!("{}: answered with {status}", answer.call);
    match (status, answer.retry_after) {
        (200..=299, _) => Ok(Some(status.to_string())),
        (410, _) => Err(Fault::Permanent(Refusal {
            reason: GONE.to_owned(),
            field: None,
            value: None,
            detail: format!("{detail}: nothing is to be sent there any more"),
        })),
        (429, wait) => Err(Fault::RateLimited { wait, detail }),
        (502..=504, Some(wait)) => Err(Fault::RateLimited { wait: Some(wait), detail }),
        (300..=399, _) => {
            Err(Fault::transient(format!("{detail}; redirects are not followed, register the address that it names")))
        }
        _ => Err(Fault::transient(detail)),
    }
}

#[async_trait]
impl Target for Webhook {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn is_kept(&self) -> bool {
        true
    }

    fn at_once(&self) -> usize {
        if self.is_quiet() { 0 } else { self.at_once }
    }

    fn timeout(&self) -> Duration {
        self.timeout
    }

    fn given_up_after(&self) -> Option<Duration> {
        Some(self.give_up_after)
    }

    fn is_farewell(&self, fault: &Fault) -> bool {
        matches!(fault, Fault::Permanent(refusal) if refusal.reason == GONE)
    }

    fn unready(&self) -> Option<Failure> {
        self.unready.clone()
    }

    async fn check(&self, _cx: &Ctx) -> Result<(), Fault> {
        self.receiver.reach().await
    }

    async fn deliver(&self, cx: &Ctx, document: &Document) -> Tried {
        let (tried, _) = self.call(cx, document).await;
        if let Err(Fault::RateLimited { wait: Some(wait), .. }) = &tried.outcome {
            self.be_quiet(*wait);
        }
        tried
    }
}

/// Why nothing can be signed.
pub(super) fn unsigned(detail: impl Into<String>) -> Failure {
    Failure {
        cause: Cause::Credential,
        reason: "secret_unreadable".to_owned(),
        field: None,
        value: None,
        detail: detail.into(),
    }
}

#[cfg(test)]
mod tests {
    use kopru_sdk::outbound::StatusCode;

    use super::*;

    fn class(status: u16, retry_after: Option<u64>) -> Option<&'static str> {
        let answer = Answer {
            status: StatusCode::from_u16(status).expect("a status"),
            content_type: None,
            retry_after: retry_after.map(Duration::from_secs),
            body: Bytes::from_static(b"so\0 what\r\n"),
            call: "POST at hooks.example.com:443".to_owned(),
        };
        assert_eq!(shown(&answer), format!("{status} so what"));
        meaning(&answer).err().map(|fault| fault.class())
    }

    #[test]
    fn answers_have_meanings() {
        for status in [200, 201, 204, 299] {
            assert_eq!(class(status, None), None, "{status}");
        }
        for status in [301, 302, 308, 400, 401, 403, 404, 408, 409, 422, 500, 502, 503] {
            assert_eq!(class(status, None), Some("transient"), "{status}");
        }
        assert_eq!(class(410, None), Some("permanent"));
        assert_eq!(class(429, None), Some("rate_limited"));
        for status in [429, 502, 503, 504] {
            assert_eq!(class(status, Some(7)), Some("rate_limited"), "{status}");
        }
        assert_eq!(class(500, Some(7)), Some("transient"));
    }
}
