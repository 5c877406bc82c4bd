(c.is_active
 and (c.valid_from is null or c.valid_from <= $2)
 and (c.valid_to is null or c.valid_to >= $2)
 and (c.amount > 0 or $3)
 and (c.unit is null or c.unit = p.unit or exists (
          select from commerce.effective_product_unit u where u.product_id = p.id and u.unit = c.unit))
 and (c.min_quantity = 0
      or case when c.unit is null or c.unit = p.unit
              then c.min_quantity * a.asked_denominator <= a.quantity * a.asked_numerator
              else (select c.min_quantity * u.numerator * a.asked_denominator
                           <= a.quantity * a.asked_numerator * u.denominator
                    from commerce.effective_product_unit u where u.product_id = p.id and u.unit = c.unit) end))
