insert into commerce.invoice_line (
    invoice_id, position, order_line_id, product_id, quantity, numerator, denominator, unit_price, amount, discount,
    vat_rate, vat, unit, code, description, order_reference
)
select *
from unnest(
    $1::bigint[], $2::smallint[], $3::bigint[], $4::bigint[], $5::numeric[], $6::numeric[], $7::numeric[],
    $8::numeric[], $9::numeric[], $10::numeric[], $11::numeric[], $12::numeric[], $13::text[], $14::text[], $15::text[],
    $16::text[]
)
