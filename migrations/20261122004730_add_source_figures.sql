-- What was agreed of a line, from the moment at which the ERP's figures stand in its place: the dealer is shown what the ERP
-- reckons, and a difference from what was agreed is told as long as there is one.
alter table commerce.sales_order_line
    add column agreed_quantity numeric(18,4),
    add column agreed_base     numeric(18,4),
    add column agreed_vat      numeric(18,4),
    add constraint sales_order_line_agreed_whole check (
        (agreed_quantity is null) = (agreed_base is null) and (agreed_base is null) = (agreed_vat is null)),
    add constraint sales_order_line_agreed_positive check (agreed_quantity > 0);
comment on column commerce.sales_order_line.agreed_base is 'What was agreed for agreed_quantity; null: the line stands as it was agreed.';

-- The ERP holds the goods of the order by a reservation of its own, which was read back.
alter table commerce.sales_order add column reserved_there boolean not null default false;
