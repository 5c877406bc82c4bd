(c.is_active
 and (c.valid_from is null or c.valid_from <= $2)
 and (c.valid_to is null or c.valid_to >= $2)
 and (c.amount > 0 or $3)
 and (c.unit is null or c.unit = p.unit or f.numerator is not null)
 and (c.min_quantity = 0
      or c.min_quantity * coalesce(f.numerator, 1) * a.asked_denominator
         <= a.quantity * a.asked_numerator * coalesce(f.denominator, 1)))
