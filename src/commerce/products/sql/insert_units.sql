insert into commerce.product_unit (
    product_id, position, decimals, is_main, unit, name, numerator, denominator, weight, barcode
)
select *
from unnest(
    $1::bigint[], $2::smallint[], $3::smallint[], $4::boolean[], $5::text[], $6::text[], $7::numeric[],
    $8::numeric[], $9::numeric[], $10::text[]
)
