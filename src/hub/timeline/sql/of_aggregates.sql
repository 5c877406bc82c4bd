with things as (
    select t.aggregate, t.id from unnest($1::text[], $2::bigint[]) as t (aggregate, id)
), deliveries as (
    select d.id, d.created_at as at, d.type, d.target, d.state, d.correlation_id, d.reason, d.detail
    from things t join hub.delivery d on d.aggregate = t.aggregate and d.aggregate_id = t.id
    union all
    select d.id, d.finished_at, d.type, d.target, d.state, d.correlation_id, d.reason, coalesce(d.detail, d.receipt)
    from things t join hub.delivery_history d on d.aggregate = t.aggregate and d.aggregate_id = t.id
)
select at as "at!", kind as "kind!", what as "what!", system, outcome, by, reference, correlation_id as "correlation_id!", detail
from (
    select e.created_at as at, 'event' as kind, e.type as what, null::text as system, 'revision ' || e.revision as outcome,
           e.origin as by, e.id::text as reference, e.correlation_id, null::text as detail
    from things t join hub.outbox_event e on e.aggregate = t.aggregate and e.aggregate_id = t.id
    union all
    select d.at, 'delivery', d.type, d.target, d.state, null, d.id::text, d.correlation_id,
           nullif(concat_ws(': ', d.reason, d.detail), '')
    from deliveries d
    union all
    select a.finished_at, 'attempt', d.type || ', attempt ' || a.number, d.target, a.outcome, null, d.id::text,
           d.correlation_id, nullif(concat_ws(': ', a.reason, a.detail), '')
    from deliveries d join hub.attempt a on a.message_id = d.id
) as all_of_it
where $3::timestamptz is null or at < $3
order by at desc
fetch first ($4::bigint) rows with ties
