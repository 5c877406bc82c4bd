-- Goods in a warehouse that is closed are nobody's to order, and are shown to nobody: opening and closing one is noted as its name is.
create or replace function commerce.note_places() returns trigger language plpgsql as $$
begin
    insert into commerce.catalogue_change (kind, ids, of_prices)
    select 'goods', array_agg(product_id), false
    from (select l.product_id, (row_number() over (order by l.product_id) - 1) / 5000 as part
          from commerce.stock_level l
          where l.warehouse_id in (select n.id from changed n join before b on b.id = n.id
                                   where (n.code, n.name, n.is_active, n.deleted_at)
                                         is distinct from (b.code, b.name, b.is_active, b.deleted_at))) placed
    group by part;
    return null;
end
$$;
-- What was written down before counted them.
update commerce.shelf_state set form = null;
