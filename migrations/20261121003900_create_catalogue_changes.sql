-- What daemons that keep parts of the catalogue have to forget. One row for each statement that changed something, written by
-- the statement itself: no writer can leave it out, and none waits for another. Kinds:
--   goods    ids of products whose price or stock changed
--   product  ids of products that changed themselves: which lists they are in, and where, may have changed as well
--   dealer   something about customers and their price lists
--   all      something that any product may show
-- `ids` null: so many that all are meant. `xid` tells a reader with an older snapshot what is new to it: the order of
-- numbers is not the order of commits. Rows are trimmed after some minutes.
create table commerce.catalogue_change (
    xid  xid8        not null default pg_current_xact_id(),
    at   timestamptz not null default clock_timestamp(),
    kind text        collate "C" not null,
    ids  bigint[],
    constraint catalogue_change_kind_known check (kind in ('goods', 'product', 'dealer', 'all'))
);
create index catalogue_change_by_xid on commerce.catalogue_change (xid);

-- `changed` is the statement's transition table. A statement that changed no row leaves no row.
create function commerce.note_goods() returns trigger language plpgsql as $$
begin
    insert into commerce.catalogue_change (kind, ids)
    select 'goods', case when count(*) <= 5000 then array_agg(product_id) end from changed having count(*) > 0;
    return null;
end
$$;

create function commerce.note_move() returns trigger language plpgsql as $$
begin
    insert into commerce.catalogue_change (kind, ids) values ('goods', array[old.product_id]);
    return null;
end
$$;

create function commerce.note_product() returns trigger language plpgsql as $$
begin
    insert into commerce.catalogue_change (kind, ids)
    select 'product', case when count(*) <= 5000 then array_agg(id) end from changed having count(*) > 0;
    return null;
end
$$;

create function commerce.note_any() returns trigger language plpgsql as $$
begin
    insert into commerce.catalogue_change (kind) select tg_argv[0] where exists (select from changed);
    return null;
end
$$;

do $$
declare
    noted record;
begin
    for noted in
        select * from (values
            ('price', 'note_goods()'), ('stock_level', 'note_goods()'),
            ('product_unit', 'note_goods()'), ('product_image', 'note_goods()'),
            ('product', 'note_product()'),
            ('customer', 'note_any(''dealer'')'), ('customer_price_list', 'note_any(''dealer'')'),
            ('price_list', 'note_any(''dealer'')'),
            ('category', 'note_any(''all'')'), ('brand', 'note_any(''all'')'), ('warehouse', 'note_any(''all'')'),
            ('unit_set', 'note_any(''all'')'), ('unit_set_line', 'note_any(''all'')')) as t (name, how)
    loop
        execute format('create trigger noted_insert after insert on commerce.%I referencing new table as changed
                            for each statement execute function commerce.%s', noted.name, noted.how);
        execute format('create trigger noted_update after update on commerce.%I referencing new table as changed
                            for each statement execute function commerce.%s', noted.name, noted.how);
        execute format('create trigger noted_delete after delete on commerce.%I referencing old table as changed
                            for each statement execute function commerce.%s', noted.name, noted.how);
    end loop;
end
$$;

-- The statement's own note tells the product that a row belongs to now.
create trigger noted_move after update of product_id on commerce.price
    for each row when (old.product_id <> new.product_id) execute function commerce.note_move();
create trigger noted_move after update of product_id on commerce.stock_level
    for each row when (old.product_id <> new.product_id) execute function commerce.note_move();

-- The rows of lists and customers of a product, whosever they are: what is kept of a product holds all of them.
create index price_of_some on commerce.price (product_id) where customer_id is not null or price_list_id is not null;
