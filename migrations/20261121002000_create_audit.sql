-- Who did what, and when: inserted by the transaction that did it, never changed. Ids rise with time.
create table identity.audit_event (
    id             uuid        not null,
    at             timestamptz not null default clock_timestamp(),
    actor          text        collate "C" not null,
    action         text        collate "C" not null,
    subject_kind   text        collate "C" not null,
    subject        text        collate "C" not null,
    correlation_id text        collate "C" not null,
    detail         jsonb       not null,
    constraint audit_event_pkey primary key (id),
    constraint audit_event_detail_is_object check (jsonb_typeof(detail) = 'object')
);
create index audit_event_by_subject on identity.audit_event (subject, subject_kind, id);
create index audit_event_by_actor on identity.audit_event (actor, id);
comment on column identity.audit_event.actor is 'cli:<user of the machine>, api-key:<prefix>, user:<id>, or hub';
