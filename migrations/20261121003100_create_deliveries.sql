-- The engine's store, outbound half: what is to be told to whom, and what came of it.

-- A UUIDv7 of now, for rows that a statement makes.
create function hub.new_id() returns uuid
    language sql volatile parallel safe
    return (
        lpad(to_hex((extract(epoch from clock_timestamp()) * 1000)::bigint), 12, '0')
        || '7' || substr(replace(gen_random_uuid()::text, '-', ''), 14)
    )::uuid;

-- Whom deliveries go to. Configured ones are written by the daemons when they start.
create table hub.target (
    name          text        collate "C" not null,
    kind          text        not null,
    -- Types of events that it is told; '*' is every type.
    events        text[]      not null default '{}',
    -- Events of first and full passes as well.
    bulk          boolean     not null default false,
    -- A dead fact holds what follows on its key.
    blocks        boolean     not null default false,
    enabled       boolean     not null default true,
    paused_at     timestamptz,
    paused_cause  text,
    paused_reason text,
    updated_at    timestamptz not null default clock_timestamp(),
    constraint target_pkey primary key (name),
    constraint target_pause_cause_known check (paused_cause in ('person', 'credential', 'contract')),
    constraint target_pause_explained check ((paused_at is null) = (paused_cause is null))
);

-- Deliveries that are not finished: small and unpartitioned. A dead one stays here, beside its letter, until somebody
-- resolves it, since it may hold what follows.
create table hub.delivery (
    id               uuid        not null,
    target           text        collate "C" not null,
    type             text        collate "C" not null,
    state            text        not null default 'received',
    event_id         uuid,
    aggregate        text        collate "C" not null,
    -- None: nothing waits for it, and it waits for nothing.
    aggregate_id     bigint,
    revision         bigint,
    -- Only the newest of its key matters.
    newest_only      boolean     not null default false,
    blocks           boolean     not null default false,
    bulk             boolean     not null default false,
    origin           text        collate "C" not null,
    -- By what a person knows it.
    label            text        collate "C",
    payload          jsonb       not null,
    correlation_id   text        collate "C" not null,
    created_at       timestamptz not null default clock_timestamp(),
    due_at           timestamptz not null default clock_timestamp(),
    -- After it there is no use in it any more, by the program's clock.
    expires_at       timestamptz,
    first_attempt_at timestamptz,
    -- What became of its last call is not known.
    unknown_since    timestamptz,
    attempts         integer     not null default 0,
    claims           integer     not null default 0,
    lease_owner      uuid,
    lease_until      timestamptz,
    dead_letter_id   uuid,
    cause            text,
    reason           text,
    field            text,
    value            text,
    detail           text,
    constraint delivery_pkey primary key (id),
    constraint delivery_state_open
        check (state in ('received', 'working', 'waiting', 'held', 'blocked', 'dead')),
    constraint delivery_lease_iff_working
        check ((state = 'working') = (lease_owner is not null) and (state = 'working') = (lease_until is not null)),
    constraint delivery_key_whole check ((aggregate_id is null) = (revision is null)),
    constraint delivery_event_has_key check (event_id is null or aggregate_id is not null),
    constraint delivery_payload_object check (jsonb_typeof(payload) = 'object'),
    constraint delivery_cause_known check (cause in ('data', 'remote', 'credential', 'contract', 'ours'))
) with (fillfactor = 70);
create index delivery_due on hub.delivery (target, due_at, id) where state in ('received', 'waiting');
create index delivery_leased on hub.delivery (lease_until) where state = 'working';
create index delivery_held on hub.delivery (target, id) where state = 'held';
create index delivery_by_key on hub.delivery (target, aggregate, aggregate_id, revision) where aggregate_id is not null;
create unique index delivery_event on hub.delivery (event_id, target) where event_id is not null;

-- Finished deliveries. What they carried is their event's, which is kept as long as payloads are.
create table hub.delivery_history (
    id             uuid        not null,
    target         text        collate "C" not null,
    type           text        collate "C" not null,
    state          text        not null,
    event_id       uuid,
    aggregate      text        collate "C" not null,
    aggregate_id   bigint,
    revision       bigint,
    origin         text        collate "C" not null,
    label          text        collate "C",
    correlation_id text        collate "C" not null,
    created_at     timestamptz not null,
    finished_at    timestamptz not null default clock_timestamp(),
    attempts       integer     not null,
    claims         integer     not null,
    -- What the target said to it: its number there, its id.
    receipt        text,
    cause          text,
    reason         text,
    field          text,
    value          text,
    detail         text,
    constraint delivery_history_pkey primary key (id),
    constraint delivery_history_state_final
        check (state in ('done', 'superseded', 'discarded', 'cancelled'))
) partition by range (id);
create index delivery_history_by_target on hub.delivery_history (target, id desc);
create index delivery_history_by_key on hub.delivery_history (aggregate, aggregate_id);
create index delivery_history_by_label on hub.delivery_history (label) where label is not null;
create index delivery_history_by_correlation on hub.delivery_history (correlation_id);
create table hub.delivery_history_default partition of hub.delivery_history default;

-- What an attempt sent and what came back, short and without secrets.
alter table hub.attempt
    add column asked    text,
    add column answered text;
