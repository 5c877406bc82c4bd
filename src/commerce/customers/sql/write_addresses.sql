insert into commerce.customer_address (
    customer_id, position, is_default, code, title, line1, line2, district, town, city, country, postal_code, phone
)
select *
from unnest(
    $1::bigint[], $2::smallint[], $3::boolean[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
    $9::text[], $10::text[], $11::text[], $12::text[], $13::text[]
)
on conflict (customer_id, code) do update
set position = excluded.position, is_default = excluded.is_default, is_active = true, title = excluded.title,
    line1 = excluded.line1, line2 = excluded.line2, district = excluded.district, town = excluded.town,
    city = excluded.city, country = excluded.country, postal_code = excluded.postal_code, phone = excluded.phone
