insert into commerce.price (
    id, product_id, customer_id, price_list_id, priority, valid_from, valid_to, vat_included, is_active, code, role,
    currency, amount, min_quantity, unit, tier, customer_pattern, created_at, updated_at, created_by, updated_by
)
select
    i.id, i.product_id, i.customer_id, i.price_list_id, i.priority, i.valid_from, i.valid_to, i.vat_included,
    i.is_active, i.code, i.role, i.currency, i.amount, i.min_quantity, i.unit, i.tier, i.customer_pattern,
    $1, $1, $2, $2
from (
    select
        unnest($3::bigint[]) as id, unnest($4::bigint[]) as product_id, unnest($5::bigint[]) as customer_id,
        unnest($6::bigint[]) as price_list_id, unnest($7::integer[]) as priority, unnest($8::date[]) as valid_from,
        unnest($9::date[]) as valid_to, unnest($10::boolean[]) as vat_included, unnest($11::boolean[]) as is_active,
        unnest($12::text[]) as code, unnest($13::text[]) as role, unnest($14::text[]) as currency,
        unnest($15::numeric[]) as amount, unnest($16::numeric[]) as min_quantity, unnest($17::text[]) as unit,
        unnest($18::text[]) as tier, unnest($19::text[]) as customer_pattern
) as i
