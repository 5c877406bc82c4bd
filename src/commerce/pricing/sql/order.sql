c.level, c.nearness, c.currency is distinct from d.currency,
