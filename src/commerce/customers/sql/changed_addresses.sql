-- The customers of $1 whose addresses in use differ from the carried ones.
with carried as (
    select *
    from unnest(
        $2::bigint[], $3::smallint[], $4::boolean[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
        $10::text[], $11::text[], $12::text[], $13::text[], $14::text[]
    ) as c (
        customer_id, position, is_default, code, title, line1, line2, district, town, city, country, postal_code, phone
    )
), stored as (
    select * from commerce.customer_address where customer_id = any ($1) and is_active
)
select distinct coalesce(c.customer_id, s.customer_id) as "id!"
from carried c
full join stored s on s.customer_id = c.customer_id and s.code = c.code
where (c.position, c.is_default, c.code, c.title, c.line1, c.line2, c.district, c.town, c.city, c.country,
        c.postal_code, c.phone)
    is distinct from (s.position, s.is_default, s.code, s.title, s.line1, s.line2, s.district, s.town, s.city,
        s.country, s.postal_code, s.phone)
