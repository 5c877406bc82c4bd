-- The factor of candidate `c`'s unit, {numerator, denominator}; null: none of the product's. The product's own `unit` is its
-- main one. `offset 0`: it is looked up once, wherever it is used.
cross join lateral (
    select case when c.unit is null or c.unit = p.unit then '{1,1}'::numeric[]
                else (select array[u.numerator, u.denominator]
                      from commerce.effective_product_unit u where u.product_id = p.id and u.unit = c.unit)
           end as factor
    offset 0
) f
