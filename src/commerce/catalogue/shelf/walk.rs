//! Reading lists off the shelf.

use rust_decimal::Decimal;
use sqlx::{PgConnection, PgPool, Postgres, QueryBuilder};

use super::{
    super::{
        Viewer,
        filter::{Filter, Sort},
        list::{self, Key},
    },
    MOST_CHANGED, ODD,
};
use crate::{
    commerce::pricing::{self, Ask},
    transaction,
};

/// Products that a filter leaves are priced one by one up to so many; above, prices are walked in their order.
const FEW: i64 = 3_000;

/// Which products a page has, in its order; the transaction is the one to read them in.
pub(in super::super) struct Order {
    pub ids: Vec<i64>,
    pub tx: sqlx::Transaction<'static, Postgres>,
}

/// Whose prices, and what is not to be read off the shelf.
struct View<'a> {
    viewer: &'a Viewer,
    filter: &'a Filter,
    audiences: Vec<String>,
    currency: Option<String>,
    changed: Vec<i64>,
    /// Their prices, in the same places.
    prices: Vec<Option<Decimal>>,
}

/// The products of a page; `None`: the shelf cannot tell.
pub(in super::super) async fn order(
    db: &PgPool,
    viewer: &Viewer,
    filter: &Filter,
    sort: Sort,
    after: Option<&Key>,
    rows: i64,
) -> Result<Option<Order>, sqlx::Error> {
    let Some((mut tx, view)) = view(db, viewer, filter).await? else { return Ok(None) };
    let ids = match view.few(&mut tx).await? {
        true => view.by_product(&mut tx, sort, after, rows, None).await?,
        false if matches!(sort, Sort::Price | Sort::PriceDescending) => view.walk(&mut tx, sort, after, rows).await?,
        false => {
            let within = view.walk(&mut tx, Sort::Price, None, FEW + 1).await?;
            let within = (within.len() as i64 <= FEW).then_some(within);
            view.by_product(&mut tx, sort, after, rows, within.as_deref()).await?
        }
    };
    Ok(Some(Order { ids, tx }))
}

/// How many products lie between the filter's prices; `None`: the shelf cannot tell.
pub(in super::super) async fn count(db: &PgPool, viewer: &Viewer, filter: &Filter) -> Result<Option<i64>, sqlx::Error> {
    let Some((mut tx, view)) = view(db, viewer, filter).await? else { return Ok(None) };
    let mut statement = QueryBuilder::new("select count(*) from (");
    if view.few(&mut tx).await? {
        view.push_products(&mut statement, None);
        view.push_range(&mut statement, "p.amount");
    } else {
        view.push_walk(&mut statement, Sort::Price, None, None);
    }
    statement.push(") found");
    let found = statement.build_query_scalar().persistent(false).fetch_one(&mut *tx).await?;
    Ok(Some(found))
}

async fn view<'a>(
    db: &PgPool,
    viewer: &'a Viewer,
    filter: &'a Filter,
) -> Result<Option<(sqlx::Transaction<'static, Postgres>, View<'a>)>, sqlx::Error> {
    if viewer.dealer.allow_zero_price {
        return Ok(None);
    }
    let mut tx = transaction::begin_with(db, "begin isolation level repeatable read read only").await?;
    let state = sqlx::query!(
        r#"
        with recursive news as materialized (
            select c.ids from commerce.shelf_state s
            join commerce.catalogue_change c
                on c.xid >= pg_snapshot_xmin(s.snapshot::pg_snapshot)
               and not pg_visible_in_snapshot(c.xid, s.snapshot::pg_snapshot)
            where s.ready and c.of_prices and c.kind in ('goods', 'product')
        ), patterns (audience) as (
            (select audience from commerce.shelf where audience > 'p' and audience < 'q' order by audience limit 1)
            union all
            select (select s.audience from commerce.shelf s
                    where s.audience > patterns.audience and s.audience < 'q' order by s.audience limit 1)
            from patterns where patterns.audience is not null
        )
        select s.ready and not exists (select from news where ids is null) as "ready!",
               array(select unnest(ids) from news union select product_id from commerce.shelf where audience = $2
                     limit $1) as "changed!",
               array(select substr(audience, 2) from patterns where audience is not null limit 200) as "patterns!"
        from commerce.shelf_state s
        "#,
        MOST_CHANGED + 1,
        ODD,
    )
    .fetch_one(&mut *tx)
    .await?;
    if !state.ready || state.changed.len() as i64 > MOST_CHANGED || state.patterns.len() == 200 {
        return Ok(None);
    }
    let terms = pricing::terms_of(&mut tx, viewer.dealer).await?;
    let Some(audiences) = pricing::audiences_of(&terms, &state.patterns) else { return Ok(None) };
    let asks: Vec<Ask> =
        state.changed.iter().map(|id| Ask { product_id: *id, unit: None, quantity: Decimal::ONE }).collect();
    let priced = pricing::prices_for(&mut *tx, viewer.dealer, viewer.day, &asks).await?;
    let prices = priced.into_iter().map(|price| price.map(|price| price.amount)).collect();
    let view = View { viewer, filter, audiences, currency: terms.currency, changed: state.changed, prices };
    Ok(Some((tx, view)))
}

