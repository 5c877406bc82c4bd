insert into commerce.price (
    id, product_id, customer_id, price_list_id, priority, valid_from, valid_to, vat_included, is_active, code, role,
    currency, amount, min_quantity, unit, tier, customer_pattern, created_at, updated_at, created_by, updated_by
)
select
    i.id, i.product_id, i.customer_id, i.price_list_id, i.priority, i.valid_from, i.valid_to, i.vat_included,
    i.is_active, i.code, i.role, i.currency, i.amount, i.min_quantity, i.unit, i.tier, i.customer_pattern,
    $1, $1, $2, $2
from unnest(
    $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::integer[], $8::date[], $9::date[], $10::boolean[],
    $11::boolean[], $12::text[], $13::text[], $14::text[], $15::numeric[], $16::numeric[], $17::text[], $18::text[],
    $19::text[]
) as i (
    id, product_id, customer_id, price_list_id, priority, valid_from, valid_to, vat_included, is_active, code, role,
    currency, amount, min_quantity, unit, tier, customer_pattern
)
