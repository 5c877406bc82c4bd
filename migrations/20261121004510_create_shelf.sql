-- What products cost whom, in the order of prices: for each product and each audience (`-` everybody, `tA` a tier, `l7` a price
-- list, `c12` a customer, `p120.*` a pattern of customer codes) the price of one main unit by the rows that are for this
-- audience alone. Which audience's price is a dealer's, the question says. It follows the rows of prices by the feed of changes
-- (`commerce.catalogue_change`): products that changed since `shelf_state.snapshot` are not to be read here.
create table commerce.shelf (
    product_id bigint not null,
    since      date   not null,
    until      date   not null,
    audience   text   collate "C" not null,
    -- For dealers in this currency; empty: for all but those in `but`.
    prefers    text   collate "C" not null,
    but        text[],
    -- Null: no price.
    net        numeric
);
create index shelf_by_net on commerce.shelf (audience, net, product_id);
create index shelf_by_product on commerce.shelf (product_id, audience);

create table commerce.shelf_state (
    one      boolean not null default true,
    ready    boolean not null default false,
    -- Up to which product it is filled; null: not begun.
    built_to bigint,
    snapshot text,
    constraint shelf_state_pkey primary key (one),
    constraint shelf_state_one check (one)
);
insert into commerce.shelf_state default values;

-- Whether a note is about what prices depend on. Notes of stock and pictures are not.
alter table commerce.catalogue_change add column of_prices boolean not null default true;

create function commerce.note_shown() returns trigger language plpgsql as $$
begin
    insert into commerce.catalogue_change (kind, ids, of_prices)
    select 'goods', case when count(*) <= 5000 then array_agg(product_id) end, false from changed having count(*) > 0;
    return null;
end
$$;

create function commerce.note_shown_move() returns trigger language plpgsql as $$
begin
    insert into commerce.catalogue_change (kind, ids, of_prices) values ('goods', array[old.product_id], false);
    return null;
end
$$;

-- A unit of a set is a factor of the prices that are told in it.
create function commerce.note_factors() returns trigger language plpgsql as $$
begin
    insert into commerce.catalogue_change (kind, ids)
    select 'goods', array_agg(distinct r.product_id)
    from commerce.product p join commerce.price r on r.product_id = p.id
    where p.unit_set_id in (select unit_set_id from changed) and r.unit is distinct from p.unit and r.unit is not null
    having count(*) > 0;
    return null;
end
$$;

do $$
declare
    noted record;
begin
    for noted in select unnest(array['stock_level', 'product_image']) as name loop
        execute format('drop trigger noted_insert on commerce.%1$I', noted.name);
        execute format('drop trigger noted_update on commerce.%1$I', noted.name);
        execute format('drop trigger noted_delete on commerce.%1$I', noted.name);
        execute format('create trigger noted_insert after insert on commerce.%I referencing new table as changed
                            for each statement execute function commerce.note_shown()', noted.name);
        execute format('create trigger noted_update after update on commerce.%I referencing new table as changed
                            for each statement execute function commerce.note_shown()', noted.name);
        execute format('create trigger noted_delete after delete on commerce.%I referencing old table as changed
                            for each statement execute function commerce.note_shown()', noted.name);
    end loop;
end
$$;
drop trigger noted_move on commerce.stock_level;
create trigger noted_move after update of product_id on commerce.stock_level
    for each row when (old.product_id <> new.product_id) execute function commerce.note_shown_move();

create trigger noted_factors_insert after insert on commerce.unit_set_line referencing new table as changed
    for each statement execute function commerce.note_factors();
create trigger noted_factors_update after update on commerce.unit_set_line referencing new table as changed
    for each statement execute function commerce.note_factors();
create trigger noted_factors_delete after delete on commerce.unit_set_line referencing old table as changed
    for each statement execute function commerce.note_factors();
