-- A return as another system is to be told of it, without its lines.
select jsonb_build_object(
    'id', r.id, 'number', r.number, 'state', r.state, 'reason', r.reason, 'note', r.note,
    'customerId', r.customer_id, 'orderNumber', o.number, 'orderLogoNumber', o.external_number, 'currency', o.currency,
    'day', to_char(r.decided_at at time zone 'Europe/Istanbul', 'YYYY-MM-DD'),
    'hour', extract(hour from r.decided_at at time zone 'Europe/Istanbul')::integer,
    'minute', extract(minute from r.decided_at at time zone 'Europe/Istanbul')::integer,
    'second', floor(extract(second from r.decided_at))::integer,
    'customer', jsonb_build_object('ourCode', c.code, 'title', c.title, 'paymentTermCode', c.payment_term_code,
        'tradingGroup', c.trading_group),
    -- Where it was received, else where most of the order came from.
    'warehouseId', coalesce(r.warehouse_id, (
        select s.warehouse_id
        from commerce.stock_reservation h
        join commerce.stock_level s on s.id = h.stock_level_id
        where h.order_id = r.order_id
        group by s.warehouse_id
        order by sum(h.quantity) desc, s.warehouse_id
        limit 1))
) as "record!"
from commerce.return_request r
join commerce.sales_order o on o.id = r.order_id
join commerce.customer c on c.id = r.customer_id
where r.id = $1
