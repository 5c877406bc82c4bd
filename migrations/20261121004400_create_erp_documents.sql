-- What an ERP's own documents say of our orders, beside the orders themselves.

-- Which line of an ERP's order a line of ours is over there: its invoices name lines by that.
create table commerce.order_line_reference (
    line_id     bigint not null,
    origin      text   collate "C" not null,
    external_id text   collate "C" not null,
    constraint order_line_reference_pkey primary key (origin, external_id),
    constraint order_line_reference_line_key unique (line_id, origin),
    constraint order_line_reference_line_id_fkey foreign key (line_id) references commerce.sales_order_line (id),
    constraint order_line_reference_external_id_length check (char_length(external_id) between 1 and 50)
);
alter table commerce.order_line_reference enable row level security;
grant select on commerce.order_line_reference to kopru_dealer;
create policy own on commerce.order_line_reference for select to kopru_dealer
    using (exists (select from commerce.sales_order_line l where l.id = line_id));

-- Where an ERP's order says something else than ours, and nobody's figure was taken over. It goes when the two agree again.
create table commerce.order_difference (
    order_id bigint      not null,
    noted_at timestamptz not null,
    field    text        collate "C" not null,
    origin   text        collate "C" not null,
    ours     text        not null,
    theirs   text        not null,
    constraint order_difference_pkey primary key (order_id, field),
    constraint order_difference_order_id_fkey foreign key (order_id) references commerce.sales_order (id)
);
alter table commerce.order_difference enable row level security;
grant select on commerce.order_difference to kopru_dealer;
create policy own on commerce.order_difference for select to kopru_dealer
    using (exists (select from commerce.sales_order o where o.id = order_id));

-- What of an invoice is due when.
create table commerce.invoice_payment (
    invoice_id bigint        not null,
    due_date   date          not null,
    position   smallint      not null,
    amount     numeric(18,4) not null,
    constraint invoice_payment_pkey primary key (invoice_id, position),
    constraint invoice_payment_invoice_id_fkey foreign key (invoice_id) references commerce.invoice (id),
    constraint invoice_payment_amount_not_negative check (amount >= 0)
);
alter table commerce.invoice_payment enable row level security;
grant select on commerce.invoice_payment to kopru_dealer;
create policy own on commerce.invoice_payment for select to kopru_dealer
    using (exists (select from commerce.invoice i where i.id = invoice_id));

-- The source's own reference of the order's line, which may come to be known as one of ours later.
alter table commerce.invoice_line
    add column order_reference text collate "C",
    add constraint invoice_line_order_reference_length check (char_length(order_reference) between 1 and 50);
create index invoice_line_unbound on commerce.invoice_line (order_reference)
    where order_reference is not null and order_line_id is null;
