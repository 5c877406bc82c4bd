-- What customer $1 has ordered and not got an invoice for, by currency. An invoice that came as a movement of the ERP
-- first takes its amount off the order that it names, until it is known with the lines that it is of.
with open as (
    select o.id, o.currency, sum(round(
        (l.vat_base + l.vat) * greatest(l.ordered - l.cancelled - l.invoiced, 0) / l.ordered, 2)) as amount
    from commerce.sales_order o
    join commerce.sales_order_line l on l.order_id = o.id
    where o.customer_id = $1 and o.state not in ('cancelled', 'completed', 'returned', 'pending_payment')
    group by o.id
), early as (
    select e.order_id, e.currency, sum(e.debit) as amount
    from commerce.ledger_entry e
    join open o on o.id = e.order_id and o.currency = e.currency
    where e.kind = 'invoice' and not e.is_provisional and not e.is_cancelled
        and not exists (
            select from commerce.invoice i
            join commerce.invoice_line l on l.invoice_id = i.id
            where i.customer_id = e.customer_id and i.number = e.document_number and l.order_line_id is not null
        )
    group by e.order_id, e.currency
)
select o.currency as "currency!", sum(greatest(o.amount - coalesce(e.amount, 0), 0)) as "exposure!"
from open o
left join early e on e.order_id = o.id
group by o.currency
