with incoming as materialized (
    select *
    from unnest($3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::text[], $9::text[],
        $10::numeric[], $11::numeric[], $12::text[], $13::bigint[], $14::bytea[], $15::uuid[], $16::text[])
        as i (id, category_id, brand_id, code, name, slug, barcode, vat_rate, minimum, logicalref, stamp, hash,
            event_id, payload)
), product as (
    insert into commerce.product (id, category_id, brand_id, unit_set_id, code, sku, name, slug, unit, barcode,
        vat_rate, minimum_order_quantity, created_at, updated_at, created_by, updated_by)
    select id, category_id, brand_id, 1, code, code, name, slug, 'ADET', barcode, vat_rate, minimum, $1, $1, $2, $2
    from incoming
), link as (
    insert into hub.external_ref (connector, entity, external_code, external_id, internal_id, content_hash,
        version_kind, source_version, last_synced_at)
    select $2, 'product', code, logicalref, id, hash, 'logo.stamp', stamp, $1
    from incoming
    where $17
)
insert into hub.outbox_event (id, type, aggregate, aggregate_id, revision, origin, bulk, payload, correlation_id,
    created_at)
select event_id, 'product.updated', 'product', id, 1, $2, true, payload::jsonb, 'floor', $1
from incoming
