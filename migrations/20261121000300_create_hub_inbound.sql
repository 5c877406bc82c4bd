-- The engine's store, inbound half. Open things are small and unpartitioned; what is finished moves to *_history,
-- range-partitioned by its UUIDv7, so that retention is a dropped partition.

-- The smallest UUIDv7 of an instant: partition bounds and "everything since" are computed with it.
create function hub.uuid_at(at timestamptz) returns uuid
    language sql immutable strict parallel safe
    return (
        lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '70008000000000000000'
    )::uuid;

-- Processes that share the database.
create table hub.daemon (
    id           uuid        not null,
    host         text        not null,
    pid          integer     not null,
    version      text        not null,
    started_at   timestamptz not null default clock_timestamp(),
    heartbeat_at timestamptz not null default clock_timestamp(),
    constraint daemon_pkey primary key (id)
);

-- Who may do a thing that only one may do: poll a stream, call an exclusive system, trim history.
create table hub.lease (
    name        text        not null,
    owner       uuid        not null,
    acquired_at timestamptz not null default clock_timestamp(),
    expires_at  timestamptz not null,
    constraint lease_pkey primary key (name)
);

create table hub.breaker (
    connector          text        not null,
    state              text        not null default 'closed',
    faults_in_a_row    integer     not null default 0,
    opened_at          timestamptz,
    next_probe_at      timestamptz,
    last_fault         text,
    last_fault_at      timestamptz,
    last_success_at    timestamptz,
    constraint breaker_pkey primary key (connector),
    constraint breaker_state_known check (state in ('closed', 'open', 'half_open')),
    constraint breaker_open_has_probe check ((state = 'closed') = (opened_at is null) and (state = 'closed') = (next_probe_at is null))
);

-- One row per stream that was ever run. Paused by a person, or by a credential or contract fault.
create table hub.stream (
    connector        text        not null,
    stream           text        not null,
    paused_at        timestamptz,
    paused_cause     text,
    paused_reason    text,
    last_run_id      uuid,
    last_started_at  timestamptz,
    last_success_at  timestamptz,
    last_full_at     timestamptz,
    last_error       text,
    failures_in_a_row integer    not null default 0,
    constraint stream_pkey primary key (connector, stream),
    constraint stream_pause_cause_known check (paused_cause in ('person', 'credential', 'contract')),
    constraint stream_pause_explained check ((paused_at is null) = (paused_cause is null))
);

-- Where a pass stands; written in the transaction of the work that it stands for.
create table hub.cursor (
    connector       text        not null,
    stream          text        not null,
    pass            text        not null,
    position        jsonb       not null,
    pass_started_at timestamptz not null,
    updated_at      timestamptz not null default clock_timestamp(),
    constraint cursor_pkey primary key (connector, stream, pass),
    constraint cursor_pass_known check (pass in ('full', 'incremental'))
);

create table hub.run (
    id             uuid        not null,
    connector      text        not null,
    stream         text        not null,
    pass           text        not null,
    trigger        text        not null,
    state          text        not null,
    dry_run        boolean     not null default false,
    since          timestamptz,
    owner          uuid,
    correlation_id text        not null,
    requested_at   timestamptz not null default clock_timestamp(),
    started_at     timestamptz,
    finished_at    timestamptz,
    expected       bigint,
    pages          bigint      not null default 0,
    records        bigint      not null default 0,
    created        bigint      not null default 0,
    updated        bigint      not null default 0,
    unchanged      bigint      not null default 0,
    stale          bigint      not null default 0,
    superseded     bigint      not null default 0,
    deferred       bigint      not null default 0,
    failed         bigint      not null default 0,
    skipped        bigint      not null default 0,
    cause          text,
    error          text,
    constraint run_pkey primary key (id),
    constraint run_pass_known check (pass in ('full', 'incremental')),
    constraint run_trigger_known check (trigger in ('schedule', 'manual', 'resume')),
    constraint run_state_known check (state in ('requested', 'running', 'done', 'failed', 'interrupted')),
    constraint run_finished_iff_final check ((state in ('done', 'failed', 'interrupted')) = (finished_at is not null)),
    constraint run_cause_known check (cause in ('data', 'remote', 'credential', 'contract', 'ours'))
);
create index run_by_stream on hub.run (connector, stream, id desc);
create index run_requested on hub.run (requested_at) where state = 'requested';
create index run_running on hub.run (owner) where state = 'running';

