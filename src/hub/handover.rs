//! Reservations of ours that go over into what a system says of its stock ([`stock::handover`]): when a reading of its stock
//! begins, with each page of it, and when it has ended.
//!
//! Invariants
//! - What is due is written down under the stream's lease and committed before the first page is asked for; nobody else writes
//!   it down or ends it meanwhile.
//! - A level's reservations end in the transaction of its figure. Those of levels that did not move, and that a pass over what
//!   changed has not brought, end with the pass, if all that it brought went in.

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
};

/// A reading of a system's stock under the lease of its stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct StockReading<'a> {
    pub(super) engine: &'a Engine,
    pub(super) connector: &'a str,
    pub(super) lease: &'a str,
}

impl StockReading<'_> {
    fn contained(&self) -> Contained {
        let instance = self.engine.instances.get(self.connector);
        match instance.map_or(TakesOff::OnShipping, |instance| instance.connector.takes_off()) {
            TakesOff::OnTaking => Contained::WhenTaken,
            TakesOff::OnShipping => Contained::WhenShipped,
        }
    }

    async fn fence(&self, tx: &mut PgConnection) -> Result<(), ApplyError> {
        match leases::fence(&mut *tx, self.lease, self.engine.id, self.engine.settings.lease).await? {
            true => Ok(()),
            false => Err(ApplyError::LeaseLost),
        }
    }

    /// Before its first page.
    pub(super) async fn begins(&self) -> Result<(), ApplyError> {
        let mut tx = self.engine.pool.begin().await?;
        self.fence(&mut tx).await?;
        let holding = handover::holding(&mut tx).await?;
        if !holding.is_empty() {
            let sent = links::by_internal_id(&mut tx, self.connector, Entity::Order, &holding).await?;
            let orders: Vec<i64> = sent.into_keys().collect();
            handover::mark(&mut tx, self.contained(), &orders).await?;
        }
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
        let mut tx = self.engine.pool.begin().await?;
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
