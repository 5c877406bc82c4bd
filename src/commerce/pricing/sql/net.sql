-- What no price column could hold is no price.
nullif(least(
    round(
        w.amount * a.asked_numerator * w.denominator / (a.asked_denominator * w.numerator)
        * 100 / (100 + case when w.vat_included then coalesce(p.vat_rate, 0) else 0 end),
        6),
    10000000000000), 10000000000000)
