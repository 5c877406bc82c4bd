//! Pages that meet.

use std::collections::HashMap;

use kopru::commerce::{
    Outcome, Patch, UnitLine,
    products::{ProductUpsert, upsert_products},
};

use super::{Shop, change, context, ids, product};

const ROUNDS: i64 = 12;

/// Four writers take the same page in different orders; each change is told once, in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_page_from_all_sides_does_not_deadlock() {
    let mut shop = Shop::open().await;
    let codes: Vec<String> = (0..150).map(|n| format!("P{n:03}")).collect();
    let codes: Vec<&str> = codes.iter().map(String::as_str).collect();
    let ids = shop.stocked_with(&codes).await;

    let mut writers = Vec::new();
    for writer in 0..4_i64 {
        let pool = shop.database.pool.clone();
        let mut page: Vec<(i64, String)> =
            ids.iter().copied().zip(codes.iter().map(|code| (*code).to_owned())).collect();
        match writer {
            1 => page.reverse(),
            2 => page.rotate_left(70),
            _ => {}
        }
        writers.push(tokio::spawn(async move {
            let mut updated = 0;
            for round in 0..ROUNDS {
                let name = format!("Kamera {writer}/{round}");
                let rows: Vec<ProductUpsert<'_>> = page
                    .iter()
                    .map(|(id, code)| ProductUpsert {
                        name: Patch::Set(&name),
                        units: if writer == 3 { Patch::Set(vec![unit(round)]) } else { Patch::Keep },
                        ..change(*id, code)
                    })
                    .collect();
                let mut tx = pool.begin().await.expect("begin");
                let outcomes = upsert_products(&mut tx, &context(round), &rows).await.expect("no deadlock");
                tx.commit().await.expect("commit");
                updated += outcomes.iter().filter(|outcome| **outcome == Outcome::Updated).count();
            }
            updated
        }));
    }
    let mut updated = 0;
    for writer in writers {
        updated += writer.await.expect("no panic");
    }
    assert_eq!(updated, 4 * ROUNDS as usize * 150, "every round wrote another name");

    let mut revisions: HashMap<i64, Vec<i64>> = HashMap::new();
    for event in shop.events().await {
        revisions.entry(event.aggregate_id).or_default().push(event.revision);
    }
    for id in ids {
        let mut told = revisions.remove(&id).expect("events");
        told.sort_unstable();
        assert_eq!(told, (1..=4 * ROUNDS + 1).collect::<Vec<_>>());
        assert_eq!(shop.row("product", id).await["revision"], serde_json::json!(4 * ROUNDS + 1));
    }
}

fn unit(round: i64) -> UnitLine<'static> {
    UnitLine { unit: if round % 2 == 0 { "ADET" } else { "PARCA" }, ..UnitLine::default() }
}

/// Both found the codes free; the second is told to try again, and then finds them taken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_that_create_the_same_codes() {
    let shop = Shop::open().await;
    let mut conn = shop.conn().await;
    let (mine, theirs) = (ids(&mut conn, 2).await, ids(&mut conn, 2).await);
    let page = |ids: &[i64]| [product(ids[0], "A"), product(ids[1], "B")];
    let mut first = shop.database.pool.begin().await.expect("begin");
    let outcomes = upsert_products(&mut first, &context(1), &page(&mine)).await.expect("applied");
    assert_eq!(outcomes, [Outcome::Created, Outcome::Created]);

    let pool = shop.database.pool.clone();
    let rows = theirs.clone();
    let second = tokio::spawn(async move {
        let mut tx = pool.begin().await.expect("begin");
        upsert_products(&mut tx, &context(2), &[product(rows[0], "A"), product(rows[1], "B")]).await
    });
    wait_for_a_blocked_backend(&mut conn).await;
    first.commit().await.expect("commit");
    let error = second.await.expect("no panic").expect_err("the codes went to another");
    assert!(error.retry_at_once(), "{error:?}");
    assert_eq!(error.violation().expect("a rule").rule, "unique");

    let outcomes = upsert_products(&mut conn, &context(3), &page(&theirs)).await.expect("applied");
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Refused(violation) if violation.field == "code")));
}

async fn wait_for_a_blocked_backend(conn: &mut sqlx::PgConnection) {
    loop {
        let blocked: bool = sqlx::query_scalar(
            "select exists (select from pg_stat_activity
                where datname = current_database() and cardinality(pg_blocking_pids(pid)) > 0)",
        )
        .fetch_one(&mut *conn)
        .await
        .expect("asked");
        if blocked {
            return;
        }
        tokio::task::yield_now().await;
    }
}
