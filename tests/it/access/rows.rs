//! What a dealer's transaction sees when a query forgot its condition: its own company's rows.
//!
//! Read off the catalogue of the database: a table that holds or leads to a customer and has no policy fails, and so does
//! one that this test has no rows of.

use std::collections::BTreeMap;

use kopru::{
    database::{confine, read_within},
    principal::{Principal, Role, Scope},
};
use sqlx::{AssertSqlSafe, PgPool};

use crate::support::{
    database::TestDatabase,
    dealers::{customer, delivered, noon, order, product, warehouse},
};

/// Tables that lead to a customer and are nobody's to read within a company: what may be read of them is a parameter of
/// one query of the catalogue, which runs as the house.
const READ_BY_THE_HOUSE_ALONE: [&str; 2] = ["commerce.customer_price_list", "commerce.price"];

struct Table {
    name: String,
    is_readable: bool,
    has_policy: bool,
}

async fn tables(pool: &PgPool) -> Vec<Table> {
    let rows: Vec<(String, bool, bool)> = sqlx::query_as(
        "select n.nspname || '.' || c.relname, has_table_privilege('kopru_dealer', c.oid, 'select')
                 and has_schema_privilege('kopru_dealer', n.oid, 'usage'),
             c.relkind = 'v' and coalesce(c.reloptions, '{}') @> '{security_invoker=true}' or c.relrowsecurity and exists (
                 select from pg_policy p
                 where p.polrelid = c.oid and (select oid from pg_roles where rolname = 'kopru_dealer') = any (p.polroles))
         from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where n.nspname in ('commerce', 'identity', 'hub') and c.relkind in ('r', 'p', 'v', 'm') and not c.relispartition
         order by 1",
    )
    .fetch_all(pool)
    .await
    .expect("tables");
    rows.into_iter().map(|(name, is_readable, has_policy)| Table { name, is_readable, has_policy }).collect()
}

/// How each table of the shop leads to a customer: an expression over its row `t`.
async fn owners(pool: &PgPool) -> BTreeMap<String, String> {
    let columns: Vec<(String, String)> = sqlx::query_as(
        "select table_schema || '.' || table_name, column_name::text from information_schema.columns
         where table_schema in ('commerce', 'identity', 'hub') and column_name in ('customer_id', 'company_id')",
    )
    .fetch_all(pool)
    .await
    .expect("columns");
    let keys: Vec<(String, String, String, String)> = sqlx::query_as(
        "select c.conrelid::regclass::text, a.attname::text, c.confrelid::regclass::text, f.attname::text
         from pg_constraint c
         join pg_attribute a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]
         join pg_attribute f on f.attrelid = c.confrelid and f.attnum = c.confkey[1]
         where c.contype = 'f' and cardinality(c.conkey) = 1
         order by 1, a.attnum",
    )
    .fetch_all(pool)
    .await
    .expect("keys");
    // `{}` stands for the row.
    let mut owners = BTreeMap::from([("commerce.customer".to_owned(), "{}.id".to_owned())]);
    owners.extend(columns.into_iter().map(|(table, column)| (table, format!("{{}}.{column}"))));
    loop {
        let before = owners.len();
        for (table, column, target, key) in &keys {
            // A price says who it is for, not who ordered at it.
            if owners.contains_key(table) || READ_BY_THE_HOUSE_ALONE.contains(&target.as_str()) {
                continue;
            }
            if let Some(owner) = owners.get(target) {
                let row = format!("r{}", owners.len());
                let owner = owner.replace("{}", &row);
                let path = format!("(select {owner} from {target} {row} where {row}.{key} = {{}}.{column})");
                owners.insert(table.clone(), path);
            }
        }
        if owners.len() == before {
            return owners.into_iter().map(|(table, owner)| (table, owner.replace("{}", "t"))).collect();
        }
    }
}

