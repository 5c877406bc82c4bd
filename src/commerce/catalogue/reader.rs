//! The one door to the catalogue for whoever shows it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use chrono::NaiveDate;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::{
    Viewer,
    detail::{self, Detail, Which},
    filter::{self, Filter, References, Sort},
    kept::{Forms, Kept, Shown},
    list::{self, Listed},
    shelf::{self, Turn},
    tree::{self, Brand, Category},
    written::{self, Dealers, Line},
};
use crate::{
    commerce::{
        pricing::{self, Ask, Dealer, Explanation, Priced},
        products::{self, Override},
    },
    page::{BadPage, Page, PageRequest},
};

/// Reads the catalogue. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Reader {
    pool: PgPool,
    allow_zero_price: bool,
    forms: Forms,
    kept: Option<Kept>,
    dealers: Dealers,
    /// Whether anybody has read a list or a product.
    asked: Arc<AtomicBool>,
}

impl Reader {
    /// `forms`: in which products are written down.
    pub fn new(pool: PgPool, allow_zero_price: bool, forms: Forms) -> Reader {
        Reader { pool, allow_zero_price, forms, kept: None, dealers: Dealers::default(), asked: Arc::default() }
    }

    /// Reads what programs read, who write no pages.
    pub fn of_tables(pool: PgPool, allow_zero_price: bool) -> Reader {
        Reader::new(pool, allow_zero_price, Forms::NONE)
    }

    /// Keeps parts of the catalogue in the process, up to so many bytes; 0: nothing.
    pub fn keeping(self, bytes: u64) -> Reader {
        let kept = (bytes > 0).then(|| Kept::holding(self.pool.clone(), bytes, self.forms));
        Reader { kept, ..self }
    }

    /// Keeps the shelf and what is written down of products up to date until the end, from when this reader or another one on
    /// the database has been asked for the first time.
    pub async fn keep_shelf(self, until: CancellationToken) {
        shelf::run(self.pool, self.forms, self.asked, until).await;
    }

    /// Somebody reads: see [`Reader::keep_shelf`].
    fn note_asked(&self) {
        self.asked.store(true, Ordering::Relaxed);
    }

    /// Takes over what has changed since they were last brought up, or a part of it.
    pub async fn bring_up_shelf(&self) -> Result<Turn, sqlx::Error> {
        shelf::turn(&self.pool, self.forms).await
    }

    /// What was changed by this process a moment ago is shown from now on.
    pub async fn catch_up(&self) {
        if let Some(kept) = &self.kept {
            kept.catch_up().await;
        }
    }

    /// A page of what is kept; `None`: read it with [`Reader::list`].
    pub async fn kept_list(
        &self,
        viewer: &Viewer,
        filter: &Filter,
        sort: Sort,
        page: &PageRequest,
        count: bool,
    ) -> Result<Option<Result<Shown, BadPage>>, sqlx::Error> {
        self.note_asked();
        match &self.kept {
            Some(kept) => kept.list(viewer, filter, sort, page, count).await,
            None => Ok(None),
        }
    }

    /// A product of what is kept; `None`: read it with [`Reader::product`].
    pub async fn kept_product(&self, viewer: &Viewer, which: Which<'_>) -> Result<Option<Shown>, sqlx::Error> {
        self.note_asked();
        match &self.kept {
            Some(kept) => kept.product(viewer, which).await,
            None => Ok(None),
        }
    }

    /// A page of what is written down in the store; `None`: read it with [`Reader::list`].
    pub async fn written_list(
        &self,
        viewer: &Viewer,
        filter: &Filter,
        sort: Sort,
        page: &PageRequest,
    ) -> Result<Option<Result<Page<Line>, BadPage>>, sqlx::Error> {
        written::page(&self.pool, self.forms, &self.dealers, viewer, filter, sort, page).await
    }

    /// A product of what is written down in the store; `None`: read it with [`Reader::product`].
    pub async fn written_product(&self, viewer: &Viewer, which: Which<'_>) -> Result<Option<Line>, sqlx::Error> {
        written::line(&self.pool, self.forms, &self.dealers, viewer, which).await
    }

    /// Who asks for the prices of this customer; of none, for what holds for everybody.
    pub fn dealer(&self, customer_id: Option<i64>) -> Dealer {
        Dealer { customer_id, allow_zero_price: self.allow_zero_price }
    }

    pub async fn has_customer(&self, id: i64) -> Result<bool, sqlx::Error> {
        if let Some(kept) = &self.kept
            && let Some(found) = kept.has_customer(id).await?
        {
            return Ok(found);
        }
        let found = sqlx::query_scalar!("select id from commerce.customer where id = $1 and deleted_at is null", id);
        Ok(found.fetch_optional(&self.pool).await?.is_some())
    }

    pub async fn references(&self, category: Option<&str>, brand: Option<&str>) -> Result<References, sqlx::Error> {
        if category.is_none() && brand.is_none() {
            return Ok(References::default());
        }
        if let Some(kept) = &self.kept {
            return kept.references(category, brand).await;
        }
        let mut conn = self.pool.acquire().await?;
        filter::find_references(&mut conn, category, brand).await
    }

    pub async fn list(
        &self,
        viewer: &Viewer,
        filter: &Filter,
        sort: Sort,
        page: &PageRequest,
    ) -> Result<Result<Page<Listed>, BadPage>, sqlx::Error> {
        self.note_asked();
        list::list(&self.pool, viewer, filter, sort, page).await
    }

    pub async fn count(&self, viewer: &Viewer, filter: &Filter) -> Result<i64, sqlx::Error> {
        list::count(&self.pool, viewer, filter).await
    }

    pub async fn product(&self, viewer: &Viewer, which: Which<'_>) -> Result<Option<Detail>, sqlx::Error> {
        self.note_asked();
        detail::product(&self.pool, viewer, which).await
    }

    /// What people hold against the product's source; `None`: there is no such product.
    pub async fn overrides(&self, id: i64) -> Result<Option<Vec<Override>>, sqlx::Error> {
        let mut conn = self.pool.acquire().await?;
        if products::code_of(&mut conn, id).await?.is_none() {
            return Ok(None);
        }
        products::overrides_of(&mut *conn, id).await.map(Some)
    }

    pub async fn price(&self, dealer: Dealer, day: NaiveDate, ask: &Ask) -> Result<Option<Priced>, sqlx::Error> {
        let priced = pricing::prices_for(&self.pool, dealer, day, std::slice::from_ref(ask)).await?;
        Ok(priced.into_iter().next().flatten())
    }

    pub async fn explain(&self, dealer: Dealer, day: NaiveDate, ask: &Ask) -> Result<Explanation, sqlx::Error> {
        pricing::explain(&self.pool, dealer, day, ask).await
    }

    pub async fn categories(&self) -> Result<Vec<Category>, sqlx::Error> {
        tree::categories(&self.pool).await
    }

    pub async fn brands(&self, page: &PageRequest) -> Result<Result<Page<Brand>, BadPage>, sqlx::Error> {
        tree::brands(&self.pool, page).await
    }
}
