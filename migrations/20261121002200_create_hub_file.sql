-- Files that were taken out of watched folders. The file itself lies in the folder's work/, done/ or failed/; its row
-- says how far it is, and is written in the transaction of each slice of its records.
create table hub.file (
    id          uuid        not null,
    folder      text        collate "C" not null,
    -- As it lay in the folder, and as it lies in work/ now or in done/ or failed/ later.
    name        text        not null,
    work_name   text        not null,
    kept_name   text,
    connector   text        collate "C" not null,
    state       text        not null,
    size        bigint      not null,
    sha256      bytea,
    format      text,
    encoding    text,
    mapping     text,
    received_at timestamptz not null default clock_timestamp(),
    checked_at  timestamptz,
    finished_at timestamptz,
    -- When it was put away, with its report beside it.
    filed_at    timestamptz,
    -- Records in it, and how many of them are behind us.
    expected    bigint,
    records     bigint      not null default 0,
    created     bigint      not null default 0,
    updated     bigint      not null default 0,
    unchanged   bigint      not null default 0,
    stale       bigint      not null default 0,
    superseded  bigint      not null default 0,
    deferred    bigint      not null default 0,
    deactivated bigint      not null default 0,
    skipped     bigint      not null default 0,
    failed      bigint      not null default 0,
    -- Why the whole file was refused, and where.
    reason      text,
    line        bigint,
    byte        bigint,
    detail      text,
    -- What keeps it from going on, for the time being.
    problem     text,
    constraint file_pkey primary key (id),
    constraint file_work_name_key unique (folder, work_name),
    constraint file_state_known check (state in ('taken', 'applying', 'done', 'failed', 'again')),
    constraint file_finished_iff_final check ((state in ('taken', 'applying')) = (finished_at is null)),
    constraint file_checked_before_applied check (state not in ('applying', 'done') or expected is not null),
    constraint file_failed_has_reason check (state <> 'failed' or reason is not null)
);
create index file_by_folder on hub.file (folder, id desc);
create index file_unfiled on hub.file (folder, id) where filed_at is null;

-- The first of a file's records that did not go in, for its report.
create table hub.file_failure (
    file_id        uuid   not null,
    ordinal        bigint not null,
    line           bigint not null,
    code           text   collate "C",
    field          text,
    reason         text   not null,
    value          text,
    detail         text   not null,
    dead_letter_id uuid,
    constraint file_failure_pkey primary key (file_id, ordinal),
    constraint file_failure_file_fkey foreign key (file_id) references hub.file (id) on delete cascade
);