impl View<'_> {
    /// Whether category, brand and words leave so few products that they may be looked at one by one.
    async fn few(&self, conn: &mut PgConnection) -> Result<bool, sqlx::Error> {
        if !self.filter.narrows() {
            return Ok(false);
        }
        let mut statement = QueryBuilder::new("select count(*) from (select from commerce.product p");
        self.filter.push(&mut statement, self.viewer.sees_all);
        statement.push(format!(" limit {}) few", FEW + 1));
        let found: i64 = statement.build_query_scalar().persistent(false).fetch_one(conn).await?;
        Ok(found <= FEW)
    }

    /// Product by product: those that the filter leaves, in any order.
    async fn by_product(
        &self,
        conn: &mut PgConnection,
        sort: Sort,
        after: Option<&Key>,
        rows: i64,
        within: Option<&[i64]>,
    ) -> Result<Vec<i64>, sqlx::Error> {
        let mut statement = QueryBuilder::new("select p.id from (");
        self.push_products(&mut statement, within);
        self.push_range(&mut statement, "p.amount");
        statement.push(") p where true");
        if let Some(after) = after {
            list::push_after(&mut statement, sort, after);
        }
        list::push_order(&mut statement, sort);
        statement.push(format!(" limit {rows}"));
        statement.build_query_scalar().persistent(false).fetch_all(conn).await
    }

    /// In the order of prices: each audience's, those left out that a nearer one has a price of.
    async fn walk(
        &self,
        conn: &mut PgConnection,
        sort: Sort,
        after: Option<&Key>,
        rows: i64,
    ) -> Result<Vec<i64>, sqlx::Error> {
        let is_unpriced = after.is_some_and(|after| list::amount_of(after).is_none());
        let mut found: Vec<i64> = Vec::new();
        if !is_unpriced {
            let mut statement = QueryBuilder::new("select id from (");
            self.push_walk(&mut statement, sort, after, Some(rows));
            let order = if sort == Sort::Price { "net, id" } else { "net desc, id desc" };
            statement.push(format!(") walked order by {order} limit {rows}"));
            found = statement.build_query_scalar().persistent(false).fetch_all(&mut *conn).await?;
        }
        let missing = rows - found.len() as i64;
        if missing > 0 && !self.filter.needs_price() {
            found.extend(self.unpriced(conn, sort, after.filter(|_| is_unpriced), missing).await?);
        }
        Ok(found)
    }

    /// Products without a price stand behind all others.
    async fn unpriced(
        &self,
        conn: &mut PgConnection,
        sort: Sort,
        after: Option<&Key>,
        rows: i64,
    ) -> Result<Vec<i64>, sqlx::Error> {
        let (sign, order) = if sort == Sort::Price { (">", "") } else { ("<", "desc") };
        let mut statement = QueryBuilder::new("select id from (");
        for at in 0..self.audiences.len() {
            statement.push("(select p.id ");
            self.push_audience(&mut statement, at);
            statement.push(" and s.net is null");
            if let Some(after) = after {
                statement.push(format!(" and s.product_id {sign} ")).push_bind(list::id_of(after));
            }
            statement.push(format!(" order by s.product_id {order} limit {rows}) union all "));
        }
        statement.push("(select p.id from unnest(").push_bind(self.changed.clone());
        statement.push("::bigint[], ").push_bind(self.prices.clone());
        statement.push("::numeric[]) as changed (id, net) join commerce.product p on p.id = changed.id");
        self.filter.push(&mut statement, self.viewer.sees_all);
        statement.push(" and changed.net is null");
        if let Some(after) = after {
            statement.push(format!(" and p.id {sign} ")).push_bind(list::id_of(after));
        }
        statement.push(format!(")) unpriced order by id {order} limit {rows}"));
        statement.build_query_scalar().persistent(false).fetch_all(conn).await
    }

    /// `from … where …` of the products that have their price from this audience.
    fn push_audience(&self, statement: &mut QueryBuilder<Postgres>, at: usize) {
        statement.push("from commerce.shelf s join commerce.product p on p.id = s.product_id");
        self.filter.push(statement, self.viewer.sees_all);
        statement.push(" and s.audience = ").push_bind(self.audiences[at].clone());
        self.push_valid(statement, "s");
        if !self.changed.is_empty() {
            statement.push(" and s.product_id <> all(").push_bind(self.changed.clone()).push(")");
        }
        if at > 0 {
            statement.push(
                " and not exists (select from commerce.shelf n where n.product_id = s.product_id and n.audience = any(",
            );
            statement.push_bind(self.audiences[..at].to_vec()).push(")");
            self.push_days(statement, "n");
            statement.push(")");
        }
    }

    fn push_days(&self, statement: &mut QueryBuilder<Postgres>, row: &str) {
        statement.push(format!(" and {row}.since <= ")).push_bind(self.viewer.day);
        statement.push(format!(" and {row}.until > ")).push_bind(self.viewer.day);
    }

    fn push_valid(&self, statement: &mut QueryBuilder<Postgres>, row: &str) {
        self.push_days(statement, row);
        match &self.currency {
            Some(currency) => {
                statement.push(format!(" and ({row}.prefers = ")).push_bind(currency.clone());
                statement.push(format!(" or ({row}.prefers = '' and ({row}.but is null or "));
                statement.push_bind(currency.clone()).push(format!(" <> all({row}.but))))"));
            }
            None => {
                statement.push(format!(" and {row}.prefers = ''"));
            }
        }
    }

    fn push_range(&self, statement: &mut QueryBuilder<Postgres>, net: &str) {
        if let Some(least) = self.filter.min_price {
            statement.push(format!(" and {net} >= ")).push_bind(least);
        }
        if let Some(most) = self.filter.max_price {
            statement.push(format!(" and {net} <= ")).push_bind(most);
        }
    }

    /// `id` and `net` of what has a price, of each audience and of what has changed up to `rows`.
    fn push_walk(&self, statement: &mut QueryBuilder<Postgres>, sort: Sort, after: Option<&Key>, rows: Option<i64>) {
        let (sign, order) = if sort == Sort::Price { (">", "") } else { ("<", "desc") };
        let bounded = |statement: &mut QueryBuilder<Postgres>, net: &str, id: &str| {
            self.push_range(statement, net);
            if let Some((amount, after)) = after.and_then(|after| Some((list::amount_of(after)?, list::id_of(after)))) {
                statement.push(format!(" and ({net}, {id}) {sign} (")).push_bind(amount);
                statement.push(", ").push_bind(after).push(")");
            }
            if let Some(rows) = rows {
                statement.push(format!(" order by {net} {order}, {id} {order} limit {rows}"));
            }
        };
        for at in 0..self.audiences.len() {
            statement.push("(select s.product_id as id, s.net ");
            self.push_audience(statement, at);
            statement.push(" and s.net is not null");
            bounded(statement, "s.net", "s.product_id");
            statement.push(") union all ");
        }
        statement.push("(select p.id, changed.net from unnest(").push_bind(self.changed.clone());
        statement.push("::bigint[], ").push_bind(self.prices.clone());
        statement.push("::numeric[]) as changed (id, net) join commerce.product p on p.id = changed.id");
        self.filter.push(statement, self.viewer.sees_all);
        statement.push(" and changed.net is not null");
        bounded(statement, "changed.net", "p.id");
        statement.push(")");
    }

    /// The products that the filter leaves, with `amount`; open to further conditions on `p`.
    fn push_products(&self, statement: &mut QueryBuilder<Postgres>, within: Option<&[i64]>) {
        statement.push(
            "select * from (select p.id, p.code, p.name, case when changed.id is not null then changed.net else shown.net end as amount
             from commerce.product p left join unnest(",
        );
        statement.push_bind(self.changed.clone()).push("::bigint[], ").push_bind(self.prices.clone());
        statement.push(
            "::numeric[]) as changed (id, net) on changed.id = p.id
             left join lateral (select s.net from commerce.shelf s where s.product_id = p.id and s.audience = any(",
        );
        statement.push_bind(self.audiences.clone()).push(")");
        self.push_valid(statement, "s");
        statement.push(" order by array_position(").push_bind(self.audiences.clone());
        statement.push(", s.audience) limit 1) shown on changed.id is null");
        self.filter.push(statement, self.viewer.sees_all);
        if let Some(within) = within {
            statement.push(" and p.id = any(").push_bind(within.to_vec()).push(")");
        }
        statement.push(") p where true");
    }
}
