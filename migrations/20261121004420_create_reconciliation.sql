-- Reconciliations: complete passes that compare every record with what the store holds, whatever was read of it before. A
-- reconciliation is a run; what it found stands here.
alter table hub.run
    drop constraint run_trigger_known,
    add constraint run_trigger_known check (trigger in ('schedule', 'manual', 'resume', 'reconcile'));

create table hub.reconciliation (
    run_id        uuid        not null,
    checked       bigint      not null default 0,
    same          bigint      not null default 0,
    differing     bigint      not null default 0,
    missing_here  bigint      not null default 0,
    missing_there bigint      not null default 0,
    repeated      bigint      not null default 0,
    refused       bigint      not null default 0,
    begun_at      timestamptz not null default clock_timestamp(),
    finished_at   timestamptz,
    connector     text        collate "C" not null,
    stream        text        collate "C" not null,
    entity        text        collate "C" not null,
    repairs       boolean     not null,
    constraint reconciliation_pkey primary key (run_id)
);

-- The first of each kind; the counts go on.
create table hub.reconciliation_finding (
    run_id uuid  not null,
    kind   text  collate "C" not null,
    code   text  collate "C" not null,
    fields jsonb,
    detail text,
    constraint reconciliation_finding_pkey primary key (run_id, kind, code),
    constraint reconciliation_finding_kind_known
        check (kind in ('differs', 'missing_here', 'missing_there', 'repeated', 'refused'))
);

-- The codes that a reconciliation under way has seen; emptied when it ends.
create table hub.reconciliation_seen (
    run_id uuid    not null,
    code   text    collate "C" not null,
    times  integer not null default 1,
    constraint reconciliation_seen_pkey primary key (run_id, code)
);