-- Record to record: which commerce row an external code is. The unique keys begin with what tells rows apart, so that
-- the planner cannot take one for a scan of all rows of an instance while the table has no statistics yet.
create table hub.external_ref (
    id             bigint generated by default as identity,
    internal_id    bigint      not null,
    source_version bigint,
    last_synced_at timestamptz not null default clock_timestamp(),
    connector      text        collate "C" not null,
    entity         text        collate "C" not null,
    external_code  text        collate "C" not null,
    external_id    text        collate "C",
    version_kind   text        collate "C",
    content_hash   bytea,
    constraint external_ref_pkey primary key (id),
    constraint external_ref_code_key unique (external_code, connector, entity),
    constraint external_ref_external_id_key unique (external_id, connector, entity),
    constraint external_ref_internal_id_key unique (internal_id, connector, entity),
    constraint external_ref_hash_length check (octet_length(content_hash) = 16),
    constraint external_ref_version_has_kind check ((source_version is null) = (version_kind is null))
) with (fillfactor = 85);

-- A renamed card's old codes: documents that still name them find their way.
create table hub.external_ref_alias (
    connector     text        collate "C" not null,
    entity        text        collate "C" not null,
    external_code text        collate "C" not null,
    internal_id   bigint      not null,
    renamed_at    timestamptz not null default clock_timestamp(),
    constraint external_ref_alias_pkey primary key (connector, entity, external_code)
);

-- Queued lane: everything that is not finished yet.
create table hub.message (
    id               uuid        not null,
    kind             text        not null,
    state            text        not null,
    connector        text        collate "C" not null,
    stream           text,
    entity           text        collate "C",
    key              text        collate "C",
    mapping          text,
    mapping_hash     text,
    format           text        not null,
    body             bytea       not null,
    correlation_id   text        not null,
    run_id           uuid,
    dead_letter_id   uuid,
    received_at      timestamptz not null default clock_timestamp(),
    due_at           timestamptz not null default clock_timestamp(),
    give_up_at       timestamptz,
    first_attempt_at timestamptz,
    attempts         integer     not null default 0,
    claims           integer     not null default 0,
    lease_owner      uuid,
    lease_until      timestamptz,
    cause            text,
    reason           text,
    field            text,
    value            text,
    detail           text,
    constraint message_pkey primary key (id),
    constraint message_state_open check (state in ('received', 'working', 'waiting', 'held', 'deferred', 'blocked')),
    constraint message_lease_iff_working
        check ((state = 'working') = (lease_owner is not null) and (state = 'working') = (lease_until is not null)),
    constraint message_cause_known check (cause in ('data', 'remote', 'credential', 'contract', 'ours')),
    constraint message_deferred_gives_up check (state <> 'deferred' or give_up_at is not null)
) with (fillfactor = 70);
create index message_due on hub.message (due_at, id) where state in ('received', 'waiting');
create index message_leased on hub.message (lease_until) where state = 'working';
create index message_held on hub.message (connector, id) where state = 'held';
create index message_give_up on hub.message (give_up_at) where state = 'deferred';
create index message_by_key on hub.message (connector, entity, key);
-- Only the newest document of a key waits for a reference.
create unique index message_deferred_key on hub.message (connector, entity, key) where state = 'deferred';

-- What a deferred message waits for.
create table hub.message_wait (
    message_id uuid not null,
    connector  text collate "C" not null,
    entity     text collate "C" not null,
    code       text collate "C" not null,
    constraint message_wait_pkey primary key (message_id, entity, code),
    constraint message_wait_message_fkey foreign key (message_id) references hub.message (id) on delete cascade
);
create index message_wait_target on hub.message_wait (connector, entity, code);

-- Dead letters that nobody has resolved yet, each with a copy of its payload.
create table hub.dead_letter (
    id             uuid        not null,
    message_id     uuid        not null,
    kind           text        not null,
    state          text        not null default 'dead',
    connector      text        collate "C" not null,
    stream         text,
    entity         text        collate "C",
    key            text        collate "C",
    mapping        text,
    mapping_hash   text,
    format         text        not null,
    body           bytea       not null,
    body_hash      bytea       not null,
    correlation_id text        not null,
    run_id         uuid,
    cause          text        not null,
    reason         text        not null,
    field          text,
    value          text,
    detail         text        not null,
    fingerprint    text        not null,
    missing_entity text        collate "C",
    missing_code   text        collate "C",
    attempts       integer     not null default 0,
    seen           bigint      not null default 1,
    received_at    timestamptz not null,
    created_at     timestamptz not null default clock_timestamp(),
    updated_at     timestamptz not null default clock_timestamp(),
    constraint dead_letter_pkey primary key (id),
    constraint dead_letter_state_known check (state in ('dead', 'replaying')),
    constraint dead_letter_cause_known check (cause in ('data', 'remote', 'credential', 'contract', 'ours')),
    constraint dead_letter_missing_whole check ((missing_entity is null) = (missing_code is null))
);
-- A record that fails again at the next pass is the same letter, not another one.
create unique index dead_letter_key on hub.dead_letter (connector, entity, key) where key is not null;
create index dead_letter_by_fingerprint on hub.dead_letter (fingerprint, id);
create index dead_letter_by_connector on hub.dead_letter (connector, stream, id);
create index dead_letter_missing on hub.dead_letter (connector, missing_entity, missing_code) where missing_code is not null;

