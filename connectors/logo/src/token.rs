//! The token: one per instance, renewed before it ends.
//!
//! Invariants
//! - At most one sign-in is under way; who needs a token meanwhile waits for that one, and shares its failure too.
//! - A token is renewed at a part of its life, never at its end, and its life is what the answer says.
//! - Nothing here loops: a refused sign-in is told to the engine, which pauses the connector. LOGO locks users.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use kopru_sdk::{
    Fault, Secret,
    outbound::{Answer, Call, Effect, HeaderValue, Method, Outbound, header},
};
use tokio::sync::Mutex;

use crate::{
    faults::{self, Refused},
    settings::{LogoSettings, TokenAuth, TokenContentType},
    wire::Token,
};

pub const PATH: &str = "/api/v1/token";

/// A life that an answer without `expires_in` is given; the shortest one seen in LOGO's own samples.
const UNKNOWN_LIFE: i64 = 119;

/// The value of the `Authorization` header.
pub type Bearer = Arc<HeaderValue>;

#[derive(Default)]
struct State {
    current: Option<(Bearer, Instant)>,
    /// Which way of showing the client's id worked, once that is known.
    works: Option<TokenAuth>,
    failed: Option<(Instant, Fault)>,
}

#[derive(Default)]
pub struct Tokens {
    state: Mutex<State>,
}

impl Tokens {
    /// A token that is still good, from a new sign-in if need be.
    pub async fn get(&self, outbound: &Outbound, settings: &LogoSettings) -> Result<Bearer, Fault> {
        let asked = Instant::now();
        let mut state = self.state.lock().await;
        if let Some((bearer, renew_at)) = &state.current
            && Instant::now() < *renew_at
        {
            return Ok(Arc::clone(bearer));
        }
        // A sign-in that failed while this call waited for it is this call's failure as well.
        if let Some((at, fault)) = &state.failed
            && *at >= asked
        {
            return Err(fault.clone());
        }
        state.current = None;
        let outcome = sign_in(outbound, settings, &mut state.works).await;
        match outcome {
            Ok((bearer, life)) => {
                let bearer = Arc::new(bearer);
                state.current = Some((Arc::clone(&bearer), Instant::now() + life));
                state.failed = None;
                Ok(bearer)
            }
            Err(fault) => {
                state.failed = Some((Instant::now(), fault.clone()));
                Err(fault)
            }
        }
    }

    /// Forgets a token that was refused, unless it has been replaced already.
    pub async fn forget(&self, refused: &Bearer) {
        let mut state = self.state.lock().await;
        if state.current.as_ref().is_some_and(|(bearer, _)| Arc::ptr_eq(bearer, refused)) {
            state.current = None;
        }
    }

    /// The token in use, when there is one; it is forgotten.
    pub async fn take(&self) -> Option<Bearer> {
        self.state.lock().await.current.take().map(|(bearer, _)| bearer)
    }
}

async fn sign_in(
    outbound: &Outbound,
    settings: &LogoSettings,
    works: &mut Option<TokenAuth>,
) -> Result<(HeaderValue, Duration), Fault> {
    let ways: &[TokenAuth] = match (settings.token_auth, *works) {
        (TokenAuth::Basic, _) | (TokenAuth::Auto, Some(TokenAuth::Basic)) => &[TokenAuth::Basic],
        (TokenAuth::Body, _) | (TokenAuth::Auto, Some(TokenAuth::Body)) => &[TokenAuth::Body],
        (TokenAuth::Auto, _) => &[TokenAuth::Basic, TokenAuth::Body],
    };
    let mut refused = None;
    for way in ways {
        let answer = outbound.send(request(settings, *way)?).await?;
        match judge(&answer, settings) {
            Ok(token) => {
                *works = Some(*way);
                return Ok(token);
            }
            Err(NoToken { fault, unknown_client: true }) => refused = Some(fault),
            Err(NoToken { fault, unknown_client: false }) => return Err(fault),
        }
    }
    // A client that is refused either way may have been given new credentials meanwhile: both are tried again then.
    *works = None;
    Err(refused.unwrap_or_else(|| Fault::contract("no way of signing in is configured")))
}

