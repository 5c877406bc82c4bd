-- Who asks: $1 customer (none: the prices that hold for everybody), $2 day, $3 whether a price of 0 is one.
with dealer as materialized (
    select c.id, c.code, c.price_tier, c.currency
    from (select $1::bigint as id) asked
    left join commerce.customer c on c.id = asked.id and c.deleted_at is null
), lists as materialized (
    select l.price_list_id, l.priority
    from commerce.customer_price_list l
    join commerce.price_list p on p.id = l.price_list_id and p.is_active and p.deleted_at is null
    where l.customer_id = $1
)
