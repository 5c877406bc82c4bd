-- The candidates of product `p`, with the factor of their unit and whether the row counts at all. `a` asks: quantity,
-- and the factor of its unit as `asked_numerator`, `asked_denominator`. The product's own `unit` is its main one.
left join lateral (
    select u.numerator, u.denominator
    from commerce.effective_product_unit u
    where c.unit is not null and c.unit is distinct from p.unit and u.product_id = p.id and u.unit = c.unit
) f on true
