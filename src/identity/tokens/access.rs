//! What an access token says, and whether one that is shown is ours and in time.

use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Algorithm, Header, Validation, decode, decode_header, encode};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::keys::{KeyProblem, Keys};

/// How long an access token is good.
pub const ACCESS_LIFE: TimeDelta = TimeDelta::minutes(15);
/// How far the clocks of two daemons may be apart.
const LEEWAY: TimeDelta = TimeDelta::seconds(30);
const ISSUER: &str = "kopru";
const LONGEST: usize = 2_048;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessClaims {
    iss: String,
    /// The user's id.
    sub: String,
    /// The session whose token this is.
    pub sid: Uuid,
    /// The user's `session_epoch` when it was given.
    pub epoch: i64,
    iat: i64,
    exp: i64,
}

/// Why a token was not taken.
#[derive(Debug, thiserror::Error)]
pub enum TokenRefusal {
    /// Not a token, not by our keys, not by our algorithm, changed, or from the future.
    #[error("the access token is not one of ours")]
    Foreign,
    #[error("the access token has expired")]
    Expired,
}

impl AccessClaims {
    pub fn new(user_id: i64, session: Uuid, epoch: i64, now: DateTime<Utc>) -> AccessClaims {
        AccessClaims {
            iss: ISSUER.to_owned(),
            sub: user_id.to_string(),
            sid: session,
            epoch,
            iat: now.timestamp(),
            exp: (now + ACCESS_LIFE).timestamp(),
        }
    }

    pub fn user_id(&self) -> Option<i64> {
        self.sub.parse().ok()
    }

    pub(super) fn sign(&self, keys: &Keys) -> Result<String, KeyProblem> {
        let (kid, key) = keys.signer();
        let header = Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::EdDSA) };
        encode(&header, self, key).map_err(|error| KeyProblem::Unusable(error.to_string()))
    }

    /// The key that a token names. `None`: nothing that could be one of ours.
    pub(super) fn named_key(token: &str) -> Option<String> {
        let header = (token.len() <= LONGEST).then(|| decode_header(token).ok()).flatten()?;
        header.kid.filter(|_| header.alg == Algorithm::EdDSA)
    }

    /// What a token signed by this key says, whenever it holds.
    pub(super) fn read(keys: &Keys, kid: &str, token: &str) -> Result<AccessClaims, TokenRefusal> {
        let key = keys.verifier(kid).ok_or(TokenRefusal::Foreign)?;
        // Times are compared with the program's clock, below.
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.validate_exp = false;
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["iss", "sub"]);
        Ok(decode::<AccessClaims>(token, key, &validation).map_err(|_| TokenRefusal::Foreign)?.claims)
    }

    pub(super) fn check(&self, now: DateTime<Utc>) -> Result<(), TokenRefusal> {
        if self.iat > (now + LEEWAY).timestamp() || self.exp - self.iat > ACCESS_LIFE.num_seconds() {
            return Err(TokenRefusal::Foreign);
        }
        if self.exp <= now.timestamp() { Err(TokenRefusal::Expired) } else { Ok(()) }
    }
}
