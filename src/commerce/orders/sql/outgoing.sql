-- Hands an order over, if it is to be sent and nobody wants it cancelled, and says how it stands. With it the order as another system
-- is to be told of it, its discounts as lines behind the line that they reduce.
with handed as (
    update commerce.sales_order
    set handed_at = coalesce(handed_at, $2)
    where id = $1 and confirmed_at is not null and state <> 'cancelled' and sent_at is null and cancel_requested_at is null
    returning id
)
select exists (select from handed) as "is_handed!", o.state = 'cancelled' as "is_cancelled!",
    o.confirmed_at is not null as "is_confirmed!", o.sent_at is not null as "is_sent!",
    o.cancel_requested_at is not null as "cancel_requested!", o.external_number, jsonb_build_object(
    'id', o.id, 'number', o.number, 'state', o.state, 'customerId', o.customer_id, 'currency', o.currency,
    'paymentMethod', o.payment_method, 'note', o.note, 'subtotal', o.subtotal, 'discount', o.discount,
    'shipping', o.shipping, 'tax', o.tax, 'total', o.total,
    'day', to_char(o.confirmed_at at time zone 'Europe/Istanbul', 'YYYY-MM-DD'),
    'hour', extract(hour from o.confirmed_at at time zone 'Europe/Istanbul')::integer,
    'minute', extract(minute from o.confirmed_at at time zone 'Europe/Istanbul')::integer,
    'second', floor(extract(second from o.confirmed_at))::integer,
    'shippingAddress', o.shipping_address,
    'customer', jsonb_build_object('ourCode', c.code, 'title', c.title, 'paymentTermCode', c.payment_term_code,
        'tradingGroup', c.trading_group),
    'warehouseId', (
        select s.warehouse_id
        from commerce.stock_reservation r
        join commerce.stock_level s on s.id = r.stock_level_id
        where r.order_id = o.id
        group by s.warehouse_id
        order by sum(r.quantity) desc, s.warehouse_id
        limit 1),
    'lines', (
        select jsonb_agg(part.line order by part.position, part.place)
        from (
            select l.position, 0 as place, jsonb_build_object(
                'kind', l.kind, 'position', l.position, 'productId', l.product_id, 'ourCode', l.code, 'sku', l.sku,
                'name', l.name, 'unit', l.unit, 'quantity', l.ordered, 'numerator', l.numerator,
                'denominator', l.denominator, 'vatIncluded', l.vat_included,
                'price', case when l.vat_included then l.listed_price else l.unit_price end,
                'vatRate', l.vat_rate, 'amount', l.amount, 'vat', l.vat) as line
            from commerce.sales_order_line l
            where l.order_id = o.id
            union all
            select l.position, d.position, jsonb_build_object('kind', 'discount', 'rate', d.rate, 'amount', d.amount)
            from commerce.sales_order_line l
            join commerce.sales_order_discount d on d.line_id = l.id
            where l.order_id = o.id
        ) part)
) as "record!"
from commerce.sales_order o
join commerce.customer c on c.id = o.customer_id
where o.id = $1
