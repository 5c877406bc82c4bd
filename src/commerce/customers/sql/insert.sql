insert into commerce.customer (
    id, payment_term_days, is_person, is_active, is_approved, tax_number_valid, code, title, tax_number, tax_office,
    contact, email, phone, mobile, price_tier, credit_limit, currency, payment_term_code, discount_rate,
    trading_group, created_at, updated_at, created_by, updated_by
)
select i.*, $1, $1, $2, $2
from unnest(
    $3::bigint[], $4::integer[], $5::boolean[], $6::boolean[], $7::boolean[], $8::boolean[], $9::text[], $10::text[],
    $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $17::text[], $18::numeric[],
    $19::text[], $20::text[], $21::numeric[], $22::text[]
) as i
