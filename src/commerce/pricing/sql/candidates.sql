-- The rows that may be the dealer's price of product `p`. `d` is the dealer. Level: the rule, in its order.
select r.id, r.is_active, r.valid_from, r.valid_to, r.vat_included, r.currency, r.amount, r.min_quantity, r.unit,
       r.priority, r.role, r.code, r.customer_pattern, r.price_list_id, r.tier, 1 as level, 0 as nearness
from commerce.price r
where r.customer_id = $1 and r.product_id = p.id and r.role = 'special'
union all
select r.id, r.is_active, r.valid_from, r.valid_to, r.vat_included, r.currency, r.amount, r.min_quantity, r.unit,
       r.priority, r.role, r.code, r.customer_pattern, r.price_list_id, r.tier, 2, l.priority
from lists l
join commerce.price r on r.price_list_id = l.price_list_id and r.product_id = p.id and r.customer_id is null
where r.role = 'price_list'
union all
select r.id, r.is_active, r.valid_from, r.valid_to, r.vat_included, r.currency, r.amount, r.min_quantity, r.unit,
       r.priority, r.role, r.code, r.customer_pattern, r.price_list_id, r.tier,
       case r.role when 'special' then 1 when 'tier' then 3 when 'dealer' then 4 else 5 end,
       case when r.role = 'special' then 1000 - char_length(r.customer_pattern) else 0 end
from commerce.price r
where r.product_id = p.id and r.customer_id is null and r.price_list_id is null
  and (r.role in ('dealer', 'list')
       or (r.role = 'tier' and r.tier = d.price_tier)
       or (r.role = 'special' and d.code like
           replace(replace(replace(replace(r.customer_pattern, '\', '\\'), '%', '\%'), '_', '\_'), '*', '%')))
