-- Products as they are shown, written down: what a page or a product's own page says, in JSON, but for its price, whether it is in
-- stock and its stock, which stand between head and tail; and the rows that may give somebody its price (packed; null: too many).
-- It is written by whoever keeps the shelf, from what stood there at `shelf_state.snapshot`: what changed since is not to be read here.
create table commerce.written_product (
    product_id bigint not null,
    head       text   not null,
    tail       text   not null,
    page_head  text   not null,
    page_tail  text   not null,
    prices     bytea,
    constraint written_product_pkey primary key (product_id)
) with (toast_tuple_target = 4080, fillfactor = 80);
alter table commerce.written_product
    alter column head set storage main, alter column tail set storage main, alter column prices set storage main,
    alter column page_head set storage external, alter column page_tail set storage external;

-- In which form they are written down: a program that writes another one writes all anew.
alter table commerce.shelf_state add column form text;

-- Pictures are written down with their product.
drop trigger noted_insert on commerce.product_image;
drop trigger noted_update on commerce.product_image;
drop trigger noted_delete on commerce.product_image;
create trigger noted_insert after insert on commerce.product_image referencing new table as changed
    for each statement execute function commerce.note_goods();
create trigger noted_update after update on commerce.product_image referencing new table as changed
    for each statement execute function commerce.note_goods();
create trigger noted_delete after delete on commerce.product_image referencing old table as changed
    for each statement execute function commerce.note_goods();

-- So are the names of its category and brand, and the units of its set. `tg_argv[0]`: how the product refers to it.
create function commerce.note_named() returns trigger language plpgsql as $$
begin
    execute format($note$
        insert into commerce.catalogue_change (kind, ids)
        select 'goods', array_agg(id)
        from (select p.id, (row_number() over (order by p.id) - 1) / 5000 as part
              from commerce.product p
              where p.%1$I in (select n.id from changed n join before b on b.id = n.id
                               where (n.code, n.name) is distinct from (b.code, b.name))) named
        group by part$note$, tg_argv[0]);
    return null;
end
$$;
create trigger noted_named after update on commerce.category
    referencing new table as changed old table as before
    for each statement execute function commerce.note_named('category_id');
create trigger noted_named after update on commerce.brand
    referencing new table as changed old table as before
    for each statement execute function commerce.note_named('brand_id');

create or replace function commerce.note_factors() returns trigger language plpgsql as $$
begin
    insert into commerce.catalogue_change (kind, ids)
    select 'goods', array_agg(id)
    from (select p.id, (row_number() over (order by p.id) - 1) / 5000 as part
          from commerce.product p
          where p.unit_set_id in (select unit_set_id from changed)) units
    group by part;
    return null;
end
$$;
