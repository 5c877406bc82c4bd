-- What is contained in the source's figures of the reservations of orders $1: all of a taken order ($2), or of one whose goods the
-- source holds itself ($3), else what was shipped of each line, spread over its levels in their order; less what has ended before.
with open as materialized (
    select r.order_id, r.line_id, r.stock_level_id
    from commerce.stock_reservation r
    where r.order_id = any ($1) and r.open > 0
    order by r.order_id, r.line_id, r.stock_level_id
    for update
), spread as (
    select r.order_id, r.line_id, r.stock_level_id, r.quantity, r.open,
        case when $2::boolean or ($3::boolean and o.reserved_there) then r.quantity
             else least(r.quantity, greatest(
                 round(l.shipped * l.numerator / l.denominator, 4)
                 - (sum(r.quantity) over (partition by r.line_id order by r.stock_level_id) - r.quantity), 0))
        end as contained
    from commerce.stock_reservation r
    join commerce.sales_order_line l on l.id = r.line_id
    join commerce.sales_order o on o.id = r.order_id
    where r.order_id = any ($1)
)
update commerce.stock_reservation r
set due = least(greatest(s.contained - (s.quantity - s.open), 0), s.open)
from spread s
join open o on (o.order_id, o.line_id, o.stock_level_id) = (s.order_id, s.line_id, s.stock_level_id)
where (r.order_id, r.line_id, r.stock_level_id) = (s.order_id, s.line_id, s.stock_level_id)
    and r.due <> least(greatest(s.contained - (s.quantity - s.open), 0), s.open)
