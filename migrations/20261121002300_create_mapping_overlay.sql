-- What people answered for external codes that stand in no table of the mapping files. It lies over the files' tables.
create table hub.mapping_overlay (
    system      text        collate "C" not null,
    table_name  text        collate "C" not null,
    code        text        collate "C" not null,
    value       text        not null,
    answered_by text        not null,
    answered_at timestamptz not null default clock_timestamp(),
    constraint mapping_overlay_pkey primary key (system, table_name, code)
);

-- One row, raised by every answer that is given or taken back: who holds the answers of this number holds them all.
create table hub.mapping_overlay_version (
    singleton boolean not null default true,
    version   bigint  not null default 0,
    constraint mapping_overlay_version_pkey primary key (singleton),
    constraint mapping_overlay_version_single check (singleton)
);
insert into hub.mapping_overlay_version default values;

-- External codes that no table knew, by the instance that sent them. The code is trimmed on the right, and `160.0` is
-- `160`.
create table hub.unmapped_code (
    connector     text        collate "C" not null,
    system        text        collate "C" not null,
    table_name    text        collate "C" not null,
    code          text        collate "C" not null,
    mapping       text        not null,
    seen          bigint      not null,
    example       text,
    first_seen_at timestamptz not null default clock_timestamp(),
    last_seen_at  timestamptz not null default clock_timestamp(),
    ignored_at    timestamptz,
    ignored_by    text,
    constraint unmapped_code_pkey primary key (system, table_name, code, connector),
    constraint unmapped_code_ignored_by_somebody check ((ignored_at is null) = (ignored_by is null))
);

-- Which mappings each daemon works by, and why it has not taken over the last edit.
create table hub.daemon_mapping (
    daemon          uuid        not null,
    source          text        not null,
    hash            text        not null,
    overlay_version bigint      not null,
    mappings        jsonb       not null,
    taken_over_at   timestamptz not null default clock_timestamp(),
    error           text,
    error_at        timestamptz,
    constraint daemon_mapping_pkey primary key (daemon),
    constraint daemon_mapping_daemon_fkey foreign key (daemon) references hub.daemon (id) on delete cascade,
    constraint daemon_mapping_error_dated check ((error is null) = (error_at is null))
);
