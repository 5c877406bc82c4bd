-- Customer $1 as an order must know it: on day $2, for shipping address $3 (null: the default one), with its orders
-- before, counted up to $4, and what is overdue of its account, as `account/sql/risk.sql` reckons it.
select c.currency, c.code, c.title, c.is_active, c.is_approved, c.deleted_at is not null as "is_deleted!",
    c.discount_rate, c.credit_limit is not null as "has_limit!", d.base as "day_base?",
    (select count(*) from (
        select from commerce.sales_order o
        where o.customer_id = c.id and o.confirmed_at is not null limit $4) before) as "orders_before!",
    (select coalesce(sum(e.overdue), 0) from (
        select greatest(sum(debit) filter (where coalesce(due_date, booked_at) < $2) - sum(credit), 0) as overdue
        from commerce.ledger_counted
        where customer_id = c.id
        group by currency) e) as "overdue!",
    jsonb_strip_nulls(jsonb_build_object(
        'title', c.title, 'taxNumber', c.tax_number, 'taxOffice', c.tax_office, 'line1', b.line1, 'line2', b.line2,
        'district', b.district, 'town', b.town, 'city', b.city, 'country', b.country, 'postalCode', b.postal_code,
        'phone', coalesce(b.phone, c.phone))) as "billing!",
    s.id as "address?",
    case when s.id is not null then jsonb_strip_nulls(jsonb_build_object(
        'id', s.id, 'code', s.code, 'title', s.title, 'line1', s.line1, 'line2', s.line2, 'district', s.district,
        'town', s.town, 'city', s.city, 'country', s.country, 'postalCode', s.postal_code, 'phone', s.phone))
    end as shipping
from commerce.customer c
left join commerce.sales_order_day d on d.day = $2
left join commerce.customer_address b on b.customer_id = c.id and b.is_default
left join commerce.customer_address s
    on s.customer_id = c.id and s.is_active and case when $3::bigint is null then s.is_default else s.id = $3 end
where c.id = $1