/// Something of everything, for one dealer.
pub(super) async fn belongings(pool: &PgPool, name: &str, goods: i64, store: i64) -> i64 {
    let dealer = customer(pool, name, Some(100)).await;
    let (order, line) = order(pool, dealer, goods, 5, "delivered").await;
    delivered(pool, line, 5).await;
    let level: i64 = sqlx::query_scalar(
        "insert into commerce.stock_level (product_id, warehouse_id, quantity, created_at, updated_at)
         values ($1, $2, 10, $3, $3) on conflict (product_id, warehouse_id) do update set quantity = 10 returning id",
    )
    .bind(goods)
    .bind(store)
    .bind(noon())
    .fetch_one(pool)
    .await
    .expect("a level");
    let sql = format!(
        "insert into commerce.customer_address (customer_id, position, is_default, code) values ({dealer}, 1, true, 'X');
         insert into commerce.sales_order_discount (line_id, position, rate, amount, kind) values ({line}, 1, 5, 1, 'customer');
         insert into commerce.sales_order_history (order_id, revision, at, action, state, actor, correlation_id)
             values ({order}, 1, now(), 'created', 'confirmed', 'user:1', 'test');
         insert into commerce.stock_reservation (order_id, line_id, stock_level_id, created_at, quantity, open)
             values ({order}, {line}, {level}, now(), 5, 5);
         insert into commerce.cart (user_id, customer_id, revision, created_at, updated_at, expires_at)
             values ({dealer}, {dealer}, 1, now(), now(), now());
         insert into commerce.cart_item (user_id, product_id, added_at, updated_at, quantity)
             values ({dealer}, {goods}, now(), now(), 1);
         insert into commerce.ledger_entry (customer_id, order_id, created_at, updated_at, booked_at, is_provisional, debit,
                 credit, currency, kind, origin, external_id, created_by, updated_by)
             values ({dealer}, {order}, now(), now(), '2026-03-01', false, 10, 0, 'TRY', 'invoice', 'logo', '{name}', 'x', 'x');
         insert into commerce.invoice (id, customer_id, order_id, created_at, updated_at, issued_on, subtotal, discount, tax,
                 total, currency, kind, status, number, origin, external_id, created_by, updated_by)
             values ({dealer}, {dealer}, {order}, now(), now(), '2026-03-01', 10, 0, 2, 12, 'TRY', 'sale', 'issued', '{name}',
                 'logo', '{name}', 'x', 'x');
         insert into commerce.invoice_line (invoice_id, order_line_id, position, quantity, numerator, denominator,
                 unit_price, amount, discount, vat_rate, vat, description)
             values ({dealer}, {line}, 1, 1, 1, 1, 10, 10, 0, 20, 2, 'x');
         insert into commerce.invoice_payment (invoice_id, position, due_date, amount) values ({dealer}, 1, '2026-04-01', 12);
         insert into commerce.order_line_reference (line_id, origin, external_id) values ({line}, 'logo', '{line}');
         insert into commerce.order_difference (order_id, noted_at, field, origin, ours, theirs)
             values ({order}, now(), 'total', 'logo', '1', '2');
         insert into commerce.return_request (id, customer_id, order_id, created_at, updated_at, number, state, reason,
                 created_by, updated_by)
             values ({dealer}, {dealer}, {order}, now(), now(), 'RMA{dealer:04}', 'requested', 'other', 'x', 'x');
         insert into commerce.return_line (return_id, order_line_id, position, quantity) values ({dealer}, {line}, 1, 1);
         insert into commerce.return_history (return_id, revision, at, state, actor, correlation_id)
             values ({dealer}, 1, now(), 'requested', 'user:1', 'test');
         -- Ids that were given by hand are not given again.
         select setval('commerce.invoice_id_seq', 100000), setval('commerce.return_request_id_seq', 100000);"
    );
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(pool).await.expect("belongings");
    dealer
}

