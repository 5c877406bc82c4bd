//! The catalogue that is read, and who reads it.

use std::{error::Error, time::Duration};

use kopru::{
    audit::Actor,
    clock::Clock,
    commerce::catalogue::Turn,
    http::Catalogue,
    identity::{
        email::Email,
        people::{People, Visit},
        tokens::KeySource,
        users::{self, Locale, NewUser, UserState},
    },
    principal::Role,
};
use sqlx::{AssertSqlSafe, Executor};
use tokio::task::JoinHandle;

use super::{Options, hub::Site};

/// Products with a list and a dealer price and a stock level; dealers, each with a list of their own.
pub async fn fill(site: &Site, options: &Options) -> Result<(), Box<dyn Error>> {
    let Options { products, dealers, list_rows, .. } = *options;
    let text = format!(
        "insert into commerce.category (code, name, created_at, updated_at, created_by, updated_by)
         select 'G' || n, 'Grup ' || n, now(), now(), 'bench', 'bench' from generate_series(1, 200) n;
         insert into commerce.brand (code, name, created_at, updated_at, created_by, updated_by)
         select 'M' || n, 'Marka ' || n, now(), now(), 'bench', 'bench' from generate_series(1, 100) n;
         insert into commerce.warehouse (code, name, created_at, updated_at, created_by, updated_by)
         values ('0', 'Merkez', now(), now(), 'bench', 'bench') on conflict do nothing;
         insert into commerce.product (code, sku, name, slug, category_id, brand_id, unit, vat_rate, minimum_order_quantity,
                                       created_at, updated_at, created_by, updated_by)
         select 'P' || lpad(n::text, 7, '0'), 'S' || n,
                (array['Dome Kamera', 'Işıklı Siren', 'CAT6 Kablo', 'Güvenlik Paneli', 'Kayıt Cihazı'])[n % 5 + 1] || ' ' || n,
                'urun-' || n, n % 200 + 1, n % 100 + 1, 'ADET', 20, 1, now(), now(), 'bench', 'bench'
         from generate_series(1, {products}) n;
         insert into commerce.price (product_id, code, role, currency, amount, unit, created_at, updated_at, created_by, updated_by)
         select p.id, p.code || '|' || r, r, 'TRY', p.id % 1000 + 10, 'ADET', now(), now(), 'bench', 'bench'
         from commerce.product p, unnest(array['list', 'dealer']) r;
         insert into commerce.stock_level (product_id, warehouse_id, quantity, created_at, updated_at)
         select p.id, w.id, p.id % 50, now(), now() from commerce.product p, commerce.warehouse w where w.code = '0';
         insert into commerce.customer (code, title, is_approved, created_at, updated_at, created_by, updated_by)
         select '120.' || n, 'Bayi ' || n, true, now(), now(), 'bench', 'bench' from generate_series(1, {dealers}) n;
         insert into commerce.price_list (code, name, created_at, updated_at, created_by, updated_by)
         select '120.' || n, 'Liste ' || n, now(), now(), 'bench', 'bench' from generate_series(1, {dealers}) n;
         insert into commerce.customer_price_list (customer_id, price_list_id)
         select c.id, l.id from commerce.customer c join commerce.price_list l on l.code = c.code;
         insert into commerce.price (product_id, price_list_id, code, role, currency, amount, unit, created_at, updated_at,
                                     created_by, updated_by)
         select p.id, l.id, p.code || '|L' || l.id, 'price_list', 'TRY', p.id % 1000 + 5, 'ADET', now(), now(), 'bench', 'bench'
         from commerce.price_list l
         cross join lateral (select (l.id * 7919 + n * 13) % {products} + 1 as id from generate_series(1, {list_rows}) n) d
         join commerce.product p on p.id = d.id
         on conflict do nothing;"
    );
    site.pool.execute(AssertSqlSafe(text)).await?;
    settled(site).await
}

