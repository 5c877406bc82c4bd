-- The unit lines of a page's products: the main unit of each, and a packing of every third.
insert into commerce.product_unit (product_id, position, decimals, is_main, unit, numerator, denominator, barcode)
select i.id, 0, 0, true, 'ADET', 1, 1, i.barcode
from unnest($1::bigint[], $2::text[]) as i (id, barcode)
union all
select i.id, 1, 0, false, 'KOLI', 12, 1, i.barcode || '0'
from unnest($1::bigint[], $2::text[]) as i (id, barcode)
where i.id % 3 = 0
