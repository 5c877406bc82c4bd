//! The books must balance, whatever happened before: nothing lost, nothing twice.

use serde_json::Value;

use super::installation::Installation;

/// Sentences that must find no row. Each names what it found.
const AUDIT: &[(&str, &str)] = &[
    (
        "a link leads nowhere, or a row has no link",
        "select concat_ws(' ', l.entity, l.external_code, l.internal_id, r.id) from
             (select entity, external_code, internal_id from hub.external_ref where entity not in ('warehouse', 'order', 'return')) l
         full join (select 'product' as entity, id from commerce.product union all select 'price', id from commerce.price
                    union all select 'stock', id from commerce.stock_level union all select 'customer', id from commerce.customer
                    union all select 'category', id from commerce.category union all select 'brand', id from commerce.brand
                    union all select 'unit_set', id from commerce.unit_set union all select 'invoice', id from commerce.invoice
                    union all select 'ledger', id from commerce.ledger_entry where not is_provisional) r
           on r.entity = l.entity and r.id = l.internal_id
         where l.internal_id is null or r.id is null",
    ),
    (
        "an aggregate's events are not exactly its revisions",
        "select concat_ws(' ', r.aggregate, r.id, 'revision', r.revision, 'events', e.events, e.first, e.last) from
             (select 'product' as aggregate, id, revision from commerce.product
              union all select 'price', id, revision from commerce.price) r
         left join (select aggregate, aggregate_id, count(*) as events, min(revision) as first, max(revision) as last
                    from hub.outbox_event group by aggregate, aggregate_id) e
           on e.aggregate = r.aggregate and e.aggregate_id = r.id
         where (e.events, e.first, e.last) is distinct from (r.revision, 1, r.revision)",
    ),
    (
        "the events of a stock level are not its opening and its movements",
        "select concat_ws(' ', e.aggregate_id, e.revision, m.stock_level_id, m.revision)
         from (select aggregate_id, revision from hub.outbox_event where aggregate = 'stock') e
         full join (select stock_level_id, revision from commerce.stock_movement
                    union all select id, 1 from commerce.stock_level) m
           on m.stock_level_id = e.aggregate_id and m.revision = e.revision
         where e.aggregate_id is null or m.stock_level_id is null",
    ),
    (
        "an event tells of no row",
        "select concat_ws(' ', e.aggregate, e.aggregate_id) from hub.outbox_event e
         where e.aggregate not in ('sync', 'order', 'return', 'invoice')
           and not exists (select from commerce.product p where e.aggregate = 'product' and p.id = e.aggregate_id)
           and not exists (select from commerce.price p where e.aggregate = 'price' and p.id = e.aggregate_id)
           and not exists (select from commerce.stock_level s where e.aggregate = 'stock' and s.id = e.aggregate_id)",
    ),
    (
        "the revisions of an entity are not the changes that are on record",
        "select concat_ws(' ', r.entity, 'revisions', r.revisions, 'changes', c.changes) from
             (select 'product' as entity, sum(revision) as revisions from commerce.product
              union all select 'price', sum(revision) from commerce.price
              union all select 'stock', sum(revision) from commerce.stock_level
              union all select 'customer', sum(revision) from commerce.customer) r
         join lateral (
             select (select count(*) from hub.message_item i join hub.message_history m on m.id = i.message_id
                     where m.entity = r.entity and i.outcome in ('created', 'updated'))
                  + (select count(*) from hub.message_history m
                     where m.entity = r.entity and m.kind = 'document' and m.state = 'done') as changes) c on true
         where coalesce(r.revisions, 0) <> c.changes",
    ),
    (
        "the counters of the runs are not the changes that are on record",
        "select concat_ws(' ', r.stream, 'runs', r.changes, 'items', i.changes) from
             (select connector, stream, sum(created + updated) as changes from hub.run where not dry_run
              group by connector, stream) r
         join lateral (
             select count(*) as changes from hub.message_item i join hub.message_history m on m.id = i.message_id
             where m.stream = r.stream and i.outcome in ('created', 'updated')) i on true
         where r.changes <> i.changes",
    ),
    (
        "a record was created twice",
        "select concat_ws(' ', m.entity, i.internal_id, count(*)) from hub.message_item i
         join hub.message_history m on m.id = i.message_id where i.outcome = 'created'
         group by m.entity, i.internal_id having count(*) > 1",
    ),
    (
        "a stock figure is not the sum of its movements",
        "select concat_ws(' ', s.id, s.quantity, m.quantity_after) from commerce.stock_level s
         join lateral (select quantity_after from commerce.stock_movement m where m.stock_level_id = s.id
                       order by revision desc limit 1) m on true
         where m.quantity_after <> s.quantity
         union all
         select concat_ws(' ', stock_level_id, revision) from
             (select *, lag(quantity_after) over (partition by stock_level_id order by revision) as before
              from commerce.stock_movement) m where before + delta <> quantity_after",
    ),
];

