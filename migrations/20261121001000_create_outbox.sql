-- What has happened, written by the command that caused it, in its transaction. An aggregate's revision is raised under
-- its row lock, so (aggregate, aggregate_id, revision) says each change once and in order.
create table hub.outbox_event (
    id             uuid        not null,
    aggregate_id   bigint      not null,
    revision       bigint      not null,
    created_at     timestamptz not null,
    bulk           boolean     not null,
    type           text        collate "C" not null,
    aggregate      text        collate "C" not null,
    origin         text        collate "C" not null,
    correlation_id text        collate "C" not null,
    payload        jsonb       not null,
    constraint outbox_event_pkey primary key (id),
    constraint outbox_event_revision_key unique (aggregate, aggregate_id, revision),
    constraint outbox_event_revision_positive check (revision > 0)
);
comment on column hub.outbox_event.origin is 'Who caused it: an instance, a user. What came from a target is not sent back to it.';
comment on column hub.outbox_event.bulk is 'Caused by a first or full pass: delivered only to those who asked for such events.';
