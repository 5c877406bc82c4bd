//! What is sold, and who changes its prices.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Executor, PgPool};
use tokio::task::JoinHandle;

use crate::{Failure, Options};

/// Products with prices and stock in groups; dealers, each with a price list of a tenth of the products, ten thousand at most.
pub async fn fill(pool: &PgPool, options: &Options) -> Result<(), Failure> {
    let Options { products, dealers, .. } = *options;
    let listed = (products / 10).clamp(1, 10_000);
    let text = format!(
        "insert into commerce.category (code, name, created_at, updated_at, created_by, updated_by)
         select 'G' || n, 'Grup ' || n, now(), now(), 'b', 'b' from generate_series(1, 200) n;
         insert into commerce.brand (code, name, created_at, updated_at, created_by, updated_by)
         select 'M' || n, 'Marka ' || n, now(), now(), 'b', 'b' from generate_series(1, 100) n;
         insert into commerce.warehouse (code, name, created_at, updated_at, created_by, updated_by)
         values ('0', 'Merkez', now(), now(), 'b', 'b') on conflict do nothing;
         insert into commerce.product (code, sku, name, slug, category_id, brand_id, unit, vat_rate, created_at, updated_at,
             created_by, updated_by)
         select 'P' || lpad(n::text, 7, '0'), 'S' || n,
                (array['Dome Kamera', 'Işıklı Siren', 'CAT6 Kablo', 'Güvenlik Paneli', 'Kayıt Cihazı'])[n % 5 + 1] || ' ' || n,
                'p' || n, n % 200 + 1, n % 100 + 1, 'ADET', 20, now(), now(), 'b', 'b'
         from generate_series(1, {products}) n;
         insert into commerce.price (product_id, code, role, currency, amount, created_at, updated_at, created_by, updated_by)
         select p.id, p.code || '|' || r, r, 'TRY', p.id * 7919 % 100000 / 10.0 + 10, now(), now(), 'b', 'b'
         from commerce.product p, unnest(array['list', 'dealer']) r;
         insert into commerce.stock_level (product_id, warehouse_id, quantity, created_at, updated_at)
         select p.id, w.id, 1000000, now(), now() from commerce.product p, commerce.warehouse w where w.code = '0';
         insert into commerce.customer (code, title, is_approved, created_at, updated_at, created_by, updated_by)
         select '120.' || n, 'Bayi ' || n, true, now(), now(), 'b', 'b' from generate_series(1, {dealers}) n;
         insert into commerce.price_list (code, name, created_at, updated_at, created_by, updated_by)
         select '120.' || n, 'Liste ' || n, now(), now(), 'b', 'b' from generate_series(1, {dealers}) n;
         insert into commerce.customer_price_list (customer_id, price_list_id)
         select c.id, l.id from commerce.customer c join commerce.price_list l on l.code = c.code;
         insert into commerce.price (product_id, price_list_id, code, role, currency, amount, created_at, updated_at, created_by,
             updated_by)
         select p.id, l.id, p.code || '|L' || l.id, 'price_list', 'TRY', p.id * 7919 % 100000 / 10.0 + 5, now(), now(), 'b', 'b'
         from commerce.price_list l
         cross join lateral (select distinct (l.id * 7919 + n * 13) % {products} + 1 as id
                             from generate_series(1, {listed}) n) d
         join commerce.product p on p.id = d.id;"
    );
    pool.execute(AssertSqlSafe(text)).await?;
    pool.execute("vacuum analyze").await?;
    pool.execute("checkpoint").await?;
    Ok(())
}

/// Changes ten prices a second until it is ended.
pub fn writer(pool: PgPool, products: i64) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_millis(100));
        let mut product = 1;
        loop {
            ticks.tick().await;
            product = (product * 7919 + 13) % products.max(1) + 1;
            let done = sqlx::query(
                "update commerce.price set amount = amount + 0.01, revision = revision + 1
                 where product_id = $1 and role = 'dealer' and customer_id is null and price_list_id is null",
            )
            .bind(product)
            .execute(&pool)
            .await;
            if let Err(error) = done {
                eprintln!("a price was not written: {error}");
            }
        }
    })
}
