c.is_active and (c.valid_from is null or c.valid_from <= $2) and (c.valid_to is null or c.valid_to >= $2) and (c.amount > 0 or $3)