-- Finished things.
create table hub.message_history (
    id             uuid        not null,
    kind           text        not null,
    state          text        not null,
    connector      text        not null,
    stream         text,
    entity         text,
    key            text        collate "C",
    mapping        text,
    mapping_hash   text,
    format         text        not null,
    correlation_id text        not null,
    run_id         uuid,
    records        integer     not null default 1,
    attempts       integer     not null default 0,
    claims         integer     not null default 0,
    received_at    timestamptz not null,
    finished_at    timestamptz not null default clock_timestamp(),
    internal_id    bigint,
    cause          text,
    reason         text,
    field          text,
    value          text,
    detail         text,
    constraint message_history_pkey primary key (id),
    constraint message_history_state_final
        check (state in ('done', 'unchanged', 'stale', 'superseded', 'dead', 'discarded'))
) partition by range (id);
create index message_history_by_connector on hub.message_history (connector, stream, id desc);
create index message_history_by_run on hub.message_history (run_id) where run_id is not null;
create index message_history_by_correlation on hub.message_history (correlation_id);
create index message_history_by_key on hub.message_history (key) where key is not null;
create table hub.message_history_default partition of hub.message_history default;

-- The bytes of finished messages, kept for a shorter time than the fact that they came.
create table hub.payload_history (
    message_id uuid  not null,
    body       bytea not null,
    constraint payload_history_pkey primary key (message_id)
) partition by range (message_id);
alter table hub.payload_history alter column body set storage external;
create table hub.payload_history_default partition of hub.payload_history default;

-- One row for each record of a page that had an effect; unchanged and stale ones are counters of the run.
create table hub.message_item (
    message_id  uuid     not null,
    ordinal     integer  not null,
    outcome     text     not null,
    code        text     collate "C",
    internal_id bigint,
    constraint message_item_pkey primary key (message_id, ordinal),
    constraint message_item_outcome_known
        check (outcome in ('created', 'updated', 'deferred', 'failed', 'superseded'))
) partition by range (message_id);
create index message_item_by_code on hub.message_item (code);
create table hub.message_item_default partition of hub.message_item default;

create table hub.attempt (
    id          uuid        not null,
    message_id  uuid        not null,
    number      integer     not null,
    owner       uuid        not null,
    started_at  timestamptz not null,
    finished_at timestamptz not null default clock_timestamp(),
    outcome     text        not null,
    cause       text,
    reason      text,
    detail      text,
    constraint attempt_pkey primary key (id)
) partition by range (id);
create index attempt_by_message on hub.attempt (message_id, number);
create table hub.attempt_default partition of hub.attempt default;

create table hub.dead_letter_history (
    id             uuid        not null,
    message_id     uuid        not null,
    kind           text        not null,
    resolution     text        not null,
    resolved_by    text        not null,
    resolved_at    timestamptz not null default clock_timestamp(),
    note           text,
    connector      text        not null,
    stream         text,
    entity         text,
    key            text        collate "C",
    mapping        text,
    mapping_hash   text,
    format         text        not null,
    body           bytea       not null,
    correlation_id text        not null,
    run_id         uuid,
    cause          text        not null,
    reason         text        not null,
    field          text,
    value          text,
    detail         text        not null,
    fingerprint    text        not null,
    attempts       integer     not null,
    seen           bigint      not null,
    received_at    timestamptz not null,
    created_at     timestamptz not null,
    constraint dead_letter_history_pkey primary key (id),
    constraint dead_letter_history_resolution_known
        check (resolution in ('replayed', 'superseded', 'discarded'))
) partition by range (id);
create index dead_letter_history_by_key on hub.dead_letter_history (key) where key is not null;
create table hub.dead_letter_history_default partition of hub.dead_letter_history default;
