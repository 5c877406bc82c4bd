//! What an item that stands alone asks before any of its records is applied: one question for all their links, one for all
//! that they refer to. For one product with its prices and its stock most of the time goes into waiting for answers.

use std::collections::{BTreeSet, HashMap};

use sqlx::PgConnection;

use super::{
    apply::{ApplyContext, ApplyError, asked_about},
    plan::Incoming,
};
use crate::{
    canonical::Entity,
    hub::links::{self, Held},
};

/// The internal ids of what records refer to, by entity and code.
pub type Known = HashMap<(Entity, String), i64>;

/// What was answered.
pub(super) struct Ahead {
    /// By entity, for its records in their order. Links that differ are locked.
    pub(super) held: HashMap<Entity, Vec<Held>>,
    /// Of what they refer to, as far as it is there already; nothing of the item's own entities, whose records come first.
    pub(super) known: Known,
}

/// Asks about records of several entities, each with what its records share, in the order in which they are applied.
pub(super) async fn look(
    tx: &mut PgConnection,
    connector: &str,
    sheets: &[(ApplyContext<'_>, Vec<Incoming<'_>>)],
) -> Result<Ahead, ApplyError> {
    let mut asked = Vec::new();
    let mut places = Vec::new();
    let mut wanted: BTreeSet<(Entity, &str)> = BTreeSet::new();
    for (cx, incoming) in sheets {
        let mut order: Vec<usize> = (0..incoming.len()).collect();
        order.sort_unstable_by(|a, b| incoming[*a].change.code.cmp(&incoming[*b].change.code));
        for place in order {
            asked.push((cx.entity, asked_about(incoming[place])));
            places.push((cx.entity, place));
        }
        for record in incoming {
            let values = &record.change.values;
            let codes =
                cx.references.iter().filter_map(|(field, entity, _)| Some((*entity, values.get(*field)?.as_text()?)));
            // A code of its own may be another record's by then.
            wanted.extend(codes.filter(|(entity, _)| sheets.iter().all(|(cx, _)| cx.entity != *entity)));
        }
    }
    let mut held: HashMap<Entity, Vec<Held>> =
        sheets.iter().map(|(cx, incoming)| (cx.entity, vec![Held::Nothing; incoming.len()])).collect();
    let taken = links::take(tx, connector, &asked).await?.ok_or(ApplyError::Conflict)?;
    for ((entity, place), one) in places.into_iter().zip(taken) {
        if let Some(slot) = held.get_mut(&entity).and_then(|all| all.get_mut(place)) {
            *slot = one;
        }
    }
    let differ = held.values().flatten().any(|one| !matches!(one, Held::Same { .. }));
    let mut known = Known::new();
    if differ && !wanted.is_empty() {
        let entities: Vec<&str> = wanted.iter().map(|(entity, _)| entity.as_str()).collect();
        let codes: Vec<&str> = wanted.iter().map(|(_, code)| *code).collect();
        known = links::resolve(tx, connector, &entities, &codes).await?;
    }
    Ok(Ahead { held, known })
}
