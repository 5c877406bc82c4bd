with stored as (
    insert into hub.message_history (id, kind, state, connector, stream, entity, mapping, mapping_hash, format,
        correlation_id, records, received_at, finished_at)
    values ($1, 'page', 'done', 'logo', 'items', 'product', 'items.toml', 'floor', 'json', 'floor', $2, $3, $3)
)
insert into hub.payload_history (message_id, body) values ($1, $4)
