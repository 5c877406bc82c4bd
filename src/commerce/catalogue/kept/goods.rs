//! Products as they are kept.

use std::{collections::HashMap, sync::Arc, time::Duration};

use moka::sync::Cache;
use rust_decimal::Decimal;
use sqlx::PgPool;

use super::stamps::Stamps;
use crate::commerce::{
    catalogue::{Detail, Level, Listed, list, written},
    pricing::{self, Offer},
};

/// A product as it is answered, but for its price and whether it is in stock, which stand between `head` and `tail`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    pub head: Box<[u8]>,
    /// For who may see it; follows `inStock`.
    pub stock: Box<[u8]>,
    pub tail: Box<[u8]>,
}

/// How products are written down.
#[derive(Debug, Clone, Copy)]
pub struct Forms {
    pub listed: fn(Listed) -> Option<Written>,
    pub detail: fn(Detail) -> Option<Written>,
    /// The stock of a listed product, for who may see it.
    pub stock: fn(Decimal) -> Box<[u8]>,
    /// The stock of a product's own page, for who may see it.
    pub levels: fn(Vec<Level>) -> Box<[u8]>,
    /// Their name: what is written down in another form is not shown.
    pub form: fn() -> &'static str,
}

impl Forms {
    /// Of who writes nothing down.
    pub(in super::super) const NONE: Forms = Forms {
        listed: |_| None,
        detail: |_| None,
        stock: |_| Box::default(),
        levels: |_| Box::default(),
        form: || "none",
    };
}

/// What is kept of a product.
#[derive(Debug)]
pub struct Goods {
    pub(super) id: i64,
    pub(super) stamp: u64,
    pub written: Written,
    pub in_stock: bool,
    pub(super) for_dealers: bool,
    /// `None`: too many to be kept.
    pub(super) offers: Option<Box<[Offer]>>,
}

impl Goods {
    pub(super) fn weight(&self) -> usize {
        let Written { head, stock, tail } = &self.written;
        let offers = self.offers.as_deref().map_or(0, size_of_val);
        head.len() + stock.len() + tail.len() + offers + size_of::<Goods>() + 128
    }
}

/// The products that lists show. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct KeptGoods {
    pool: PgPool,
    forms: Forms,
    bytes: u64,
    kept: Cache<i64, Arc<Goods>>,
}

/// How many products are read together by [`KeptGoods::fill`], and what comes between: whoever asks something goes before.
const TOGETHER: i64 = 500;
const BETWEEN: Duration = Duration::from_millis(20);

impl KeptGoods {
    pub fn holding(pool: PgPool, bytes: u64, forms: Forms) -> KeptGoods {
        let weight = |_: &i64, goods: &Arc<Goods>| u32::try_from(goods.weight()).unwrap_or(u32::MAX);
        KeptGoods { pool, forms, bytes, kept: Cache::builder().weigher(weight).max_capacity(bytes).build() }
    }

    pub fn get(&self, id: i64, stamps: &Stamps) -> Option<Arc<Goods>> {
        self.kept.get(&id).filter(|kept| stamps.product_holds(id, kept.stamp))
    }

    /// Reads products, and keeps them.
    pub async fn read(&self, ids: &[i64], stamps: &Stamps) -> Result<HashMap<i64, Arc<Goods>>, sqlx::Error> {
        let stamp = stamps.now();
        let mut conn = self.pool.acquire().await?;
        let mut goods = HashMap::with_capacity(ids.len());
        for one in written::kept(&mut conn, self.forms, ids).await? {
            let written::Kept { id, mut written, offers, for_dealers, stock } = one;
            written.stock = stock.map(self.forms.stock).unwrap_or_default();
            let in_stock = stock.is_none_or(|stock| stock > Decimal::ZERO);
            let offers = Some(offers.into_boxed_slice());
            let one = Arc::new(Goods { id, stamp, written, in_stock, for_dealers, offers });
            self.kept.insert(id, Arc::clone(&one));
            goods.insert(id, one);
        }
        let ids: Vec<i64> = ids.iter().copied().filter(|id| !goods.contains_key(id)).collect();
        if ids.is_empty() {
            return Ok(goods);
        }
        let cores = list::cores(&mut conn, &ids).await?;
        let mut offers = pricing::offers_of(&mut conn, &ids).await?;
        drop(conn);
        for (listed, for_dealers) in cores {
            let (id, in_stock) = (listed.id, listed.in_stock);
            let Some(written) = (self.forms.listed)(listed) else { continue };
            let offers = offers.remove(&id).unwrap_or_else(|| Some(Vec::new())).map(Vec::into_boxed_slice);
            let one = Arc::new(Goods { id, stamp, written, in_stock, for_dealers, offers });
            self.kept.insert(id, Arc::clone(&one));
            goods.insert(id, one);
        }
        Ok(goods)
    }

    /// Reads those again that are kept and were changed.
    pub async fn renew(&self, changed: &[i64], stamps: &Stamps) -> Result<(), sqlx::Error> {
        let is_outlived = |id: &i64| self.kept.contains_key(id) && self.get(*id, stamps).is_none();
        let mut ids: Vec<i64> = changed.iter().copied().filter(is_outlived).collect();
        ids.sort_unstable();
        ids.dedup();
        if !ids.is_empty() {
            self.read(&ids, stamps).await?;
        }
        Ok(())
    }

    /// Reads what dealers see, as long as there is room.
    pub async fn fill(&self, stamps: &Stamps) -> Result<(), sqlx::Error> {
        let mut last = i64::MIN;
        while self.kept.weighted_size() < self.bytes / 10 * 9 {
            let ids = list::seen_by_dealers(&self.pool, last, TOGETHER).await?;
            match ids.last() {
                Some(id) => last = *id,
                None => break,
            }
            let missing: Vec<i64> = ids.into_iter().filter(|id| self.get(*id, stamps).is_none()).collect();
            self.read(&missing, stamps).await?;
            self.kept.run_pending_tasks();
            tokio::time::sleep(BETWEEN).await;
        }
        Ok(())
    }
}
