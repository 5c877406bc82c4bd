//! What is kept of the catalogue in the process, so that a page is put together without asking the store.
//!
//! Kept are parts, never answers: which products a page has, a product as it is written down, the rows that may give somebody
//! its price, what a dealer's prices depend on. So a hundred dealers share the parts of a page.
//!
//! Invariants
//! - Nothing that is shown from here is older than [`MAX_AGE`]: parts are believed only as long as the last look at the feed of
//!   changes began less than that ago. A feed that cannot be read means that the store is read.
//! - A part is never newer in the books than it is: it bears the number that stood before it was read ([`stamps`]).
//! - The day is the asker's: dates of prices are compared when a price is asked for, not when it is kept.
//! - Carts, orders and explanations never read it.
//! - Whatever does not fit here (prices that decide the order, a product with very many price rows, one that was closed a
//!   moment ago) is read from the store, as everything is without this.

mod feed;
mod goods;
mod renewal;
mod stamps;
mod watch;

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use moka::sync::Cache;
use sqlx::PgPool;
use tokio::sync::{Mutex, MutexGuard};

pub use self::{
    feed::trim,
    goods::{Forms, Goods, Written},
    watch::MAX_AGE,
};

use self::{goods::KeptGoods, renewal::Renewal, watch::Watched};
use super::{
    Viewer,
    detail::{self, Which},
    filter::{self, Filter, References, Sort},
    list, written,
};
use crate::{
    commerce::pricing::{self, Dealer, Quote, Terms},
    page::{BadPage, Page, PageRequest},
};

/// A page, or one product, and whose prices are shown in it.
#[derive(Debug)]
pub struct Shown {
    pub goods: Vec<Arc<Goods>>,
    pub next_cursor: Option<String>,
    pub total_count: Option<i64>,
    terms: Stamped<Arc<Terms>>,
    viewer: Viewer,
}

impl Shown {
    /// With the viewer's price.
    pub fn items(&self) -> impl Iterator<Item = (&Goods, Option<Quote>)> + Clone {
        self.goods.iter().map(|goods| {
            let offers = goods.offers.as_deref().unwrap_or_default();
            let offer = pricing::price(offers, &self.terms.1, self.viewer.day, self.viewer.dealer.allow_zero_price);
            (&**goods, offer.and_then(|offer| offer.quote()))
        })
    }

    pub fn sees_stock(&self) -> bool {
        self.viewer.sees_stock
    }
}

/// A value and the number that stood before it was read.
#[derive(Debug, Clone)]
struct Stamped<T>(u64, T);

type PageKey = (Filter, Sort, PageRequest, bool);

/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct Kept {
    pool: PgPool,
    watched: Watched,
    forms: Forms,
    listed: KeptGoods,
    #[expect(dead_code, reason = "it ends with what it renews")]
    renewal: Arc<Renewal>,
    details: Cache<i64, Arc<Goods>>,
    pages: Cache<PageKey, Stamped<Arc<Page<i64>>>>,
    counts: Cache<(Filter, bool), Stamped<i64>>,
    references: Cache<(Option<String>, Option<String>), Stamped<References>>,
    skus: Cache<String, Stamped<i64>>,
    terms: Cache<Dealer, Stamped<Arc<Terms>>>,
    /// Of those who miss the same page together, one reads it.
    readers: Arc<[Mutex<()>; 64]>,
}

/// Of `bytes`, in sixteenths.
fn bounded<K, V>(bytes: u64, sixteenths: u64, weight: impl Fn(&K, &V) -> usize + Send + Sync + 'static) -> Cache<K, V>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    let weight = move |key: &K, value: &V| u32::try_from(weight(key, value)).unwrap_or(u32::MAX);
    Cache::builder().weigher(weight).max_capacity(bytes / 16 * sixteenths).build()
}

impl Kept {
    /// Keeps up to so many bytes, and looks for changes as long as somebody reads.
    pub fn holding(pool: PgPool, bytes: u64, forms: Forms) -> Kept {
        let watched = Watched::start(pool.clone());
        let listed = KeptGoods::holding(pool.clone(), bytes / 16 * 11, forms);
        Kept {
            renewal: Arc::new(Renewal::start(watched.signals(), listed.clone())),
            watched,
            pool,
            forms,
            listed,
            details: bounded(bytes, 3, |_, goods: &Arc<Goods>| goods.weight()),
            pages: bounded(bytes, 1, |key: &PageKey, page: &Stamped<Arc<Page<i64>>>| {
                page.1.items.len() * 8 + 512 + key.0.weight()
            }),
            counts: bounded(bytes, 1, |key: &(Filter, bool), _| 256 + key.0.weight()),
            references: Cache::new(1_000),
            skus: Cache::new(20_000),
            terms: Cache::new(10_000),
            readers: Arc::new(std::array::from_fn(|_| Mutex::new(()))),
        }
    }

