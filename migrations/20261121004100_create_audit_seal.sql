-- The audit rows' sealing chain. A row is inserted unsealed by the transaction that did what it tells of, and noted in
-- identity.audit_unsealed by that same transaction; one sealer (src/audit/sealer.rs) takes it from there and gives it the
-- chain's next place. So a row whose transaction commits late takes a late place, and none is passed over.

-- Rows that wait for their seal. Short: a second's worth while a daemon is up.
create table identity.audit_unsealed (
    event_id uuid        not null,
    at       timestamptz not null,
    constraint audit_unsealed_pkey primary key (event_id)
);

-- Places rise by one, without gaps.
create table identity.audit_seal (
    place    bigint not null,
    event_id uuid   not null,
    content  bytea  not null,
    hash     bytea  not null,
    constraint audit_seal_pkey primary key (place),
    constraint audit_seal_event_unique unique (event_id),
    constraint audit_seal_place_positive check (place > 0),
    constraint audit_seal_lengths check (octet_length(content) = 32 and octet_length(hash) = 32)
);
comment on column identity.audit_seal.content is 'SHA-256 of the row';
comment on column identity.audit_seal.hash is 'SHA-256 of the hash before, the place, the id and the content';

-- How far the chain goes: what is cut off its end is missed here.
create table identity.audit_head (
    only_one  boolean     not null default true,
    place     bigint      not null,
    hash      bytea       not null,
    sealed_at timestamptz not null default clock_timestamp(),
    constraint audit_head_pkey primary key (only_one),
    constraint audit_head_only_one check (only_one),
    constraint audit_head_length check (octet_length(hash) = 32)
);
insert into identity.audit_head (place, hash) values (0, decode(repeat('00', 32), 'hex'));

insert into identity.audit_unsealed (event_id, at) select id, at from identity.audit_event;

create function identity.note_unsealed() returns trigger language plpgsql as $$
begin
    insert into identity.audit_unsealed (event_id, at) select id, at from added;
    return null;
end
$$;
create trigger audit_event_note after insert on identity.audit_event
    referencing new table as added for each statement execute function identity.note_unsealed();

-- Nobody changes the books, the program itself included; whoever owns the tables can switch this off, and the chain tells.
create function identity.refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '%.% is only ever added to', tg_table_schema, tg_table_name
        using errcode = 'insufficient_privilege',
              hint = 'Audit rows and their seals are neither changed nor removed; `kopru audit verify` tells where they were.';
end
$$;
create trigger audit_event_keep before update or delete or truncate on identity.audit_event
    for each statement execute function identity.refuse_change();
create trigger audit_seal_keep before update or delete or truncate on identity.audit_seal
    for each statement execute function identity.refuse_change();
create trigger audit_head_keep before delete or truncate on identity.audit_head
    for each statement execute function identity.refuse_change();

create function identity.refuse_step_back() returns trigger language plpgsql as $$
begin
    if new.place <= old.place then
        raise exception 'the head of the audit chain only moves on' using errcode = 'insufficient_privilege';
    end if;
    return new;
end
$$;
create trigger audit_head_forward before update on identity.audit_head
    for each row execute function identity.refuse_step_back();
