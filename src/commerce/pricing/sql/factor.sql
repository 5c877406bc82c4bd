-- The factor of the row's unit; the product's own `unit` is its main one.
case when c.unit is null or c.unit = p.unit then 1
     else (select u.numerator from commerce.effective_product_unit u where u.product_id = p.id and u.unit = c.unit)
end as numerator,
case when c.unit is null or c.unit = p.unit then 1
     else (select u.denominator from commerce.effective_product_unit u where u.product_id = p.id and u.unit = c.unit)
end as denominator