    /// What was changed by this process is shown at once.
    pub async fn catch_up(&self) {
        self.watched.look().await;
    }

    fn count(found: bool) {
        let outcome = if found { "hit" } else { "miss" };
        metrics::counter!("kopru_catalogue_cache_total", "outcome" => outcome).increment(1);
    }

    /// Category and brand of a filter.
    pub async fn references(&self, category: Option<&str>, brand: Option<&str>) -> Result<References, sqlx::Error> {
        let key = (category.map(str::to_owned), brand.map(str::to_owned));
        if self.watched.is_fresh()
            && let Some(Stamped(stamp, kept)) = self.references.get(&key)
            && self.watched.stamps().page_holds(stamp)
        {
            return Ok(kept);
        }
        let stamp = self.watched.stamps().now();
        let mut conn = self.pool.acquire().await?;
        let found = filter::find_references(&mut conn, category, brand).await?;
        self.references.insert(key, Stamped(stamp, found.clone()));
        Ok(found)
    }

    /// Whether there is such a customer; `None`: ask the store.
    pub async fn has_customer(&self, id: i64) -> Result<Option<bool>, sqlx::Error> {
        if !self.watched.is_fresh() {
            return Ok(None);
        }
        let mut read = false;
        let dealer = Dealer { customer_id: Some(id), allow_zero_price: false };
        Ok(Some(self.terms(dealer, &mut read).await?.1.known))
    }

    /// A page of the list; `None`: it has to be read from the store.
    pub async fn list(
        &self,
        viewer: &Viewer,
        filter: &Filter,
        sort: Sort,
        page: &PageRequest,
        count: bool,
    ) -> Result<Option<Result<Shown, BadPage>>, sqlx::Error> {
        if filter.depends_on_goods(sort) || filter.references.find_nothing() || !self.watched.is_fresh() {
            Kept::count(false);
            return Ok(None);
        }
        let mut read = false;
        let key = (filter.clone(), sort, page.clone(), viewer.sees_all);
        let Stamped(page_stamp, ids) = match self.page(key, &mut read).await? {
            Ok(ids) => ids,
            Err(bad) => return Ok(Some(Err(bad))),
        };
        let total_count = if count { Some(self.total(filter, viewer, &mut read).await?) } else { None };
        let terms = self.terms(viewer.dealer, &mut read).await?;
        let goods = self.goods(&ids.items, &mut read).await?;
        let shown = goods.map(|goods| Shown {
            goods,
            next_cursor: ids.next_cursor.clone(),
            total_count,
            terms,
            viewer: *viewer,
        });
        let shown =
            shown.filter(|shown| self.may_be_shown(shown, read) && self.watched.stamps().page_holds(page_stamp));
        Kept::count(shown.is_some() && !read);
        Ok(shown.map(Ok))
    }

    /// One product; `None`: the store has to be asked.
    pub async fn product(&self, viewer: &Viewer, which: Which<'_>) -> Result<Option<Shown>, sqlx::Error> {
        if viewer.sees_costs || !self.watched.is_fresh() {
            Kept::count(false);
            return Ok(None);
        }
        let mut read = false;
        let goods = match which {
            Which::Id(id) => self.detail(which, Some(id), &mut read).await?,
            Which::Sku(sku) => {
                let known = self.skus.get(sku).filter(|known| self.watched.stamps().page_holds(known.0));
                self.detail(which, known.map(|known| known.1), &mut read).await?
            }
        };
        let terms = self.terms(viewer.dealer, &mut read).await?;
        let shown = goods.map(|goods| Shown {
            goods: vec![goods],
            next_cursor: None,
            total_count: None,
            terms,
            viewer: *viewer,
        });
        let shown = shown.filter(|shown| self.may_be_shown(shown, read));
        Kept::count(shown.is_some() && !read);
        Ok(shown)
    }

    /// After a read, which may have taken its time, everything is looked at once more: whether what is kept may be shown at all
    /// first, so that what the same look at the feed found is seen as well.
    fn may_be_shown(&self, shown: &Shown, read: bool) -> bool {
        let fits = |goods: &Arc<Goods>| {
            goods.offers.is_some()
                && (shown.viewer.sees_all || goods.for_dealers)
                && (!read || self.watched.stamps().product_holds(goods.id, goods.stamp))
        };
        let fresh = !read || self.watched.is_fresh();
        fresh && shown.goods.iter().all(fits) && (!read || self.watched.stamps().dealer_holds(shown.terms.0))
    }