/// Why an answer brings no token.
pub struct NoToken {
    pub fault: Fault,
    /// Only a client that was not recognised may be shown the other way.
    unknown_client: bool,
}

/// The token of an answer, and how long it is used.
pub fn judge(answer: &Answer, settings: &LogoSettings) -> Result<(HeaderValue, Duration), NoToken> {
    if answer.status.is_success() {
        return read(answer, settings).map_err(|fault| NoToken { fault, unknown_client: false });
    }
    let said = answer.text().ok().and_then(|text| Refused::read(&text));
    let error = said.and_then(|said| said.error);
    let unknown_client = error.as_deref() == Some("invalid_client");
    Err(NoToken { fault: refusal(answer, error.as_deref(), settings), unknown_client })
}

fn request(settings: &LogoSettings, way: TokenAuth) -> Result<Call, Fault> {
    let mut form = format!(
        "grant_type=password&username={}&firmno={}&password={}",
        percent_encoded(&settings.username),
        settings.firm,
        percent_encoded(settings.password.expose())
    );
    let mut call = Call::read(Method::POST, PATH).header(header::ACCEPT, HeaderValue::from_static("application/json"));
    if way == TokenAuth::Body {
        form.push_str("&client_id=");
        form.push_str(&percent_encoded(&settings.client_id));
        form.push_str("&client_secret=");
        form.push_str(&percent_encoded(settings.client_secret.expose()));
    } else {
        let pair = format!("{}:{}", settings.client_id, settings.client_secret.expose());
        call = call.header(header::AUTHORIZATION, secret_header(&format!("Basic {}", STANDARD.encode(pair)))?);
    }
    let content_type = match settings.token_content_type {
        TokenContentType::Form => "application/x-www-form-urlencoded",
        TokenContentType::Json => "application/json",
    };
    Ok(call.header(header::CONTENT_TYPE, HeaderValue::from_static(content_type)).body(form))
}

fn read(answer: &Answer, settings: &LogoSettings) -> Result<(HeaderValue, Duration), Fault> {
    let text = answer.json_text()?;
    let token: Token = serde_json::from_slice(&text)
        .map_err(|_| Fault::transient(format!("{}: the answer is not a token", answer.call)))?;
    if token.access_token.is_empty() {
        return Err(Fault::transient(format!("{}: the answer holds an empty token", answer.call)));
    }
    let seconds = token.expires_in.unwrap_or(UNKNOWN_LIFE).clamp(0, 30 * 24 * 3600);
    let life = Duration::from_secs(seconds.unsigned_abs()).mul_f64(settings.token_renew_at);
    let bearer: &Secret = &token.access_token;
    Ok((secret_header(&format!("Bearer {}", bearer.expose()))?, life))
}

/// Which of the credentials was refused; OAuth's texts are for people, its codes are not.
fn refusal(answer: &Answer, error: Option<&str>, settings: &LogoSettings) -> Fault {
    let call = &answer.call;
    match error {
        Some("invalid_client") => Fault::Unauthenticated {
            detail: format!("{call}: LOGO refuses client_id and client_secret (invalid_client)"),
        },
        Some("invalid_grant") => Fault::Unauthenticated {
            detail: format!("{call}: LOGO refuses user, password or firm {} (invalid_grant)", settings.firm),
        },
        _ => match faults::classify(answer, Effect::Read, &settings.transient_error_texts) {
            Some(Fault::Permanent(refusal)) => Fault::Contract { detail: refusal.detail },
            Some(Fault::NotFound { detail }) => {
                Fault::Contract { detail: format!("{detail}: is base_url the address of a Logo Objects REST service?") }
            }
            Some(fault) => fault,
            None => Fault::transient(format!("{call}: status {}", answer.status.as_u16())),
        },
    }
}

fn secret_header(text: &str) -> Result<HeaderValue, Fault> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| Fault::contract("a credential or token holds a character that cannot be sent in a header"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Everything but unreserved characters, from UTF-8; a blank is `%20`, which form readers understand as well as `+`.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_survive_the_form() {
        assert_eq!(percent_encoded("p@rola"), "p%40rola");
        assert_eq!(percent_encoded("a b&c=ş+%"), "a%20b%26c%3D%C5%9F%2B%25");
    }
}
