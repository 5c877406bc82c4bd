//! `POST /api/v1/token` and the sessions that it opens.

use std::collections::HashMap;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use super::{
    answer::{self, Answer},
    switches::Switches,
    world::rng::mix,
};

/// Sessions by token. They live in memory: a service that restarts has forgotten them.
#[derive(Debug, Default)]
pub struct Sessions {
    open: HashMap<String, DateTime<Utc>>,
    opened: u64,
}

impl Sessions {
    pub fn open(&mut self, seed: u64, now: DateTime<Utc>, lifetime: u64) -> String {
        self.open.retain(|_, ends| *ends > now);
        self.opened += 1;
        let from = now.timestamp_nanos_opt().unwrap_or_default().unsigned_abs();
        let bytes: Vec<u8> = (0..27).flat_map(|n| mix(seed ^ from, self.opened, n).to_le_bytes()).collect();
        let token = URL_SAFE_NO_PAD.encode(bytes);
        let seconds = i64::try_from(lifetime).unwrap_or(i64::MAX).min(86_400 * 365);
        self.open.insert(token.clone(), now + TimeDelta::seconds(seconds));
        token
    }

    /// The token of a call, when its session is open. LOGO's own sample has two blanks after `Bearer`.
    pub fn bearer(&self, headers: &HeaderMap, now: DateTime<Utc>) -> Option<String> {
        let given = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let token = strip_word(given, "bearer")?.trim();
        self.open.get(token).filter(|ends| **ends > now).map(|_| token.to_owned())
    }

    pub fn close(&mut self, token: &str) {
        self.open.remove(token);
    }

    pub fn clear(&mut self) {
        self.open.clear();
    }

    pub fn count(&self, now: DateTime<Utc>) -> usize {
        self.open.values().filter(|ends| **ends > now).count()
    }
}

/// The token call, whatever its content type says: the body is form text.
pub fn sign_in(
    switches: &Switches,
    sessions: &mut Sessions,
    seed: u64,
    now: DateTime<Utc>,
    headers: &HeaderMap,
    body: &[u8],
) -> Answer {
    let form = form(body);
    let field =
        |name: &str| form.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str());
    let client = (switches.client_id.as_str(), switches.client_secret.as_str());
    let in_header = basic(headers).is_some_and(|(id, secret)| (id.as_str(), secret.as_str()) == client);
    let in_body = (field("client_id").unwrap_or_default(), field("client_secret").unwrap_or_default()) == client;
    if (!in_header || switches.body_only) && (!in_body || switches.basic_only) {
        return refused("invalid_client", "İstemci bilgileri hatalı.");
    }
    if field("grant_type") != Some("password") {
        return refused("unsupported_grant_type", "Desteklenmeyen yetkilendirme türü.");
    }
    let user =
        field("username") == Some(&switches.username) && field("password").unwrap_or_default() == switches.password;
    let firm = field("firmno").and_then(|firm| firm.parse().ok()) == Some(switches.firm);
    if !user || !firm {
        return refused("invalid_grant", "Kullanıcı adı veya şifre hatalı.");
    }
    let token = sessions.open(seed, now, switches.token_lifetime_secs);
    let ends = now + TimeDelta::seconds(switches.token_lifetime_secs.min(86_400 * 365) as i64);
    const HTTP_DATE: &str = "%a, %d %b %Y %H:%M:%S GMT";
    let mut answer = answer::ok(&json!({
        "access_token": token,
        "token_type": "bearer",
        "expires_in": switches.token_lifetime_secs,
        "refresh_token": format!("{:016x}{:016x}", mix(seed, 3, sessions.opened), mix(seed, 4, sessions.opened)),
        "as:client_id": "",
        "userName": switches.username,
        "firmNo": switches.firm.to_string(),
        "sessionId": format!("{:08x}", mix(seed, 5, sessions.opened) as u32),
        "dbName": "",
        "logoDB": "TIGERDB",
        "isLoginEx": false,
        "isLogoPlugin": false,
        "idmToken": "",
        ".issued": now.format(HTTP_DATE).to_string(),
        ".expires": ends.format(HTTP_DATE).to_string(),
    }));
    let headers = answer.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert(header::EXPIRES, HeaderValue::from_static("-1"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    answer
}

fn refused(error: &str, description: &str) -> Answer {
    answer::json_value(StatusCode::BAD_REQUEST, &json!({"error": error, "error_description": description}))
}

fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let given = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let decoded = STANDARD.decode(strip_word(given, "basic")?.trim()).ok()?;
    let (id, secret) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some((id.to_owned(), secret.to_owned()))
}

fn strip_word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let (first, rest) = text.split_once(' ')?;
    first.eq_ignore_ascii_case(word).then_some(rest)
}

/// `a=1&b=x%20y`, leniently.
pub fn form(body: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(body);
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(key), decoded(value))
        })
        .collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        let hex = |at: usize| tail.get(at).and_then(|&digit| char::from(digit).to_digit(16));
        match (first, hex(0), hex(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                rest = &tail[2..];
            }
            (b'+', ..) => bytes.push(b' '),
            _ => bytes.push(first),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_decoded() {
        assert_eq!(
            form(b"grant_type=password&password=p%40rola+%C4%9F%&x"),
            [("grant_type", "password"), ("password", "p@rola ğ%"), ("x", "")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
        );
    }
}