    async fn reading(&self, key: &impl Hash) -> MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        self.readers[hasher.finish() as usize % self.readers.len()].lock().await
    }

    async fn page(
        &self,
        key: PageKey,
        read: &mut bool,
    ) -> Result<Result<Stamped<Arc<Page<i64>>>, BadPage>, sqlx::Error> {
        let kept = || self.pages.get(&key).filter(|kept| self.watched.stamps().page_holds(kept.0));
        if let Some(kept) = kept() {
            return Ok(Ok(kept));
        }
        *read = true;
        let _reading = self.reading(&key).await;
        if let Some(kept) = kept() {
            return Ok(Ok(kept));
        }
        let stamp = self.watched.stamps().now();
        let (filter, sort, page, sees_all) = &key;
        let ids = match list::ids(&self.pool, *sees_all, filter, *sort, page).await? {
            Ok(ids) => Stamped(stamp, Arc::new(ids)),
            Err(bad) => return Ok(Err(bad)),
        };
        self.pages.insert(key, ids.clone());
        Ok(Ok(ids))
    }

    async fn total(&self, filter: &Filter, viewer: &Viewer, read: &mut bool) -> Result<i64, sqlx::Error> {
        let key = (filter.clone(), viewer.sees_all);
        let kept = || self.counts.get(&key).filter(|kept| self.watched.stamps().page_holds(kept.0));
        if let Some(kept) = kept() {
            return Ok(kept.1);
        }
        *read = true;
        let _reading = self.reading(&key).await;
        if let Some(kept) = kept() {
            return Ok(kept.1);
        }
        let stamp = self.watched.stamps().now();
        let total = list::count(&self.pool, viewer, filter).await?;
        self.counts.insert(key, Stamped(stamp, total));
        Ok(total)
    }

    async fn terms(&self, dealer: Dealer, read: &mut bool) -> Result<Stamped<Arc<Terms>>, sqlx::Error> {
        if let Some(kept) = self.terms.get(&dealer).filter(|kept| self.watched.stamps().dealer_holds(kept.0)) {
            return Ok(kept);
        }
        *read = true;
        let stamp = self.watched.stamps().now();
        let mut conn = self.pool.acquire().await?;
        let terms = Stamped(stamp, Arc::new(pricing::terms_of(&mut conn, dealer).await?));
        self.terms.insert(dealer, terms.clone());
        Ok(terms)
    }

    /// In the order of the ids. `None`: one of them is not there.
    async fn goods(&self, ids: &[i64], read: &mut bool) -> Result<Option<Vec<Arc<Goods>>>, sqlx::Error> {
        let stamps = self.watched.stamps();
        let mut goods: Vec<Option<Arc<Goods>>> = ids.iter().map(|id| self.listed.get(*id, stamps)).collect();
        let missing: Vec<i64> = ids.iter().zip(&goods).filter(|(_, kept)| kept.is_none()).map(|(id, _)| *id).collect();
        if !missing.is_empty() {
            *read = true;
            let mut found = self.listed.read(&missing, stamps).await?;
            for (id, place) in ids.iter().zip(&mut goods) {
                if place.is_none() {
                    *place = found.remove(id);
                }
            }
        }
        Ok(goods.into_iter().collect())
    }

    /// `id`: known already.
    async fn detail(
        &self,
        which: Which<'_>,
        id: Option<i64>,
        read: &mut bool,
    ) -> Result<Option<Arc<Goods>>, sqlx::Error> {
        let kept = id.and_then(|id| self.details.get(&id));
        if let Some(goods) = kept.filter(|goods| self.watched.stamps().product_holds(goods.id, goods.stamp)) {
            return Ok(Some(goods));
        }
        *read = true;
        let stamp = self.watched.stamps().now();
        let written = written::kept_whole(&self.pool, self.forms, which).await?;
        let goods = match written {
            Some((id, written, offers, in_stock)) => {
                Goods { id, stamp, written, in_stock, for_dealers: true, offers: Some(offers.into_boxed_slice()) }
            }
            None => match self.detail_of_tables(which, stamp).await? {
                Some(goods) => goods,
                None => return Ok(None),
            },
        };
        let (id, goods) = (goods.id, Arc::new(goods));
        self.details.insert(id, Arc::clone(&goods));
        if let Which::Sku(sku) = which {
            self.skus.insert(sku.to_owned(), Stamped(stamp, id));
        }
        Ok(Some(goods))
    }

    async fn detail_of_tables(&self, which: Which<'_>, stamp: u64) -> Result<Option<Goods>, sqlx::Error> {
        let Some(detail) = detail::core(&self.pool, which).await? else { return Ok(None) };
        let (id, in_stock, for_dealers) = (detail.id, detail.in_stock, detail.is_active && !detail.is_deleted);
        let mut conn = self.pool.acquire().await?;
        let mut offers = pricing::offers_of(&mut conn, &[id]).await?;
        drop(conn);
        let Some(written) = (self.forms.detail)(detail) else { return Ok(None) };
        let offers = offers.remove(&id).unwrap_or_else(|| Some(Vec::new())).map(Vec::into_boxed_slice);
        Ok(Some(Goods { id, stamp, written, in_stock, for_dealers, offers }))
    }
}