impl Installation {
    /// Checks everything that must hold at any moment.
    pub async fn audit(&self) {
        for (finding, sql) in AUDIT {
            let found = self.texts(*sql).await;
            assert!(found.is_empty(), "{finding} ({} times): {:?}", found.len(), &found[..found.len().min(5)]);
        }
    }

    /// Nothing waits and nothing was refused.
    pub async fn expect_nothing_open(&self) {
        let open = self.texts("select concat_ws(' ', entity, key, state, reason, detail) from hub.message").await;
        assert!(open.is_empty(), "open messages: {:?}", &open[..open.len().min(5)]);
        let letters =
            self.texts("select concat_ws(' ', entity, key, reason, field, value, detail) from hub.dead_letter");
        let letters = letters.await;
        assert!(letters.is_empty(), "dead letters: {:?}", &letters[..letters.len().min(5)]);
    }

    /// How many records of a stream are linked.
    pub async fn linked(&self, stream: &str) -> i64 {
        let entity = entity_of(stream);
        sqlx::query_scalar("select count(*) from hub.external_ref where connector = 'logo' and entity = $1")
            .bind(entity)
            .fetch_one(&self.database.pool)
            .await
            .expect("a count")
    }

    /// Everything that LOGO holds has arrived once, with the content that it has there, and the books balance. No
    /// daemon may be running.
    pub async fn expect_all_of(&self, streams: &[&str]) {
        self.expect_nothing_open().await;
        for stream in streams {
            let expected = self.sandbox.expected(stream).await;
            assert_eq!(self.linked(stream).await, expected, "links of {stream}: {}", self.picture().await);
            // A complete look at the other side that writes nothing finds nothing to write.
            let look = self.sync(stream, &["--full", "--dry-run"]);
            assert_eq!(
                (&look["created"], &look["updated"], &look["failed"], &look["unchanged"]),
                (&0.into(), &0.into(), &0.into(), &expected.into()),
                "{look}"
            );
        }
        self.audit().await;
    }

    /// Some cards, field by field, as LOGO itself shows them.
    pub async fn expect_like_logo(&self, count: i64) {
        let rows: Vec<(String, Value)> = sqlx::query_as(
            "select p.code, jsonb_build_object(
                 'NAME', p.name, 'GROUP_CODE', c.code, 'MARKCODE', b.code, 'UNITSET_CODE', u.code, 'EAN_BARCODE', p.barcode,
                 'RECORD_STATUS', case when p.is_active then 0 else 1 end, 'INTERNAL_REFERENCE', r.external_id::int,
                 'VAT', trim_scale(p.vat_rate))
             from commerce.product p
             join hub.external_ref r on r.entity = 'product' and r.internal_id = p.id and r.external_code = p.code
             left join commerce.category c on c.id = p.category_id left join commerce.brand b on b.id = p.brand_id
             left join commerce.unit_set u on u.id = p.unit_set_id
             order by md5(p.code) limit $1",
        )
        .bind(count)
        .fetch_all(&self.database.pool)
        .await
        .expect("products");
        assert_eq!(i64::try_from(rows.len()).expect("a count"), count);
        for (code, ours) in rows {
            let theirs = self.sandbox.state("items", &code).await;
            assert_eq!(theirs["CODE"], code.as_str());
            for (name, value) in ours.as_object().expect("an object").iter().filter(|(name, _)| *name != "VAT") {
                let theirs = theirs.get(name).unwrap_or(&Value::Null);
                assert_eq!(&tidy(theirs), value, "{name} of {code}");
            }
            let rate = theirs.get("SELVAT").unwrap_or(&theirs["VAT"]);
            assert_eq!(rate.as_f64(), ours["VAT"].as_f64(), "VAT of {code}");
        }
    }
}

/// A text as the mapping takes it: without blanks at its ends and doubled ones.
fn tidy(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::from(text.split_whitespace().collect::<Vec<_>>().join(" ")),
        other => other.clone(),
    }
}

pub fn entity_of(stream: &str) -> &'static str {
    match stream {
        "group_codes" => "category",
        "brands" => "brand",
        "unit_sets" => "unit_set",
        "customers" => "customer",
        "items" => "product",
        "prices" => "price",
        "stock" => "stock",
        other => panic!("no stream {other}"),
    }
}
