//! What a seal is made of.
//!
//! A row's content is the SHA-256 of [`ROW`] and its fields in the order below, each as eight bytes of length (big-endian)
//! and that many bytes; a field that is null is eight bytes `ff`. A seal's hash is the SHA-256 of [`SEAL`], the hash before
//! (32 zero bytes for the first), the place (eight bytes, big-endian), the row's id (16 bytes) and the content. Whoever has
//! the rows can reckon it anew without this program.

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use uuid::Uuid;

pub(super) type Hash = [u8; 32];

/// Before the first seal.
pub(super) const BEGINNING: Hash = [0; 32];

const ROW: &[u8] = b"kopru audit row 1\n";
const SEAL: &[u8] = b"kopru audit seal 1\n";

/// A row as it is sealed.
pub(super) struct Row {
    pub id: Uuid,
    pub at: DateTime<Utc>,
    pub actor: String,
    pub action: String,
    pub subject_kind: String,
    pub subject: String,
    pub correlation_id: String,
    /// As PostgreSQL writes an `inet`, with its mask.
    pub address: Option<String>,
    pub agent: Option<String>,
    /// As PostgreSQL writes a `jsonb`.
    pub detail: String,
}

impl Row {
    pub fn content(&self) -> Hash {
        // Microseconds since 1970: all that PostgreSQL keeps.
        let at = self.at.timestamp_micros().to_string();
        let id = self.id.to_string();
        let fields = [
            Some(id.as_str()),
            Some(&at),
            Some(&self.actor),
            Some(&self.action),
            Some(&self.subject_kind),
            Some(&self.subject),
            Some(&self.correlation_id),
            self.address.as_deref(),
            self.agent.as_deref(),
            Some(&self.detail),
        ];
        let mut hash = Sha256::new_with_prefix(ROW);
        for field in fields {
            match field {
                Some(text) => {
                    hash.update((text.len() as u64).to_be_bytes());
                    hash.update(text);
                }
                None => hash.update([0xff; 8]),
            }
        }
        hash.finalize().into()
    }
}

pub(super) fn seal(before: &Hash, place: i64, id: Uuid, content: &Hash) -> Hash {
    let mut hash = Sha256::new_with_prefix(SEAL);
    hash.update(before);
    hash.update(place.to_be_bytes());
    hash.update(id.as_bytes());
    hash.update(content);
    hash.finalize().into()
}

pub(super) fn hex(hash: &[u8]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What [`hex`] has written.
pub(super) fn of_hex(text: &str) -> Hash {
    let mut hash = BEGINNING;
    for (at, byte) in hash.iter_mut().enumerate() {
        *byte = text.get(2 * at..2 * at + 2).and_then(|two| u8::from_str_radix(two, 16).ok()).unwrap_or(0);
    }
    hash
}

/// The 32 bytes that a column holds; its check has seen to the length.
pub(super) fn of_column(bytes: &[u8]) -> Hash {
    bytes.try_into().unwrap_or(BEGINNING)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        Row {
            id: Uuid::from_u128(7),
            at: DateTime::UNIX_EPOCH,
            actor: "user:7".to_owned(),
            action: "order.placed".to_owned(),
            subject_kind: "order".to_owned(),
            subject: "12".to_owned(),
            correlation_id: "c".to_owned(),
            address: None,
            agent: None,
            detail: "{}".to_owned(),
        }
    }

    #[test]
    fn what_moves_from_one_field_to_the_next_is_another_row() {
        let moved = Row { actor: "user:".to_owned(), action: "7order.placed".to_owned(), ..row() };
        let empty = Row { agent: Some(String::new()), ..row() };
        let contents = [row().content(), moved.content(), empty.content()];
        assert!(contents[0] != contents[1] && contents[0] != contents[2], "{contents:?}");
    }

    /// Seals that lie in a store must be found good by every later version.
    #[test]
    fn the_form_of_a_seal_stays() {
        let content = row().content();
        let hash = seal(&BEGINNING, 1, Uuid::from_u128(7), &content);
        assert_eq!(hex(&content), "b1a0e7ed1ade494933daedf9962896622b94d9486337e39102b53a55519f73bc");
        assert_eq!(hex(&hash), "93a8e94c82f3ac55f6c501b310e21a91f75580798cb79273da1ad04e62e7105a");
    }
}
