-- What waits for a person of the house runs out as well. Orders that wait already have no time for it and go on waiting.
alter table commerce.sales_order
    drop constraint sales_order_expires_while_unpaid,
    add constraint sales_order_expires_while_pending check (
        case state
            when 'pending_payment' then expires_at is not null
            when 'pending_approval' then true
            else expires_at is null
        end);
create index sales_order_expiring on commerce.sales_order (expires_at) where expires_at is not null;
drop index commerce.sales_order_unpaid;
