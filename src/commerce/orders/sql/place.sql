-- An order whole: its row, lines, discounts, reservations, what the levels hold, and the first line of its history.
--
-- All levels of its products $48 are locked first, by rising id. If what is wanted of one is not there any more, nothing is
-- written and no row comes back; whoever then looks again holds the locks already.
with locked as materialized (
    select s.id, s.available
    from commerce.stock_level s
    where s.product_id = any($48::bigint[])
    order by s.id
    for no key update
), wanted as materialized (
    select r.level, sum(r.quantity) as quantity
    from unnest($45::bigint[], $46::numeric[]) as r (level, quantity)
    group by r.level
), short as materialized (
    select from wanted w left join locked l on l.id = w.level where coalesce(l.available < w.quantity, true)
), placed as (
    insert into commerce.sales_order (
        customer_id, revision, created_at, updated_at, expires_at, confirmed_at, subtotal, discount, shipping, tax, total,
        number, state, payment_method, currency, origin, placed_by, approval_reasons, note, billing_address,
        shipping_address)
    select $1, $2::bigint, $3::timestamptz, $3, clock_timestamp() + $4::interval, case when $5::boolean then $3 end, $6, $7, $8, $9, $10,
        'ORD' || to_char($11::date, 'YYYYMMDD') || lpad(n.nnnn, greatest(4, length(n.nnnn)), '0'),
        $12::text, $13, $14, $15::text, $15, $16::text[], $17, $18, $19
    from (
        select (nextval('commerce.sales_order_number_seq') - d.base)::text as nnnn
        from commerce.sales_order_day d where d.day = $11 and not exists (select from short)
    ) n
    returning id, number, expires_at
), lines as (
    insert into commerce.sales_order_line (
        order_id, position, kind, product_id, price_id, price_rule, vat_included, ordered, confirmed, reserved,
        numerator, denominator, unit_price, listed_price, amount, discount, vat_rate, vat_base, vat, code, sku, unit,
        name)
    select o.id, l.position, l.kind, l.product_id, l.price_id, l.price_rule, l.vat_included, l.ordered,
        case when $5 then l.ordered else 0 end, l.reserved, l.numerator, l.denominator, l.unit_price, l.listed_price,
        l.amount, l.discount, l.vat_rate, l.vat_base, l.vat, l.code, l.sku, l.unit, l.name
    from placed o
    cross join unnest(
        $20::smallint[], $21::text[], $22::bigint[], $23::bigint[], $24::text[], $25::boolean[], $26::numeric[],
        $27::numeric[], $28::numeric[], $29::numeric[], $30::numeric[], $31::numeric[], $32::numeric[], $33::numeric[],
        $34::numeric[], $35::numeric[], $36::numeric[], $37::text[], $38::text[], $39::text[], $40::text[]
    ) as l (position, kind, product_id, price_id, price_rule, vat_included, ordered, reserved, numerator, denominator,
        unit_price, listed_price, amount, discount, vat_rate, vat_base, vat, code, sku, unit, name)
    returning id, position
), discounts as (
    insert into commerce.sales_order_discount (line_id, position, rate, amount, kind)
    select l.id, 1, d.rate, d.amount, 'customer'
    from unnest($41::smallint[], $42::numeric[], $43::numeric[]) as d (line, rate, amount)
    join lines l on l.position = d.line
), reservations as (
    insert into commerce.stock_reservation (order_id, line_id, stock_level_id, created_at, quantity, open)
    select o.id, l.id, r.level, $3, r.quantity, r.quantity
    from placed o
    cross join unnest($44::smallint[], $45::bigint[], $46::numeric[]) as r (line, level, quantity)
    join lines l on l.position = r.line
), held as (
    update commerce.stock_level s
    set held = s.held + w.quantity
    from wanted w
    where s.id = w.level and not exists (select from short)
), history as (
    insert into commerce.sales_order_history (order_id, revision, at, action, state, actor, correlation_id)
    select o.id, $2, $3, 'placed', $12, $15, $47 from placed o
)
select o.id, o.number, o.expires_at,
    (select array_agg(l.id order by l.position) from lines l) as "lines!"
from placed o
