-- Ends what is due on the levels $1, which are locked by rising id after the reservations.
with due as materialized (
    select r.order_id, r.line_id, r.stock_level_id, least(r.due, r.open) as quantity
    from commerce.stock_reservation r
    where r.stock_level_id = any ($1) and r.due > 0
    order by r.order_id, r.line_id, r.stock_level_id
    for update
), levels as materialized (
    select s.id
    from commerce.stock_level s
    where s.id in (select stock_level_id from due)
    order by s.id
    for no key update
), freed as (
    update commerce.stock_level s
    set held = s.held - d.quantity
    from (select stock_level_id, sum(quantity) as quantity from due group by stock_level_id) d
    join levels l on l.id = d.stock_level_id
    where s.id = d.stock_level_id
), ended as (
    update commerce.stock_reservation r
    set open = r.open - d.quantity, due = 0,
        ended_at = case when r.open = d.quantity then $2::timestamptz end,
        end_cause = case when r.open = d.quantity then $3::text end
    from due d
    where (r.order_id, r.line_id, r.stock_level_id) = (d.order_id, d.line_id, d.stock_level_id)
), lines as (
    update commerce.sales_order_line l
    set reserved = greatest(l.reserved - round(d.quantity * l.denominator / l.numerator, 4), 0)
    from (select line_id, sum(quantity) as quantity from due group by line_id) d
    where l.id = d.line_id
)
select count(*) as "count!" from due
