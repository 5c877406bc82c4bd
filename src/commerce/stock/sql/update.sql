-- Known levels of a page, locked by rising id, and the movements of the quantities that change.
with current as materialized (
    select
        s.id, i.place, s.revision, s.quantity as quantity_before, i.quantity, i.on_hand, i.reserved, i.on_order,
        (s.product_id, s.warehouse_id) = (i.product_id, i.warehouse_id) as same_place,
        case when i.given & 1 <> 0 and s.quantity <> i.quantity then 1 else 0 end
        | case when i.given & 2 <> 0 and s.on_hand is distinct from i.on_hand then 2 else 0 end
        | case when i.given & 4 <> 0 and s.reserved_remote is distinct from i.reserved then 4 else 0 end
        | case when i.given & 8 <> 0 and s.on_order is distinct from i.on_order then 8 else 0 end
            as changed
    from (
        select
            unnest($1::bigint[]) as place, unnest($2::bigint[]) as given, unnest($3::bigint[]) as id,
            unnest($4::bigint[]) as product_id, unnest($5::bigint[]) as warehouse_id,
            unnest($6::numeric[]) as quantity, unnest($7::numeric[]) as on_hand, unnest($8::numeric[]) as reserved,
            unnest($9::numeric[]) as on_order
    ) as i
    join commerce.stock_level s on s.id = i.id
    order by s.id
    for no key update of s
), updated as (
    update commerce.stock_level s
    set quantity = case when c.changed & 1 <> 0 then c.quantity else s.quantity end,
        on_hand = case when c.changed & 2 <> 0 then c.on_hand else s.on_hand end,
        reserved_remote = case when c.changed & 4 <> 0 then c.reserved else s.reserved_remote end,
        on_order = case when c.changed & 8 <> 0 then c.on_order else s.on_order end,
        revision = s.revision + 1,
        updated_at = $10
    from current c
    where s.id = c.id and c.changed <> 0 and c.same_place
), moved as (
    insert into commerce.stock_movement (
        stock_level_id, revision, moved_at, delta, quantity_after, reason, origin, correlation_id
    )
    select c.id, c.revision + 1, $10, c.quantity - c.quantity_before, c.quantity, $11, $12, $13
    from current c
    where c.changed & 1 <> 0 and c.same_place
)
select place as "place!", revision as "revision!", same_place as "same_place!", changed::bigint as "changed!"
from current
