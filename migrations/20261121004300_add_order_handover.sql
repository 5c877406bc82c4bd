-- When an order was handed over to be sent to an ERP. From then on a cancellation is asked for: it may be on its way, or
-- there already without our knowing. What comes back without having been taken is handed over no more.
alter table commerce.sales_order
    add column handed_at timestamptz,
    drop constraint sales_order_cancel_requested_was_sent;
update commerce.sales_order set handed_at = sent_at where sent_at is not null;
alter table commerce.sales_order
    add constraint sales_order_sent_was_handed check (sent_at is null or handed_at is not null),
    add constraint sales_order_handed_was_confirmed check (handed_at is null or confirmed_at is not null),
    add constraint sales_order_cancel_requested_was_handed check (cancel_requested_at is null or handed_at is not null);
comment on column commerce.sales_order.handed_at is 'Since when it may be with an ERP. From then on that alone cancels.';
comment on column commerce.sales_order.sent_at is 'When an ERP took it.';
