-- Levels raised by what comes in, locked by rising id; those that were not there are made. A level that another
-- transaction makes at this moment is waited for, and the unique key tells.
with given as (
    select product_id, warehouse_id, sum(quantity) as quantity
    from unnest($1::bigint[], $2::bigint[], $3::numeric[]) as i (product_id, warehouse_id, quantity)
    group by product_id, warehouse_id
    having sum(quantity) <> 0
), current as materialized (
    select s.id, g.quantity as delta
    from given g
    join commerce.stock_level s on s.product_id = g.product_id and s.warehouse_id = g.warehouse_id
    order by s.id
    for no key update of s
), raised as (
    update commerce.stock_level s
    set quantity = s.quantity + c.delta, revision = s.revision + 1, updated_at = $4
    from current c
    where s.id = c.id
    returning s.id, s.product_id, s.warehouse_id, s.quantity, s.revision, c.delta
), made as (
    insert into commerce.stock_level (product_id, warehouse_id, quantity, created_at, updated_at)
    select g.product_id, g.warehouse_id, g.quantity, $4, $4
    from given g
    where not exists (
        select from commerce.stock_level s where s.product_id = g.product_id and s.warehouse_id = g.warehouse_id
    )
    returning id, product_id, warehouse_id, quantity, revision
), moved as (
    insert into commerce.stock_movement (
        stock_level_id, revision, moved_at, delta, quantity_after, reason, origin, correlation_id
    )
    select id, revision, $4, delta, quantity, $5, $6, $7 from raised
    union all
    select id, revision, $4, quantity, quantity, $5, $6, $7 from made
)
select id as "id!", product_id as "product_id!", warehouse_id as "warehouse_id!", quantity as "quantity!",
    revision as "revision!"
from raised
union all
select id, product_id, warehouse_id, quantity, revision from made
