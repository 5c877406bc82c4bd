-- What a dealer's prices depend on, of $1: their id (null: there is no such dealer), code, tier and currency, then each of their lists
-- with its priority.
(select array[c.id::text, c.code, c.price_tier, c.currency]
        || array(select l.price_list_id || ' ' || l.priority
                 from commerce.customer_price_list l
                 join commerce.price_list t on t.id = l.price_list_id and t.is_active and t.deleted_at is null
                 where l.customer_id = asked.id
                 order by l.price_list_id)
 from (select $1::bigint as id) asked
 left join commerce.customer c on c.id = asked.id and c.deleted_at is null)
