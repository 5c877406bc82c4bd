-- The risk of customer $1 on day $2, by currency: what counts of its movements, and what `exposure.sql` says of its orders.
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
), exposed as (
    select o.currency, sum(greatest(o.amount - coalesce(e.amount, 0), 0)) as amount
    from open o
    left join early e on e.order_id = o.id
    group by o.currency
), counted as (
    select currency,
        sum(debit - credit) filter (where not is_provisional) as booked,
        sum(debit - credit) filter (where is_provisional) as provisional,
        greatest(sum(debit) filter (where coalesce(due_date, booked_at) < $2) - sum(credit), 0) as overdue
    from commerce.ledger_entry
    where customer_id = $1 and not is_cancelled and replaced_by is null
    group by currency
)
select coalesce(c.currency, x.currency) as "currency!", coalesce(c.booked, 0) as "booked!",
    coalesce(c.provisional, 0) as "provisional!", coalesce(x.amount, 0) as "exposure!", coalesce(c.overdue, 0) as "overdue!"
from counted c
full join exposed x on x.currency = c.currency
