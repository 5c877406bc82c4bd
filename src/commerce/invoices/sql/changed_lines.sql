-- The invoices of $1 whose lines differ from the carried ones.
with carried as (
    select *
    from unnest(
        $2::bigint[], $3::smallint[], $4::bigint[], $5::bigint[], $6::numeric[], $7::numeric[], $8::numeric[],
        $9::numeric[], $10::numeric[], $11::numeric[], $12::numeric[], $13::numeric[], $14::text[], $15::text[],
        $16::text[], $17::text[]
    ) as c (
        invoice_id, position, order_line_id, product_id, quantity, numerator, denominator, unit_price, amount, discount,
        vat_rate, vat, unit, code, description, order_reference
    )
), stored as (
    select * from commerce.invoice_line where invoice_id = any ($1)
)
select distinct coalesce(c.invoice_id, s.invoice_id) as "id!"
from carried c
full join stored s on s.invoice_id = c.invoice_id and s.position = c.position
where (c.position, c.order_line_id, c.product_id, c.quantity, c.numerator, c.denominator, c.unit_price, c.amount,
        c.discount, c.vat_rate, c.vat, c.unit, c.code, c.description, c.order_reference)
    is distinct from (s.position, s.order_line_id, s.product_id, s.quantity, s.numerator, s.denominator, s.unit_price,
        s.amount, s.discount, s.vat_rate, s.vat, s.unit, s.code, s.description, s.order_reference)
