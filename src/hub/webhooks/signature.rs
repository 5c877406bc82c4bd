//! The signature of Standard Webhooks: HMAC-SHA256 over id, time and body, one for each secret that is valid.

use aws_lc_rs::hmac::{self, HMAC_SHA256};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, TimeDelta, Utc};

/// What a secret's text begins with.
pub const PREFIX: &str = "whsec_";

/// How far a sender's clock may be off.
pub const TOLERANCE: TimeDelta = TimeDelta::minutes(5);

/// A secret, ready to sign with.
#[derive(Clone)]
pub struct Key(hmac::Key);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(***)")
    }
}

impl Key {
    /// Of the text of a secret, with or without its prefix. `None`: it is none.
    pub fn parse(text: &str) -> Option<Key> {
        let bytes = STANDARD.decode(text.strip_prefix(PREFIX).unwrap_or(text)).ok()?;
        (!bytes.is_empty()).then(|| Key(hmac::Key::new(HMAC_SHA256, &bytes)))
    }

    /// `v1,<base64>`
    pub fn sign(&self, id: &str, at: DateTime<Utc>, body: &[u8]) -> String {
        format!("v1,{}", STANDARD.encode(hmac::sign(&self.0, &signed(id, at.timestamp(), body))))
    }

    /// Whether any of the signatures is of this secret, and the time near.
    pub fn verify(&self, id: &str, timestamp: &str, signatures: &str, body: &[u8], now: DateTime<Utc>) -> bool {
        let Some(at) = timestamp.parse().ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0)) else {
            return false;
        };
        let near = (now - at).abs() <= TOLERANCE;
        let data = signed(id, at.timestamp(), body);
        near && signatures.split(' ').filter_map(|one| STANDARD.decode(one.strip_prefix("v1,")?).ok()).any(|tag| {
            // Compared in constant time.
            hmac::verify(&self.0, &data, &tag).is_ok()
        })
    }
}

fn signed(id: &str, seconds: i64, body: &[u8]) -> Vec<u8> {
    let mut data = format!("{id}.{seconds}.").into_bytes();
    data.extend_from_slice(body);
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).expect("a time")
    }

    /// The vector that the libraries of Standard Webhooks are tested with.
    #[test]
    fn the_published_vector_is_signed_and_verified() {
        for secret in [SECRET, SECRET.trim_start_matches(PREFIX)] {
            let key = Key::parse(secret).expect("a secret");
            assert_eq!(key.sign(ID, at(1_614_265_330), BODY), SIGNATURE);
            assert!(key.verify(ID, "1614265330", SIGNATURE, BODY, at(1_614_265_330)));
        }
    }

    #[test]
    fn any_of_several_signatures_will_do_and_other_schemes_are_passed_over() {
        let key = Key::parse(SECRET).expect("a secret");
        let list = format!(
            "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc= v2,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc= {SIGNATURE}"
        );
        assert!(key.verify(ID, "1614265330", &list, BODY, at(1_614_265_330)));
        let foreign = list.replace(SIGNATURE, "");
        assert!(!key.verify(ID, "1614265330", &foreign, BODY, at(1_614_265_330)));
    }

    #[test]
    fn what_is_old_early_or_changed_is_refused() {
        let key = Key::parse(SECRET).expect("a secret");
        let now = at(1_614_265_330);
        let ok = |id: &str, time: &str, body: &[u8], now| key.verify(id, time, SIGNATURE, body, now);
        assert!(ok(ID, "1614265330", BODY, now + TOLERANCE));
        assert!(!ok(ID, "1614265330", BODY, now + TOLERANCE + TimeDelta::seconds(1)));
        assert!(!ok(ID, "1614265330", BODY, now - TOLERANCE - TimeDelta::seconds(1)));
        assert!(!ok(ID, "1614265331", BODY, now));
        assert!(!ok("msg_other", "1614265330", BODY, now));
        assert!(!ok(ID, "1614265330", br#"{"test": 2432232315}"#, now));
        assert!(!ok(ID, "hello", BODY, now));
        assert!(!key.verify(ID, "1614265330", "", BODY, now));
        assert!(!key.verify(ID, "1614265330", "v1,", BODY, now));
    }

    #[test]
    fn what_is_no_secret_is_none() {
        for text in ["", "whsec_", "whsec_???", "whsec_ä"] {
            assert!(Key::parse(text).is_none(), "{text}");
        }
    }
}
