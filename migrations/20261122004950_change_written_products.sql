-- What is written down of a product lies packed, with its stock, in two tables: lists read short rows, one product's page reads its own.
-- The forms are those of `commerce::catalogue::written::packed`. Both are made anew from what they are of.
drop table commerce.written_product;
create table commerce.written_product (
    product_id bigint not null,
    line       bytea  not null,
    constraint written_product_pkey primary key (product_id)
) with (toast_tuple_target = 4080, fillfactor = 80);
create table commerce.written_page (
    product_id bigint not null,
    page       bytea  not null,
    constraint written_page_pkey primary key (product_id)
) with (toast_tuple_target = 4080, fillfactor = 80);
alter table commerce.written_product alter column line set storage main;
alter table commerce.written_page alter column page set storage main;
update commerce.shelf_state set form = null;

-- The name of a warehouse is written down with the stock that lies in it. What is named in a note without prices is stock.
create function commerce.note_places() returns trigger language plpgsql as $$
begin
    insert into commerce.catalogue_change (kind, ids, of_prices)
    select 'goods', array_agg(product_id), false
    from (select l.product_id, (row_number() over (order by l.product_id) - 1) / 5000 as part
          from commerce.stock_level l
          where l.warehouse_id in (select n.id from changed n join before b on b.id = n.id
                                   where (n.code, n.name) is distinct from (b.code, b.name))) placed
    group by part;
    return null;
end
$$;
create trigger noted_places after update on commerce.warehouse
    referencing new table as changed old table as before
    for each statement execute function commerce.note_places();
