insert into commerce.invoice (
    id, customer_id, order_id, ettn, issued_on, due_date, subtotal, discount, tax, total, exchange_rate, currency, kind,
    status, profile, number, external_id, pdf_url, note, origin, created_at, updated_at, created_by, updated_by
)
select i.*, $2, $1, $1, $2, $2
from unnest(
    $3::bigint[], $4::bigint[], $5::bigint[], $6::uuid[], $7::date[], $8::date[], $9::numeric[], $10::numeric[],
    $11::numeric[], $12::numeric[], $13::numeric[], $14::text[], $15::text[], $16::text[], $17::text[], $18::text[],
    $19::text[], $20::text[], $21::text[]
) as i
