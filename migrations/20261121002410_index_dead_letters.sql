-- Letters are listed newest first by any one thing: each index gives that order, and where two things are asked for the
-- rarer one is walked.
drop index hub.dead_letter_by_connector;
drop index hub.dead_letter_by_fingerprint;
create index dead_letter_by_connector on hub.dead_letter (connector, id);
create index dead_letter_by_stream on hub.dead_letter (stream, id);
create index dead_letter_by_entity on hub.dead_letter (entity, id);
-- What most people ask for together, and what often nothing is found for.
create index dead_letter_by_stream_and_reason on hub.dead_letter (stream, reason, id);
create index dead_letter_by_entity_and_reason on hub.dead_letter (entity, reason, id);
create index dead_letter_by_cause on hub.dead_letter (cause, id);
create index dead_letter_by_kind on hub.dead_letter (kind, id);
create index dead_letter_by_reason on hub.dead_letter (reason, id);
-- A letter of the mapping names the source beside the field: `name (NAME)`.
create index dead_letter_by_field on hub.dead_letter (split_part(field, ' (', 1), id);
create index dead_letter_by_fingerprint on hub.dead_letter (fingerprint, id) include (created_at);
create index dead_letter_by_code on hub.dead_letter (key, id);
create index dead_letter_by_mapping on hub.dead_letter (mapping, id);
create index dead_letter_by_correlation on hub.dead_letter (correlation_id, id);
create index dead_letter_by_run on hub.dead_letter (run_id, id) where run_id is not null;
create index dead_letter_by_message on hub.dead_letter (message_id);
create index dead_letter_by_missing_code on hub.dead_letter (missing_code, id) where missing_code is not null;
create index dead_letter_being_replayed on hub.dead_letter (id) where state = 'replaying';
create index dead_letter_tried_again on hub.dead_letter (attempts, id) where attempts > 1;

-- Text within a detail, where the server has trigrams (Debian's has); without them such a search reads every letter.
do $$
declare
    place text;
begin
    begin
        create extension if not exists pg_trgm with schema hub;
    exception when insufficient_privilege or undefined_file or feature_not_supported then
        raise notice 'no pg_trgm here (%): a search in the details of dead letters reads them all', sqlerrm;
    end;
    select n.nspname into place
    from pg_extension e join pg_namespace n on n.oid = e.extnamespace where e.extname = 'pg_trgm';
    if place is not null then
        execute format('create index dead_letter_by_detail on hub.dead_letter using gin (detail %I.gin_trgm_ops)', place);
    end if;
end
$$;