#[tokio::test]
async fn every_table_that_leads_to_a_customer_is_behind_a_policy() {
    let database = TestDatabase::new().await;
    let (tables, owners) = (tables(&database.pool).await, owners(&database.pool).await);
    assert!(owners.len() > 15, "{owners:?}");
    let mut found = Vec::new();
    for table in &tables {
        let leads = owners.contains_key(&table.name);
        if table.is_readable && leads && !table.has_policy {
            found.push(format!("{}: dealers may read it, and no policy holds them to their own rows", table.name));
        }
        let excused = READ_BY_THE_HOUSE_ALONE.contains(&table.name.as_str()) || !table.name.starts_with("commerce.");
        if !table.is_readable && leads && !excused {
            found.push(format!(
                "{}: it leads to a customer; give kopru_dealer a policy and the right to read it",
                table.name
            ));
        }
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[tokio::test]
async fn a_query_that_forgot_its_condition_sees_one_company() {
    let database = TestDatabase::new().await;
    let pool = &database.pool;
    let (goods, store) = (product(pool, "P").await, warehouse(pool, "M").await);
    let own = belongings(pool, "A", goods, store).await;
    let other = belongings(pool, "B", goods, store).await;
    let owners = owners(pool).await;
    let nobody = Principal::user(1, Role::DealerOwner, None).scope();
    for table in tables(pool).await.iter().filter(|table| table.has_policy) {
        let owner = owners.get(&table.name).unwrap_or_else(|| panic!("{}: leads to no customer", table.name));
        let counted = format!(
            "select count(*) filter (where {owner} = $1), count(*) filter (where {owner} is distinct from $1) from {} t",
            table.name
        );
        let as_house: (i64, i64) =
            sqlx::query_as(AssertSqlSafe(counted.clone())).bind(own).fetch_one(pool).await.expect("counted");
        assert!(as_house.0 > 0 && as_house.1 > 0, "{}: this test has no rows of it; add some above", table.name);
        for (scope, expected) in [(Scope::company(own), as_house.0), (Scope::company(other + 999), 0), (nobody, 0)] {
            let mut tx = read_within(pool, scope).await.expect("a transaction");
            let all: i64 = sqlx::query_scalar(AssertSqlSafe(format!("select count(*) from {}", table.name)))
                .fetch_one(&mut *tx)
                .await
                .expect("counted");
            assert_eq!(all, expected, "{} as {scope:?}", table.name);
        }
        let mut tx = read_within(pool, Scope::company(own)).await.expect("a transaction");
        let seen: (i64, i64) =
            sqlx::query_as(AssertSqlSafe(counted)).bind(own).fetch_one(&mut *tx).await.expect("counted");
        assert_eq!(seen, (as_house.0, 0), "{}", table.name);
        tx.rollback().await.expect("rolled back");
    }
}

#[tokio::test]
async fn a_companys_transaction_ends_with_it_and_writes_nothing() {
    let database = TestDatabase::new().await;
    let pool = &database.pool;
    let own = customer(pool, "A", None).await;
    customer(pool, "B", None).await;
    let mut conn = pool.acquire().await.expect("a connection");
    let count = "select count(*) from commerce.customer";
    for _ in 0..2 {
        // The same prepared statement on one connection, as the house, as a dealer, as the house.
        let all: i64 = sqlx::query_scalar(count).fetch_one(&mut *conn).await.expect("counted");
        assert_eq!(all, 2);
        let mut tx = sqlx::Connection::begin(&mut *conn).await.expect("begin");
        confine(&mut tx, Scope::company(own)).await.expect("confined");
        let seen: i64 = sqlx::query_scalar(count).fetch_one(&mut *tx).await.expect("counted");
        assert_eq!(seen, 1);
        tx.commit().await.expect("commit");
    }
    for statement in [
        "update commerce.customer set title = 'x'",
        "delete from commerce.ledger_entry",
        "select from identity.api_key",
    ] {
        let mut tx = read_within(pool, Scope::company(own)).await.expect("a transaction");
        let refused = sqlx::query(statement).execute(&mut *tx).await.expect_err("refused");
        assert_eq!(refused.as_database_error().and_then(|error| error.code()).as_deref(), Some("42501"), "{statement}");
    }
}
