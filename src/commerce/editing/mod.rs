//! What people change in the catalogue by hand: cards, their own prices, stock, images.
//!
//! Invariants
//! - The same commands as a source's: nothing is written here that a push could not write.
//! - A record that comes from a source is that source's: who asks says whose it is, and a change of what the source owns
//!   ([`super::ownership`]) is refused with the names of the fields and of the owner. What equals the stored value is no change.
//! - Against a source's word a person may hold an own value, with a reason ([`set_override`]); it can be taken back.
//! - Every change leaves one audit row with the changed fields before and after, and the events of its commands.
//! - Nothing here commits: a refusal is the caller's reason to roll back.

mod card;
mod images;
mod overrides;
mod prices;
mod stock;

pub use card::{Card, Target, delete_product, save_card, target};
pub use images::{add_image, remove_image};
pub use overrides::{NewOverride, remove_override, set_override};
pub use prices::{OwnPrices, own_price_rows, set_prices};
pub use stock::{Place, place, set_stock};

use serde_json::{Map, Value, json};
use sqlx::PgConnection;

use super::{CommandError, Outcome, Violation};
use crate::{audit, outbox::Provenance};

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    #[error("there is no such product")]
    UnknownProduct,
    #[error("{0}")]
    Refused(Violation),
    #[error("{} of this record come from {owner}; change them there", .fields.join(", "))]
    SourceOwned { fields: Vec<String>, owner: String },
    #[error("no source writes this product: change it itself")]
    NoSource,
    #[error(transparent)]
    Command(#[from] CommandError),
}

impl From<sqlx::Error> for EditError {
    fn from(error: sqlx::Error) -> EditError {
        EditError::Command(error.into())
    }
}

impl From<Violation> for EditError {
    fn from(violation: Violation) -> EditError {
        EditError::Refused(violation)
    }
}

/// What became of an edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    pub id: i64,
    pub is_new: bool,
    /// The fields that have another value now, by their canonical names.
    pub changed: Vec<String>,
}

/// The refusal of a command of one row, if it was one.
fn accepted(outcomes: Vec<Outcome>) -> Result<(), EditError> {
    for outcome in outcomes {
        if let Outcome::Refused(violation) = outcome {
            return Err(violation.into());
        }
    }
    Ok(())
}

/// The fields that differ, before and after.
fn difference(before: &Map<String, Value>, after: &Map<String, Value>) -> (Map<String, Value>, Map<String, Value>) {
    let (mut was, mut is) = (Map::new(), Map::new());
    for (name, value) in after {
        let earlier = before.get(name).unwrap_or(&Value::Null);
        if earlier != value {
            was.insert(name.clone(), earlier.clone());
            is.insert(name.clone(), value.clone());
        }
    }
    (was, is)
}

async fn record(
    conn: &mut PgConnection,
    by: &Provenance<'_>,
    action: &'static str,
    product_id: i64,
    before: Map<String, Value>,
    after: Map<String, Value>,
) -> Result<(), sqlx::Error> {
    let entry = audit::Entry {
        action,
        subject_kind: "product",
        subject: product_id.to_string(),
        detail: json!({ "before": before, "after": after }),
    };
    audit::record(conn, by.actor(), &[entry]).await
}
