case r.role when 'special' then 1 when 'tier' then 3 when 'dealer' then 4 else 5 end,
case when r.role = 'special' then 1000 - char_length(r.customer_pattern) else 0 end
