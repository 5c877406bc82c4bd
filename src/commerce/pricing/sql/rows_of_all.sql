(r.role in ('dealer', 'list')
 or (r.role = 'tier' and r.tier = d.price_tier)
 or (r.role = 'special' and d.code like
     replace(replace(replace(replace(r.customer_pattern, '\', '\\'), '%', '\%'), '_', '\_'), '*', '%')))
