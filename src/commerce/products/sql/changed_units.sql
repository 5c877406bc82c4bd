-- The products of $1 whose stored units differ from the carried ones.
with carried as (
    select *
    from unnest(
        $2::bigint[], $3::smallint[], $4::smallint[], $5::boolean[], $6::text[], $7::text[], $8::numeric[],
        $9::numeric[], $10::numeric[], $11::text[]
    ) as c (product_id, position, decimals, is_main, unit, name, numerator, denominator, weight, barcode)
), stored as (
    select * from commerce.product_unit where product_id = any ($1)
)
select distinct coalesce(c.product_id, s.product_id) as "id!"
from carried c
full join stored s on s.product_id = c.product_id and s.unit = c.unit
where (c.position, c.decimals, c.is_main, c.unit, c.name, c.numerator, c.denominator, c.weight, c.barcode)
    is distinct from
    (s.position, s.decimals, s.is_main, s.unit, s.name, s.numerator, s.denominator, s.weight, s.barcode)
