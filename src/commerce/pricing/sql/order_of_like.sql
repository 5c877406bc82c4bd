case when c.min_quantity = 0 then 0 else c.min_quantity * (f.factor[1] / f.factor[2]) end desc,
c.priority, c.valid_from desc nulls last, c.id desc
