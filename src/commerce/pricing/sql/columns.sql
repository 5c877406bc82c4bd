r.id, r.product_id, r.is_active, r.valid_from, r.valid_to, r.vat_included, r.currency, r.amount, r.min_quantity, r.unit,
r.priority, r.role, r.code, r.customer_pattern, r.price_list_id, r.tier
