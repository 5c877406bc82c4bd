-- What a cart remembers of prices is what a unit costs less the dealer's discount. What was remembered before was not less it: such carts
-- are looked at once more before they are ordered.
comment on column commerce.cart_item.chosen_price is 'Of one unit, net of VAT, less the dealer''s discount.';
comment on column commerce.cart_item.shown_price is 'Of one unit, net of VAT, less the dealer''s discount.';
update commerce.cart_item i
set chosen_price = null, chosen_currency = null, shown_price = null, shown_currency = null
from commerce.cart c
join commerce.customer d on d.id = c.customer_id
where i.user_id = c.user_id and d.discount_rate > 0;
