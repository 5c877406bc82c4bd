-- Which of the codes and SKUs of a page other products hold.
select 'code' as "kind!", p.code as "key!", p.id as "id!", p.code as "code!"
from unnest($1::bigint[], $2::text[]) as i (id, code)
join commerce.product p on p.code = i.code and p.id <> i.id
union all
select 'sku', p.sku, p.id, p.code
from unnest($1::bigint[], $3::text[]) as i (id, sku)
join commerce.product p on p.sku = i.sku and p.id <> i.id
