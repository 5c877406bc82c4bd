insert into commerce.ledger_entry (
    id, customer_id, order_id, booked_at, due_date, is_cancelled, debit, credit, currency, kind, external_id,
    reference, document_number, description, book, origin, is_provisional, created_at, updated_at, created_by, updated_by
)
select i.*, $2, false, $1, $1, $2, $2
from unnest(
    $3::bigint[], $4::bigint[], $5::bigint[], $6::date[], $7::date[], $8::boolean[], $9::numeric[], $10::numeric[],
    $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $17::text[]
) as i
