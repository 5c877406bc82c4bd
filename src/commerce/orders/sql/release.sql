-- Ends what these orders still reserve, and cancels what of their lines is not shipped. Levels are locked by rising id.
with open as materialized (
    select r.order_id, r.line_id, r.stock_level_id, r.open
    from commerce.stock_reservation r
    where r.order_id = any($1) and r.open > 0
    order by r.order_id, r.line_id, r.stock_level_id
    for update
), levels as materialized (
    select s.id
    from commerce.stock_level s
    where s.id in (select stock_level_id from open)
    order by s.id
    for no key update
), freed as (
    update commerce.stock_level s
    set held = s.held - o.quantity
    from (select stock_level_id, sum(open) as quantity from open group by stock_level_id) o
    join levels l on l.id = o.stock_level_id
    where s.id = o.stock_level_id
), ended as (
    update commerce.stock_reservation r
    set open = 0, due = 0, ended_at = $2, end_cause = $3
    from open o
    where (r.order_id, r.line_id, r.stock_level_id) = (o.order_id, o.line_id, o.stock_level_id)
)
update commerce.sales_order_line
set reserved = 0, cancelled = greatest(ordered - shipped, 0)
where order_id = any($1)
