-- The second line behind every query's own condition: what dealers read of their own, they read as `kopru_dealer`, which
-- sees the rows of one company, named by the setting `kopru.company` of the transaction (src/database/scoped.rs). Whoever
-- owns the tables is not held by policies.
--
-- A role belongs to the whole cluster, and other databases of it may be migrated at the same moment.
do $$
declare
    may_become constant text := case when current_setting('server_version_num')::integer >= 160000 then 'SET' else 'MEMBER' end;
begin
    if not exists (select from pg_roles where rolname = 'kopru_dealer') then
        begin
            create role kopru_dealer nologin;
        exception
            when duplicate_object or unique_violation then null;
            when insufficient_privilege then
                raise exception 'the role kopru_dealer is missing, and % may not create roles', current_user
                    using hint = format('As a superuser, once: create role kopru_dealer nologin; grant kopru_dealer to %I;', current_user);
        end;
    end if;
    if not pg_has_role(current_user, 'kopru_dealer', may_become) then
        begin
            execute format('grant kopru_dealer to %I', current_user);
        exception
            -- Another database of the cluster did the same just now.
            when unique_violation or internal_error then null;
            when insufficient_privilege then
                raise exception '% may not act as kopru_dealer', current_user
                    using hint = format('As a superuser, once: grant kopru_dealer to %I;', current_user);
        end;
    end if;
end
$$;

-- The company whose rows are seen; null, which no row has, outside of such a transaction.
create function commerce.current_company() returns bigint
    language sql stable parallel safe
    return nullif(current_setting('kopru.company', true), '')::bigint;

grant usage on schema commerce to kopru_dealer;

-- What belongs to everybody and is shown beside one's own.
grant select on commerce.product, commerce.product_unit, commerce.unit_set, commerce.unit_set_line,
    commerce.effective_product_unit, commerce.product_image, commerce.category, commerce.brand, commerce.warehouse
    to kopru_dealer;

-- What belongs to one company. A line belongs to whom its head belongs.
grant select on commerce.customer, commerce.customer_address, commerce.sales_order, commerce.sales_order_line,
    commerce.sales_order_discount, commerce.sales_order_history, commerce.stock_reservation, commerce.cart,
    commerce.cart_item, commerce.ledger_entry, commerce.invoice, commerce.invoice_line, commerce.return_request,
    commerce.return_line, commerce.return_history
    to kopru_dealer;

alter table commerce.customer enable row level security;
alter table commerce.customer_address enable row level security;
alter table commerce.sales_order enable row level security;
alter table commerce.sales_order_line enable row level security;
alter table commerce.sales_order_discount enable row level security;
alter table commerce.sales_order_history enable row level security;
alter table commerce.stock_reservation enable row level security;
alter table commerce.cart enable row level security;
alter table commerce.cart_item enable row level security;
alter table commerce.ledger_entry enable row level security;
alter table commerce.invoice enable row level security;
alter table commerce.invoice_line enable row level security;
alter table commerce.return_request enable row level security;
alter table commerce.return_line enable row level security;
alter table commerce.return_history enable row level security;

create policy own on commerce.customer for select to kopru_dealer using (id = commerce.current_company());
create policy own on commerce.customer_address for select to kopru_dealer
    using (customer_id = commerce.current_company());
create policy own on commerce.sales_order for select to kopru_dealer using (customer_id = commerce.current_company());
create policy own on commerce.sales_order_line for select to kopru_dealer
    using (exists (select from commerce.sales_order o where o.id = order_id));
create policy own on commerce.sales_order_discount for select to kopru_dealer
    using (exists (select from commerce.sales_order_line l where l.id = line_id));
create policy own on commerce.sales_order_history for select to kopru_dealer
    using (exists (select from commerce.sales_order o where o.id = order_id));
create policy own on commerce.stock_reservation for select to kopru_dealer
    using (exists (select from commerce.sales_order o where o.id = order_id));
create policy own on commerce.cart for select to kopru_dealer using (customer_id = commerce.current_company());
create policy own on commerce.cart_item for select to kopru_dealer
    using (exists (select from commerce.cart c where c.user_id = cart_item.user_id));
create policy own on commerce.ledger_entry for select to kopru_dealer
    using (customer_id = commerce.current_company());
create policy own on commerce.invoice for select to kopru_dealer using (customer_id = commerce.current_company());
create policy own on commerce.invoice_line for select to kopru_dealer
    using (exists (select from commerce.invoice i where i.id = invoice_id));
create policy own on commerce.return_request for select to kopru_dealer
    using (customer_id = commerce.current_company());
create policy own on commerce.return_line for select to kopru_dealer
    using (exists (select from commerce.return_request r where r.id = return_id));
create policy own on commerce.return_history for select to kopru_dealer
    using (exists (select from commerce.return_request r where r.id = return_id));
