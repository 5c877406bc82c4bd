-- Known prices of a page. Rows are locked by rising id; `changed` has a bit for each given field that differs from
-- what the store holds (ownership.rs numbers them).
with current as materialized (
    select
        p.id, i.place, p.revision, i.customer_id, i.price_list_id, i.priority, i.valid_from, i.valid_to,
        i.vat_included, i.is_active, i.code, i.currency, i.amount, i.min_quantity, i.unit, i.tier, i.customer_pattern,
        case when i.given & (1 << 1) <> 0 then i.product_id else p.product_id end as product_id,
        case when i.given & (1 << 2) <> 0 then i.role else p.role end as role,
        case when i.given & (1 << 0) <> 0 and p.code <> i.code then 1 << 0 else 0 end
        | case when i.given & (1 << 1) <> 0 and p.product_id <> i.product_id then 1 << 1 else 0 end
        | case when i.given & (1 << 2) <> 0 and p.role <> i.role then 1 << 2 else 0 end
        | case when i.given & (1 << 3) <> 0 and p.amount <> i.amount then 1 << 3 else 0 end
        | case when i.given & (1 << 4) <> 0 and p.currency <> i.currency then 1 << 4 else 0 end
        | case when i.given & (1 << 5) <> 0 and p.unit is distinct from i.unit then 1 << 5 else 0 end
        | case when i.given & (1 << 6) <> 0 and p.vat_included <> i.vat_included then 1 << 6 else 0 end
        | case when i.given & (1 << 7) <> 0 and p.min_quantity <> i.min_quantity then 1 << 7 else 0 end
        | case when i.given & (1 << 8) <> 0 and p.priority <> i.priority then 1 << 8 else 0 end
        | case when i.given & (1 << 9) <> 0 and p.valid_from is distinct from i.valid_from then 1 << 9 else 0 end
        | case when i.given & (1 << 10) <> 0 and p.valid_to is distinct from i.valid_to then 1 << 10 else 0 end
        | case when i.given & (1 << 11) <> 0 and p.customer_id is distinct from i.customer_id then 1 << 11 else 0 end
        | case when i.given & (1 << 12) <> 0 and p.customer_pattern is distinct from i.customer_pattern
               then 1 << 12 else 0 end
        | case when i.given & (1 << 13) <> 0 and p.price_list_id is distinct from i.price_list_id
               then 1 << 13 else 0 end
        | case when i.given & (1 << 14) <> 0 and p.tier is distinct from i.tier then 1 << 14 else 0 end
        | case when i.given & (1 << 15) <> 0 and p.is_active <> i.is_active then 1 << 15 else 0 end
            as changed
    from (
        select
            unnest($1::bigint[]) as place, unnest($2::bigint[]) as given, unnest($3::bigint[]) as id,
            unnest($4::bigint[]) as product_id, unnest($5::bigint[]) as customer_id,
            unnest($6::bigint[]) as price_list_id, unnest($7::integer[]) as priority,
            unnest($8::date[]) as valid_from, unnest($9::date[]) as valid_to, unnest($10::boolean[]) as vat_included,
            unnest($11::boolean[]) as is_active, unnest($12::text[]) as code, unnest($13::text[]) as role,
            unnest($14::text[]) as currency, unnest($15::numeric[]) as amount,
            unnest($16::numeric[]) as min_quantity, unnest($17::text[]) as unit, unnest($18::text[]) as tier,
            unnest($19::text[]) as customer_pattern
    ) as i
    join commerce.price p on p.id = i.id
    order by p.id
    for no key update of p
), updated as (
    update commerce.price p
    set code = case when c.changed & (1 << 0) <> 0 then c.code else p.code end,
        product_id = c.product_id,
        role = c.role,
        amount = case when c.changed & (1 << 3) <> 0 then c.amount else p.amount end,
        currency = case when c.changed & (1 << 4) <> 0 then c.currency else p.currency end,
        unit = case when c.changed & (1 << 5) <> 0 then c.unit else p.unit end,
        vat_included = case when c.changed & (1 << 6) <> 0 then c.vat_included else p.vat_included end,
        min_quantity = case when c.changed & (1 << 7) <> 0 then c.min_quantity else p.min_quantity end,
        priority = case when c.changed & (1 << 8) <> 0 then c.priority else p.priority end,
        valid_from = case when c.changed & (1 << 9) <> 0 then c.valid_from else p.valid_from end,
        valid_to = case when c.changed & (1 << 10) <> 0 then c.valid_to else p.valid_to end,
        customer_id = case when c.changed & (1 << 11) <> 0 then c.customer_id else p.customer_id end,
        customer_pattern = case when c.changed & (1 << 12) <> 0 then c.customer_pattern else p.customer_pattern end,
        price_list_id = case when c.changed & (1 << 13) <> 0 then c.price_list_id else p.price_list_id end,
        tier = case when c.changed & (1 << 14) <> 0 then c.tier else p.tier end,
        is_active = case when c.changed & (1 << 15) <> 0 then c.is_active else p.is_active end,
        revision = p.revision + 1,
        updated_at = $20,
        updated_by = $21
    from current c
    where p.id = c.id and c.changed <> 0
)
select
    place as "place!", id as "id!", product_id as "product_id!", role as "role!", revision as "revision!",
    changed::bigint as "changed!"
from current
