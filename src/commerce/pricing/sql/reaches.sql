(f.factor is not null
 and (c.min_quantity = 0
      or c.min_quantity * f.factor[1] * a.asked_denominator <= a.quantity * a.asked_numerator * f.factor[2]))
