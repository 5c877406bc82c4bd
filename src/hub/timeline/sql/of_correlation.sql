with deliveries as (
    select d.id, d.created_at as at, d.type, d.target, d.state, d.reason, d.detail
    from hub.delivery d where d.correlation_id = $1
    union all
    select d.id, d.finished_at, d.type, d.target, d.state, d.reason, coalesce(d.detail, d.receipt)
    from hub.delivery_history d where d.correlation_id = $1
)
select at as "at!", kind as "kind!", what as "what!", system, outcome, by, reference, $1::text as "correlation_id!", detail
from (
    select m.received_at as at, 'message' as kind, coalesce(m.entity, m.kind) || coalesce(' ' || m.key, '') as what,
           m.connector || coalesce('.' || m.stream, '') as system, m.state as outcome, null::text as by,
           m.id::text as reference, nullif(concat_ws(': ', m.reason, m.detail), '') as detail
    from hub.message_history m where m.correlation_id = $1
    union all
    select m.received_at, 'message', coalesce(m.entity, m.kind) || coalesce(' ' || m.key, ''),
           m.connector || coalesce('.' || m.stream, ''), m.state, null, m.id::text, nullif(concat_ws(': ', m.reason, m.detail), '')
    from hub.message m where m.correlation_id = $1
    union all
    select d.created_at, 'dead_letter', coalesce(d.entity, d.kind) || coalesce(' ' || d.key, ''),
           d.connector || coalesce('.' || d.stream, ''), d.state, null, d.id::text, d.reason || ': ' || d.detail
    from hub.dead_letter d where d.correlation_id = $1
    union all
    select d.at, 'delivery', d.type, d.target, d.state, null, d.id::text, nullif(concat_ws(': ', d.reason, d.detail), '')
    from deliveries d
    union all
    select a.finished_at, 'attempt', d.type || ', attempt ' || a.number, d.target, a.outcome, null, d.id::text,
           nullif(concat_ws(': ', a.reason, a.detail), '')
    from deliveries d join hub.attempt a on a.message_id = d.id
) as all_of_it
where $2::timestamptz is null or at < $2
order by at desc
fetch first ($3::bigint) rows with ties
