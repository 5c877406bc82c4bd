//! Answers of the catalogue that were given a moment ago: of those that cannot be put together from kept parts
//! (`commerce::catalogue`), lists by price for one.
//!
//! Invariants
//! - No answer is older than [`MAX_AGE`], counted from before its first query began.
//! - An answer is kept for exactly what was asked by exactly this view: whose prices, the day, what may be seen.
//! - Requests for the same answer that come together wait for one query.
//! - An edit through this process is seen at once in this process.
//! - Orders and carts never read it.

use std::{future::Future, sync::Arc, time::Duration};

use moka::future::Cache;
use tokio::time::Instant;

use super::query::Wanted;
use crate::{
    commerce::catalogue::Viewer,
    http::{api::tagged::Tagged, problem::Problem},
    page::PageRequest,
};

/// How old an answer may be.
pub(in crate::http) const MAX_AGE: Duration = Duration::from_secs(1);

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::http::api) enum Asked {
    List(Viewer, Arc<Wanted>),
    Categories,
    Brands(PageRequest),
}

#[derive(Debug, Clone)]
struct Kept {
    answer: Tagged,
    read_at: Instant,
}

/// Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Answers {
    kept: Option<Cache<Asked, Kept>>,
}

impl Answers {
    /// Keeps answers up to so many bytes; 0: none.
    pub fn holding(bytes: u64) -> Answers {
        if bytes == 0 {
            return Answers::default();
        }
        // What an entry takes beside its answer: the key, and the cache's own books.
        let weight = |_: &Asked, kept: &Kept| u32::try_from(kept.answer.len() + 512).unwrap_or(u32::MAX);
        Answers { kept: Some(Cache::builder().weigher(weight).max_capacity(bytes).time_to_live(MAX_AGE).build()) }
    }

    /// The answer that is kept, or the one that is made now.
    pub(in crate::http::api) async fn get<F, M>(&self, asked: Asked, make: M) -> Result<Tagged, Problem>
    where
        M: Fn() -> F,
        F: Future<Output = Result<Tagged, Problem>>,
    {
        let Some(kept) = &self.kept else { return make().await };
        let read = async {
            let read_at = Instant::now();
            Ok::<_, Problem>(Kept { answer: make().await?, read_at })
        };
        let entry = kept.entry(asked).or_try_insert_with(read).await.map_err(|problem| (*problem).clone())?;
        let outcome = if entry.is_fresh() { "miss" } else { "hit" };
        metrics::counter!("kopru_catalogue_cache_total", "outcome" => outcome).increment(1);
        // It took so long to make that it is too old for who waited for it.
        if !entry.is_fresh() && entry.value().read_at.elapsed() >= MAX_AGE {
            kept.invalidate(entry.key()).await;
            return make().await;
        }
        Ok(entry.into_value().answer)
    }

    /// Something was changed here.
    pub(in crate::http) fn forget(&self) {
        if let Some(kept) = &self.kept {
            kept.invalidate_all();
        }
    }
}
