-- What people answered for an external code of one instance only. It lies over the answers for its whole system.
create table hub.mapping_overlay_instance (
    connector   text        collate "C" not null,
    system      text        collate "C" not null,
    table_name  text        collate "C" not null,
    code        text        collate "C" not null,
    value       text        not null,
    answered_by text        not null,
    answered_at timestamptz not null default clock_timestamp(),
    constraint mapping_overlay_instance_pkey primary key (system, table_name, code, connector)
);

-- Every answer that is given: those without an instance hold for all.
create view hub.mapping_answer as
    select system, table_name, code, null::text collate "C" as connector, value, answered_by, answered_at
    from hub.mapping_overlay
    union all
    select system, table_name, code, connector, value, answered_by, answered_at
    from hub.mapping_overlay_instance;
