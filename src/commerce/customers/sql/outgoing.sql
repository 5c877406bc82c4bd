-- A customer as another system is to be told of it.
select jsonb_build_object(
    'id', c.id, 'ourCode', c.code, 'title', c.title, 'taxNumber', c.tax_number, 'taxOffice', c.tax_office,
    'isPerson', c.is_person, 'contact', c.contact, 'email', c.email, 'phone', c.phone, 'mobile', c.mobile,
    'paymentTermCode', c.payment_term_code, 'tradingGroup', c.trading_group, 'discountRate', c.discount_rate,
    'address', (
        select to_jsonb(a) - 'id' - 'customer_id'
        from commerce.customer_address a
        where a.customer_id = c.id and a.is_active
        order by a.is_default desc, a.position
        limit 1)
) as "record!"
from commerce.customer c
where c.id = $1 and c.deleted_at is null and c.is_approved
