-- The risk of customer $1 on day $2, by currency: what counts of its movements, and what it has ordered and not got an
-- invoice for; of orders that wait for approval only if $3. An invoice that came as a movement first takes its amount off
-- the order that it names, until it is known with the lines that it is of. One whose movement was cancelled, while it is
-- known as an invoice that stands, gives its quantities back (`vain`, in the main unit).
with vain as (
    select v.order_line_id, sum(v.quantity * v.numerator / v.denominator) as main_quantity
    from (
        select distinct e.document_number as number
        from commerce.ledger_entry e
        where e.customer_id = $1 and e.is_cancelled and not e.is_provisional and e.kind = 'invoice'
            and not exists (
                select from commerce.ledger_entry s
                where s.customer_id = $1 and s.document_number = e.document_number and s.kind = 'invoice'
                    and not s.is_cancelled and not s.is_provisional)
    ) c
    join commerce.invoice i on i.customer_id = $1 and i.number = c.number and i.kind = 'sale' and i.status <> 'cancelled'
    join commerce.invoice_line v on v.invoice_id = i.id and v.order_line_id is not null
    group by v.order_line_id
), open as (
    select o.id, o.currency, sum(round(
        (l.vat_base + l.vat) * greatest(
            l.ordered - l.cancelled - l.invoiced + coalesce(round(v.main_quantity * l.denominator / l.numerator, 4), 0),
            0) / l.ordered, 2)) as amount
    from commerce.sales_order o
    join commerce.sales_order_line l on l.order_id = o.id
    left join vain v on v.order_line_id = l.id
    where o.customer_id = $1 and o.state not in ('cancelled', 'completed', 'returned', 'pending_payment')
        and ($3::boolean or o.state <> 'pending_approval')
    group by o.id
), early as (
    select e.order_id, e.currency, sum(e.debit) as amount
    from commerce.ledger_counted e
    join open o on o.id = e.order_id and o.currency = e.currency
    where e.customer_id = $1 and e.kind = 'invoice' and not e.is_provisional
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
    from commerce.ledger_counted
    where customer_id = $1
    group by currency
)
select coalesce(c.currency, x.currency) as "currency!", coalesce(c.booked, 0) as "booked!",
    coalesce(c.provisional, 0) as "provisional!", coalesce(x.amount, 0) as "exposure!", coalesce(c.overdue, 0) as "overdue!"
from counted c
full join exposed x on x.currency = c.currency
