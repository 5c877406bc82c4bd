with keys as (
    select k.entity, k.code from unnest($1::text[], $2::text[]) as k (entity, code)
), items as (
    select i.message_id, i.outcome, i.code
    from keys k join hub.message_item i on i.code = k.code
    union
    select i.message_id, i.outcome, i.code
    from keys k join hub.message_item i on i.code > k.code || '|' and i.code < k.code || '}'
    where k.entity = 'product'
)
select at as "at!", kind as "kind!", what as "what!", system, outcome, by, reference, correlation_id as "correlation_id!", detail
from (
    select m.received_at as at, 'record' as kind, coalesce(m.entity, 'record') || ' ' || i.code as what,
           m.connector || coalesce('.' || m.stream, '') as system, i.outcome, null::text as by, m.id::text as reference,
           m.correlation_id, null::text as detail
    from items i join hub.message_history m on m.id = i.message_id
    where m.entity in (select entity from keys) or i.code like '%|%'
    union all
    select m.received_at, 'message', m.entity || ' ' || m.key, m.connector || coalesce('.' || m.stream, ''), m.state, null,
           m.id::text, m.correlation_id, concat_ws(': ', m.reason, m.detail)
    from keys k join hub.message_history m on m.key = k.code and m.entity = k.entity
    union all
    select m.received_at, 'message', m.entity || ' ' || m.key, m.connector || coalesce('.' || m.stream, ''), m.state, null,
           m.id::text, m.correlation_id, concat_ws(': ', m.reason, m.detail)
    from keys k join hub.message m on m.key = k.code and m.entity = k.entity
    union all
    select d.created_at, 'dead_letter', d.entity || ' ' || d.key, d.connector || coalesce('.' || d.stream, ''), d.state, null,
           d.id::text, d.correlation_id, d.reason || ': ' || d.detail
    from keys k join hub.dead_letter d on d.key = k.code and d.entity = k.entity
    union all
    select d.resolved_at, 'dead_letter', d.entity || ' ' || d.key, d.connector || coalesce('.' || d.stream, ''), d.resolution,
           d.resolved_by, d.id::text, d.correlation_id, d.reason || ': ' || d.detail || coalesce(' (' || d.note || ')', '')
    from keys k join hub.dead_letter_history d on d.key = k.code and d.entity = k.entity
) as all_of_it
where $3::timestamptz is null or at < $3
order by at desc
fetch first ($4::bigint) rows with ties
