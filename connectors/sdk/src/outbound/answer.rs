//! What came back, and what it means before anybody looks into it.

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use chrono::DateTime;
use reqwest::{
    StatusCode,
    header::{CONTENT_TYPE, DATE, HeaderMap, RETRY_AFTER},
};

use super::client::Effect;
use crate::{encoding, fault::Fault, fault::Refusal};

/// An answer of any status, read to its end and within the size limit.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: StatusCode,
    pub content_type: Option<String>,
    /// The other side's wish, from `Retry-After`.
    pub retry_after: Option<Duration>,
    /// The bytes as they came.
    pub body: Bytes,
    /// `POST /api/v1/token at host:port`, for texts.
    pub call: String,
}

impl Answer {
    pub(super) fn new(status: StatusCode, headers: &HeaderMap, body: Bytes, call: String) -> Answer {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        Answer {
            status,
            content_type: text(CONTENT_TYPE).map(str::to_owned),
            retry_after: text(RETRY_AFTER).and_then(|value| retry_after(value, text(DATE))),
            body,
            call,
        }
    }

    /// An answer to a read that is longer than what is held of one.
    pub fn too_large(call: &str, limit: usize) -> Fault {
        let mib = limit / (1024 * 1024);
        Fault::too_large(format!("{call}: the answer is larger than {mib} MiB and was cut off"))
    }

    /// The body as UTF-8, whatever it was sent in; bytes that are no text are a fault that names the first of them.
    pub fn text(&self) -> Result<Bytes, Fault> {
        let charset = self.content_type.as_deref().and_then(charset);
        match encoding::decode(&self.body, charset) {
            // Without a byte order mark the text is the body itself; nothing is copied.
            Ok(Cow::Borrowed(text)) => Ok(self.body.slice_ref(text.as_bytes())),
            Ok(Cow::Owned(text)) => Ok(Bytes::from(text)),
            Err(problem) => Err(Fault::transient(format!("{}: the answer cannot be read: {problem}", self.call))),
        }
    }

    /// [`Answer::text`] of something that may be JSON. A page of HTML (a proxy, an error page under status 200) is a
    /// fault here and not a puzzle for a parser.
    pub fn json_text(&self) -> Result<Bytes, Fault> {
        let text = self.text()?;
        let html = self.content_type.as_deref().is_some_and(|kind| kind.trim_start().starts_with("text/html"));
        if html || text.trim_ascii_start().first() == Some(&b'<') {
            return Err(Fault::transient(format!(
                "{}: answered with HTML or XML (status {}) where JSON was expected",
                self.call,
                self.status.as_u16()
            )));
        }
        Ok(text)
    }
}

/// The charset that a content type declares.
fn charset(content_type: &str) -> Option<&str> {
    content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
    })
}

/// Seconds, or a date; a date counts from the answer's own `Date`, since clocks differ.
fn retry_after(value: &str, date: Option<&str>) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let until = DateTime::parse_from_rfc2822(value.trim()).ok()?;
    let from = DateTime::parse_from_rfc2822(date?.trim()).ok()?;
    Some((until - from).to_std().unwrap_or_default())
}

/// The fault that a status stands for by itself; `None` for a success. A connector looks into the body first, and
/// decides by itself what 401 and 403 mean to it.
pub fn by_status(status: StatusCode, retry_after: Option<Duration>, effect: Effect, detail: String) -> Option<Fault> {
    let fault = match status.as_u16() {
        200..=299 => return None,
        401 | 403 => Fault::Unauthenticated { detail },
        404 => Fault::NotFound { detail },
        429 => Fault::RateLimited { wait: retry_after, detail },
        // Refused before it was worked on.
        408 | 425 | 501 | 503 => match retry_after {
            Some(wait) => Fault::RateLimited { wait: Some(wait), detail },
            None => Fault::Transient { detail },
        },
        // Something went wrong on the way, perhaps after the work was done.
        500..=599 if effect == Effect::Change => Fault::UnknownOutcome { detail },
        500..=599 => Fault::Transient { detail },
        409 => Fault::Permanent(Refusal { reason: "conflict".to_owned(), field: None, value: None, detail }),
        413 => Fault::Permanent(Refusal { reason: "too_large".to_owned(), field: None, value: None, detail }),
        400..=499 => Fault::Permanent(Refusal { reason: "refused".to_owned(), field: None, value: None, detail }),
        // 1xx never arrives here; 3xx is a redirect that nobody configured.
        other => Fault::contract(format!("{detail} (status {other}: redirects are not followed)")),
    };
    Some(fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(content_type: &str, body: &'static [u8]) -> Answer {
        Answer {
            status: StatusCode::OK,
            content_type: Some(content_type.to_owned()),
            retry_after: None,
            body: Bytes::from_static(body),
            call: "GET /x at host".to_owned(),
        }
    }

    #[test]
    fn declared_code_pages_become_utf_8() {
        let text = answer("application/json; charset=\"ISO-8859-9\"", b"{\"NAME\":\"Ya\xF0\xFDz\"}").text().unwrap();
        assert_eq!(text, "{\"NAME\":\"Yağız\"}".as_bytes());
        let fault = answer("application/json", b"{\"NAME\":\"Ya\xF0\xFDz\"}").text().unwrap_err();
        assert_eq!(fault.class(), "transient");
        assert!(fault.to_string().contains("0xF0 at offset 11"), "{fault}");
    }

    #[test]
    fn a_byte_order_mark_is_taken_off() {
        assert_eq!(answer("application/json", b"\xEF\xBB\xBF{}").text().unwrap(), b"{}".as_slice());
    }

    #[test]
    fn html_under_status_200_is_a_fault() {
        for answer in [answer("text/html; charset=utf-8", b"hello"), answer("application/json", b"\r\n <html>")] {
            assert_eq!(answer.json_text().unwrap_err().class(), "transient");
        }
        assert!(answer("text/plain", b"7").json_text().is_ok());
    }

    #[test]
    fn statuses_have_classes() {
        let class = |status: u16, effect| {
            by_status(StatusCode::from_u16(status).unwrap(), None, effect, "x".to_owned()).map(|fault| fault.class())
        };
        assert_eq!(class(204, Effect::Read), None);
        assert_eq!(class(401, Effect::Read), Some("unauthenticated"));
        assert_eq!(class(403, Effect::Change), Some("unauthenticated"));
        assert_eq!(class(404, Effect::Read), Some("not_found"));
        assert_eq!(class(408, Effect::Change), Some("transient"));
        assert_eq!(class(425, Effect::Read), Some("transient"));
        assert_eq!(class(429, Effect::Read), Some("rate_limited"));
        assert_eq!(class(500, Effect::Read), Some("transient"));
        assert_eq!(class(500, Effect::Change), Some("unknown_outcome"));
        assert_eq!(class(503, Effect::Change), Some("transient"));
        assert_eq!(class(400, Effect::Read), Some("permanent"));
        assert_eq!(class(302, Effect::Read), Some("contract"));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(retry_after("7", None), Some(Duration::from_secs(7)));
        let date = Some("Mon, 02 Mar 2026 06:30:00 GMT");
        assert_eq!(retry_after("Mon, 02 Mar 2026 06:31:00 GMT", date), Some(Duration::from_secs(60)));
        assert_eq!(retry_after("Mon, 02 Mar 2026 06:29:00 GMT", date), Some(Duration::ZERO));
        assert_eq!(retry_after("soon", date), None);
    }
}
