c.level, c.nearness, c.currency is distinct from d.currency,
case when c.min_quantity = 0 then 0
     when c.unit is null or c.unit = p.unit then c.min_quantity
     else c.min_quantity * (select u.numerator / u.denominator from commerce.effective_product_unit u
                            where u.product_id = p.id and u.unit = c.unit) end desc,
c.priority, c.valid_from desc nulls last, c.id desc
