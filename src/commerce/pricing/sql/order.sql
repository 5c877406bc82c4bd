c.level, c.nearness, c.currency is distinct from d.currency,
case when c.min_quantity = 0 then 0 else c.min_quantity * coalesce(f.numerator, 1) / coalesce(f.denominator, 1) end desc,
c.priority, c.valid_from desc nulls last, c.id desc
