//! What dealers' prices depend on, remembered for a moment. Whether it still holds is told by the statement that reads their page
//! ([`super::news`]), so that it spares the statement six look-ups and shows nothing old.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use moka::sync::Cache;
use sqlx::PgConnection;

use super::news::Snapshot;
use crate::commerce::pricing::{Dealer, Terms, pricing_sql};

/// No longer: the feed need not be read far back.
const REMEMBERED: Duration = Duration::from_secs(1);
const MOST: u64 = 10_000;

/// A dealer, and what was seen when they were read.
#[derive(Debug)]
pub(super) struct Known {
    pub terms: Terms,
    /// `None`: there was nothing to read.
    pub seen: Option<Snapshot>,
    at: Instant,
}

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(in super::super) struct Dealers(Cache<i64, Arc<Known>>);

impl Default for Dealers {
    fn default() -> Dealers {
        Dealers(Cache::new(MOST))
    }
}

impl Dealers {
    pub(super) async fn known(&self, conn: &mut PgConnection, dealer: Dealer) -> Result<Arc<Known>, sqlx::Error> {
        let Some(id) = dealer.customer_id else {
            return Ok(Arc::new(Known { terms: Terms::of_nobody(), seen: None, at: Instant::now() }));
        };
        match self.0.get(&id).filter(|known| known.at.elapsed() < REMEMBERED) {
            Some(known) => Ok(known),
            None => self.read(conn, dealer).await,
        }
    }

    /// As they are now.
    pub(super) async fn read(&self, conn: &mut PgConnection, dealer: Dealer) -> Result<Arc<Known>, sqlx::Error> {
        let at = Instant::now();
        let statement = concat!("select ", pricing_sql!(file "terms"), ", pg_current_snapshot()::text");
        let (terms, seen): (Vec<Option<String>>, String) =
            sqlx::query_as(statement).bind(dealer.customer_id).fetch_one(conn).await?;
        let unread = || sqlx::Error::Decode("terms of a dealer that cannot be read".into());
        let terms = Terms::of(dealer, terms).ok_or_else(unread)?;
        let known = Arc::new(Known { terms, seen: Some(Snapshot::parse(&seen).ok_or_else(unread)?), at });
        if let Some(id) = dealer.customer_id {
            self.0.insert(id, Arc::clone(&known));
        }
        Ok(known)
    }
}
