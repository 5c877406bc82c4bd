-- The products that were asked for, by id or by SKU; a code that is nobody's SKU may be a product's own. Beside each what
-- there is of it now, in warehouses that are in use. The lists stand behind a select, where the planner does not see their
-- length: else it would plan short ones anew each time, which costs three times what is read.
select i.place as "place!", p.id, p.code, p.sku, p.name, p.is_active and p.deleted_at is null as "is_active!",
    p.track_stock, p.vat_rate, p.minimum_order_quantity, p.order_multiple, p.unit,
    u.units as "units: Vec<String>", u.numerators as "numerators: Vec<Decimal>",
    u.denominators as "denominators: Vec<Decimal>", u.decimals as "decimals: Vec<i16>", u.mains as "mains: Vec<bool>",
    s.levels as "levels: Vec<i64>", s.warehouses as "warehouses: Vec<String>", s.available as "available: Vec<Decimal>"
from unnest((select $1::bigint[]), (select $2::text[])) with ordinality as i (product_id, sku, place)
join commerce.product p on p.id = coalesce(
    i.product_id,
    (select q.id from commerce.product q where q.sku = i.sku),
    (select q.id from commerce.product q where q.code = i.sku))
left join lateral (
    select array_agg(e.unit order by e.position) as units, array_agg(e.numerator order by e.position) as numerators,
        array_agg(e.denominator order by e.position) as denominators,
        array_agg(e.decimals order by e.position) as decimals, array_agg(e.is_main order by e.position) as mains
    from commerce.effective_product_unit e
    where e.product_id = p.id
) u on true
left join lateral (
    select array_agg(s.id) as levels, array_agg(w.code) as warehouses, array_agg(s.available) as available
    from commerce.stock_level s
    join commerce.warehouse w on w.id = s.warehouse_id
    where s.product_id = p.id and w.is_active and w.deleted_at is null
) s on true