/// Everything that follows from what was filled in is done: nothing of it is measured.
async fn settled(site: &Site) -> Result<(), Box<dyn Error>> {
    let reader = Catalogue::plain(site.pool.clone()).reader;
    loop {
        match reader.bring_up_shelf().await? {
            Turn::Done { .. } => break,
            Turn::More { .. } => {}
            Turn::Elsewhere => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    site.pool.execute("vacuum analyze").await?;
    site.pool.execute("checkpoint").await?;
    Ok(())
}

/// Further products like those that are there, each with its prices and its stock.
pub async fn grow(site: &Site, from: i64, to: i64) -> Result<(), Box<dyn Error>> {
    let text = format!(
        "insert into commerce.product (code, sku, name, slug, category_id, brand_id, unit, vat_rate, minimum_order_quantity,
                                       created_at, updated_at, created_by, updated_by)
         select 'P' || lpad(n::text, 7, '0'), 'S' || n,
                (array['Dome Kamera', 'Işıklı Siren', 'CAT6 Kablo', 'Güvenlik Paneli', 'Kayıt Cihazı'])[n % 5 + 1] || ' ' || n,
                'urun-' || n, n % 200 + 1, n % 100 + 1, 'ADET', 20, 1, now(), now(), 'bench', 'bench'
         from generate_series({from} + 1, {to}) n;
         insert into commerce.price (product_id, code, role, currency, amount, unit, created_at, updated_at, created_by, updated_by)
         select p.id, p.code || '|' || r, r, 'TRY', p.id % 1000 + 10, 'ADET', now(), now(), 'bench', 'bench'
         from commerce.product p, unnest(array['list', 'dealer']) r where p.id > {from};
         insert into commerce.stock_level (product_id, warehouse_id, quantity, created_at, updated_at)
         select p.id, w.id, p.id % 50, now(), now()
         from commerce.product p, commerce.warehouse w where w.code = '0' and p.id > {from};"
    );
    site.pool.execute(AssertSqlSafe(text)).await?;
    settled(site).await
}

/// An access token of one user of each dealer.
pub async fn tokens(site: &Site, dealers: i64) -> Result<Vec<String>, Box<dyn Error>> {
    let clock = Clock::system();
    let keys = KeySource::OwnFile(site.dir.join("data/signing-key.pem"));
    let people = People::new(site.pool.clone(), clock.clone(), keys, None);
    let by = Actor::new("cli:bench", "bench");
    let mut tokens = Vec::new();
    for dealer in 1..=dealers {
        let company: i64 = sqlx::query_scalar("select id from commerce.customer where code = $1")
            .bind(format!("120.{dealer}"))
            .fetch_one(&site.pool)
            .await?;
        let new = NewUser {
            email: Email::parse(&format!("bayi{dealer}@example.com")).ok_or("no address")?,
            full_name: format!("Bayi {dealer}"),
            phone: None,
            role: Role::DealerOwner,
            company_id: Some(company),
            locale: Locale::Tr,
            state: UserState::Active,
            password_hash: Some("none".to_owned()),
        };
        let mut tx = kopru::transaction::begin(&site.pool).await?;
        let user = users::create(&mut tx, by, &new, clock.now()).await?;
        tx.commit().await?;
        let visit = Visit { address: [127, 0, 0, 1].into(), agent: None, correlation_id: "bench".to_owned() };
        tokens.push(people.open_session(user.id, &visit).await?.access);
    }
    Ok(tokens)
}

/// Writes prices, one after the other, as often as a hundredth of some thousand reads a second.
pub fn writer(site: &Site, products: i64) -> Result<JoinHandle<()>, Box<dyn Error>> {
    let pool = site.pool.clone();
    Ok(tokio::spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_millis(15));
        let mut product = 1;
        loop {
            ticks.tick().await;
            product = (product * 7919 + 13) % products.max(1) + 1;
            let done = sqlx::query(
                "update commerce.price set amount = amount + 1, revision = revision + 1 where product_id = $1 and role = 'dealer'
                   and customer_id is null and price_list_id is null",
            )
            .bind(product)
            .execute(&pool)
            .await;
            if let Err(error) = done {
                eprintln!("a price was not written: {error}");
            }
        }
    }))
}
