-- Ends of what the lines $1 reserve as much as is not wanted any more ($2, in their unit), the last levels first. Levels are locked by
-- rising id.
with wanted as (
    select l.id, round(f.quantity * l.numerator / l.denominator, 4) as quantity, l.numerator, l.denominator
    from unnest($1::bigint[], $2::numeric[]) as f (id, quantity)
    join commerce.sales_order_line l on l.id = f.id
), open as materialized (
    select r.order_id, r.line_id, r.stock_level_id, r.open
    from commerce.stock_reservation r
    where r.line_id = any ($1) and r.order_id in (select order_id from commerce.sales_order_line where id = any ($1)) and r.open > 0
    order by r.order_id, r.line_id, r.stock_level_id
    for update
), taken as materialized (
    select o.*, least(o.open, greatest(
        w.quantity - (sum(o.open) over (partition by o.line_id order by o.stock_level_id desc) - o.open), 0)) as quantity
    from open o
    join wanted w on w.id = o.line_id
), levels as materialized (
    select s.id
    from commerce.stock_level s
    where s.id in (select stock_level_id from taken where quantity > 0)
    order by s.id
    for no key update
), freed as (
    update commerce.stock_level s
    set held = s.held - t.quantity
    from (select stock_level_id, sum(quantity) as quantity from taken group by stock_level_id) t
    join levels l on l.id = t.stock_level_id
    where s.id = t.stock_level_id
), ended as (
    update commerce.stock_reservation r
    set open = r.open - t.quantity, due = least(r.due, r.open - t.quantity),
        ended_at = case when r.open = t.quantity then $3::timestamptz end,
        end_cause = case when r.open = t.quantity then 'cancelled' end
    from taken t
    where (r.order_id, r.line_id, r.stock_level_id) = (t.order_id, t.line_id, t.stock_level_id) and t.quantity > 0
)
update commerce.sales_order_line l
set reserved = greatest(l.reserved - round(t.quantity * l.denominator / l.numerator, 4), 0)
from (select line_id, sum(quantity) as quantity from taken group by line_id) t
where l.id = t.line_id and t.quantity > 0
