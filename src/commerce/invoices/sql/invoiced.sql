-- The invoiced quantities of the order lines $1, whose orders are locked, from the invoices that were not cancelled.
update commerce.sales_order_line l
set invoiced = s.invoiced
from (
    select l.id, coalesce(sum(
        round(v.quantity * v.numerator * l.denominator / (v.denominator * l.numerator), 4)), 0) as invoiced
    from commerce.sales_order_line l
    left join (
        select v.*
        from commerce.invoice_line v
        join commerce.invoice i on i.id = v.invoice_id and i.kind = 'sale' and i.status <> 'cancelled'
        where v.order_line_id = any ($1)
    ) v on v.order_line_id = l.id
    where l.id = any ($1)
    group by l.id
) s
where l.id = s.id and l.invoiced <> s.invoiced
returning l.order_id as "order_id!"
