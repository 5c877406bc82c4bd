-- Letters as a bad month leaves them: a few reasons make most of them, a few things are rare, codes are all different.
insert into hub.dead_letter
    (id, message_id, kind, state, connector, stream, entity, key, mapping, mapping_hash, format, body, body_hash,
     correlation_id, run_id, cause, reason, field, value, detail, fingerprint, missing_entity, missing_code, attempts,
     received_at, created_at, updated_at)
select overlay(overlay(gen_random_uuid()::text placing left(hub.uuid_at(at)::text, 13) from 1) placing '7' from 15)::uuid,
       gen_random_uuid(), kind, case when n % 5000 = 7 then 'replaying' else 'dead' end, connector, stream, entity,
       'K' || lpad(n::text, 8, '0'), 'logo/' || stream, 'hash', 'json', body, '\x00', 'run-' || (n / 500),
       ('00000000-0000-7000-8000-' || lpad(to_hex(n / 500), 12, '0'))::uuid, cause, reason, field, 'v' || (n % 1000),
       case reason
           when 'missing_reference' then 'Brand not found: MARKA-' || (n % 3000)
           when 'too_long' then 'the value has ' || (201 + n % 500) || ' characters, the field takes 200'
           when 'missing_field' then 'the field is required, and the source gives nothing for it'
           when 'transient' then 'connection refused by 10.0.0.' || (n % 250)
           else 'the value ' || md5(n::text) || ' stands in no table'
       end,
       substr(md5(connector || entity || reason || coalesce(field, '')
                  || case when reason = 'missing_reference' then (n % 3000)::text else '' end), 1, 16),
       case when reason = 'missing_reference' then 'brand' end,
       case when reason = 'missing_reference' then 'MARKA-' || (n % 3000) end,
       case when n % 40 = 0 then 2 + n / 40 % 5 else 1 end, at, at, at
from (
    select n, now() - make_interval(secs => ($1 - n) * 2.0) as at,
           case when n % 50 = 3 then 'logo_izmir' else 'logo' end as connector,
           (array['items', 'items', 'items', 'items', 'prices', 'prices', 'stock', 'customers'])[1 + n % 8] as stream,
           (array['product', 'product', 'product', 'product', 'price', 'price', 'stock', 'customer'])[1 + n % 8] as entity,
           (array['missing_reference', 'missing_reference', 'too_long', 'missing_field', 'unmapped_code'])[1 + n / 3 % 5]
               as common,
           n % 10007 = 11 as is_remote
    from generate_series(1::bigint, $1) as n
) as g,
lateral (select case when is_remote then 'transient' else common end as reason,
                case when is_remote then 'remote' else 'data' end as cause,
                case when n % 997 = 5 then 'note.deliver' else 'document' end as kind) as r,
lateral (select case reason when 'missing_reference' then 'brand' when 'too_long' then 'name (NAME)'
                            when 'missing_field' then 'name (NAME)' when 'unmapped_code' then 'unit (UNIT)' end
                as field) as f,
(select decode(repeat('28b52ffd', 40), 'hex') as body) as b
