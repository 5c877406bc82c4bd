-- Written where something differs: the same text serves "every row changed" and "none changed, every statement run".
with incoming as materialized (
    select *
    from unnest($3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::text[], $9::text[],
        $10::numeric[], $11::numeric[], $12::text[], $13::bigint[], $14::bytea[], $15::uuid[], $16::text[])
        as i (id, category_id, brand_id, code, name, slug, barcode, vat_rate, minimum, logicalref, stamp, hash,
            event_id, payload)
), changed as (
    update commerce.product p
    set category_id = i.category_id, brand_id = i.brand_id, code = i.code, sku = i.code, name = i.name,
        barcode = i.barcode, vat_rate = i.vat_rate, minimum_order_quantity = i.minimum,
        revision = p.revision + 1, updated_at = $1, updated_by = $2
    from incoming i
    where p.id = i.id
        and (p.category_id, p.brand_id, p.code, p.sku, p.name, p.barcode, p.vat_rate, p.minimum_order_quantity)
            is distinct from
            (i.category_id, i.brand_id, i.code, i.code, i.name, i.barcode, i.vat_rate, i.minimum)
    returning p.id, p.revision
), link as (
    update hub.external_ref r
    set content_hash = i.hash, source_version = i.stamp, last_synced_at = $1
    from incoming i
    where $17 and r.connector = $2 and r.entity = 'product' and r.external_code = i.code
        and (r.content_hash, r.source_version) is distinct from (i.hash, i.stamp)
)
insert into hub.outbox_event (id, type, aggregate, aggregate_id, revision, origin, bulk, payload, correlation_id,
    created_at)
select i.event_id, 'product.updated', 'product', c.id, c.revision, $2, true, i.payload::jsonb, 'floor', $1
from changed c
join incoming i on i.id = c.id
