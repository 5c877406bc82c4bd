//! Reservations of ours that go over into what a system says of its stock ([`stock::handover`]): when a reading of its stock
//! begins, with each page of it, and when it has ended.
//!
//! A system that is polled is read by us ([`StockReading`]). One that pushes its levels says itself when it begins to read
//! ([`begin`]), and which levels are of that reading ([`Announced`]).
//!
//! Invariants
//! - What is due is written down under the stream's lease and committed before the first page is asked for; nobody else writes
//!   it down or ends it meanwhile.
//! - A level's reservations end in the transaction of its figure. Those of levels that did not move, and that a pass over what
//!   changed has not brought, end with the pass, if all that it brought went in.
//! - Of a system that pushes only the reading that was begun last counts: levels of an earlier one are refused, since they may be
//!   older than an order that a later one has ended the reservation of. Whose stock is polled announces none.

use std::collections::HashSet;

use kopru_sdk::TakesOff;
use sqlx::PgConnection;

use super::{
    engine::Engine,
    leases, links,
    pages::{ApplyError, Verdict},
};
use crate::{
    canonical::Entity,
    commerce::stock::handover::{self, Contained},
    transaction,
};

fn contained(engine: &Engine, connector: &str) -> Contained {
    let instance = engine.instances.get(connector);
    match instance.map_or(TakesOff::OnShipping, |instance| instance.connector.takes_off()) {
        TakesOff::OnTaking => Contained::WhenTaken,
        TakesOff::OnReserving => Contained::WhenReserved,
        TakesOff::OnShipping => Contained::WhenShipped,
    }
}

/// Writes down what is due by the facts that are committed by now.
async fn mark(tx: &mut PgConnection, engine: &Engine, connector: &str) -> Result<(), sqlx::Error> {
    let holding = handover::holding(tx).await?;
    if holding.is_empty() {
        return Ok(());
    }
    let sent = links::by_internal_id(tx, connector, Entity::Order, &holding).await?;
    let orders: Vec<i64> = sent.into_keys().collect();
    handover::mark(tx, contained(engine, connector), &orders).await
}

/// Whether a system's stock is polled: then nobody else says when it is read.
pub fn is_polled(engine: &Engine, connector: &str) -> bool {
    let streams = engine.instances.get(connector).map(|instance| instance.streams.as_slice()).unwrap_or_default();
    let is_stock = |mapping: &str| {
        engine.library.get_for(connector, mapping).is_some_and(|mapping| mapping.entity() == Entity::Stock)
    };
    streams.iter().any(|stream| stream.enabled && is_stock(&stream.mapping))
}

/// A system that pushes begins to read its stock. What it reads may be read when this is committed, and not before.
pub async fn begin(tx: &mut PgConnection, engine: &Engine, connector: &str) -> Result<i64, sqlx::Error> {
    // Levels of the reading before that are under way are waited for.
    let number = sqlx::query_scalar!(
        "insert into hub.stock_reading as r (connector, number) values ($1, 1)
         on conflict (connector) do update set number = r.number + 1, began_at = clock_timestamp()
         returning number",
        connector,
    )
    .fetch_one(&mut *tx)
    .await?;
    mark(tx, engine, connector).await?;
    Ok(number)
}

/// The reading that levels are pushed as part of.
#[derive(Debug, Clone, Copy)]
pub struct Announced<'a> {
    pub engine: &'a Engine,
    pub connector: &'a str,
    pub number: i64,
}

impl Announced<'_> {
    /// Before the levels are written: whether the reading is the last one that was begun, as it then stays until they are.
    pub async fn stands(&self, tx: &mut PgConnection) -> Result<bool, sqlx::Error> {
        let last =
            sqlx::query_scalar!("select number from hub.stock_reading where connector = $1 for share", self.connector)
                .fetch_optional(&mut *tx)
                .await?;
        if last != Some(self.number) {
            return Ok(false);
        }
        handover::lock(tx).await?;
        Ok(true)
    }

    /// These levels are as the system has them.
    pub async fn wrote(&self, tx: &mut PgConnection, levels: &[i64]) -> Result<(), sqlx::Error> {
        handover::end(tx, contained(self.engine, self.connector), levels, self.engine.clock.now()).await?;
        Ok(())
    }
}

/// A reading of a system's stock under the lease of its stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct StockReading<'a> {
    pub(super) engine: &'a Engine,
    pub(super) connector: &'a str,
    pub(super) lease: &'a str,
}

impl StockReading<'_> {
    fn contained(&self) -> Contained {
        contained(self.engine, self.connector)
    }

    async fn fence(&self, tx: &mut PgConnection) -> Result<(), ApplyError> {
        match leases::fence(&mut *tx, self.lease, self.engine.id, self.engine.settings.lease).await? {
            true => Ok(()),
            false => Err(ApplyError::LeaseLost),
        }
    }

    /// Before its first page.
    pub(super) async fn begins(&self) -> Result<(), ApplyError> {
        let mut tx = transaction::begin(&self.engine.pool).await?;
        self.fence(&mut tx).await?;
        mark(&mut tx, self.engine, self.connector).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Before a page is applied: whether anything is due.
    pub(super) async fn locks(&self, tx: &mut PgConnection) -> Result<bool, ApplyError> {
        Ok(handover::lock(tx).await?)
    }

    /// What a page said of these levels stands in the store now.
    pub(super) async fn wrote(&self, tx: &mut PgConnection, verdicts: &[Verdict]) -> Result<(), ApplyError> {
        let current = verdicts.iter().filter_map(|verdict| match verdict {
            Verdict::Created(id) | Verdict::Updated(id) | Verdict::Unchanged(id) => Some(*id),
            _ => None,
        });
        let levels: Vec<i64> = current.collect();
        self.fence(tx).await?;
        handover::end(tx, self.contained(), &levels, self.engine.clock.now()).await?;
        Ok(())
    }

    /// The whole pass went in.
    pub(super) async fn ended(&self) -> Result<(), ApplyError> {
        let mut tx = transaction::begin(&self.engine.pool).await?;
        self.fence(&mut tx).await?;
        if handover::lock(&mut tx).await? {
            let levels = handover::levels(&mut tx).await?;
            let read: HashSet<i64> =
                links::by_internal_id(&mut tx, self.connector, Entity::Stock, &levels).await?.into_keys().collect();
            let levels: Vec<i64> = levels.into_iter().filter(|level| read.contains(level)).collect();
            handover::end(&mut tx, self.contained(), &levels, self.engine.clock.now()).await?;
        }
        tx.commit().await?;
        Ok(())
    }
}
