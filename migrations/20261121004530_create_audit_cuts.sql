-- Audit rows are kept for years, and then a beginning of the chain goes as a whole. What it ended with stands here: the chain that
-- is left begins with this hash.
create table identity.audit_cut (
    place   bigint      not null,
    cut_at  timestamptz not null default clock_timestamp(),
    -- The rows up to the place are all older than that.
    before  timestamptz not null,
    hash    bytea       not null,
    constraint audit_cut_pkey primary key (place),
    constraint audit_cut_length check (octet_length(hash) = 32)
);

-- A cut is told before anything goes, names the chain as it is, and never leaves out the last year.
create function identity.judge_cut() returns trigger language plpgsql as $$
begin
    if new.before > clock_timestamp() - interval '1 year'
       or new.place <= coalesce((select max(place) from identity.audit_cut), 0)
       or not exists (select from identity.audit_seal where place = new.place and hash = new.hash)
       or exists (select from identity.audit_seal s join identity.audit_event e on e.id = s.event_id
                  where s.place <= new.place and e.at >= new.before) then
        raise exception 'the audit chain is not to be cut at place %', new.place using errcode = 'insufficient_privilege';
    end if;
    return new;
end
$$;
create trigger audit_cut_judge before insert on identity.audit_cut
    for each row execute function identity.judge_cut();
create trigger audit_cut_keep before update or delete or truncate on identity.audit_cut
    for each statement execute function identity.refuse_change();

-- What goes lies before the last cut.
create function identity.refuse_gap() returns trigger language plpgsql as $$
declare
    cut bigint := coalesce((select max(place) from identity.audit_cut), 0);
    stays boolean;
begin
    if tg_table_name = 'audit_seal' then
        select exists (select from gone where place > cut) into stays;
    else
        select exists (select from gone g left join identity.audit_seal s on s.event_id = g.id
                       where s.place is null or s.place > cut) into stays;
    end if;
    if stays then
        raise exception '%.% is only ever added to', tg_table_schema, tg_table_name
            using errcode = 'insufficient_privilege',
                  hint = 'Audit rows and their seals are neither changed nor removed; `kopru audit verify` tells where they were.';
    end if;
    return null;
end
$$;
drop trigger audit_event_keep on identity.audit_event;
drop trigger audit_seal_keep on identity.audit_seal;
create trigger audit_event_keep before update or truncate on identity.audit_event
    for each statement execute function identity.refuse_change();
create trigger audit_seal_keep before update or truncate on identity.audit_seal
    for each statement execute function identity.refuse_change();
create trigger audit_event_gap after delete on identity.audit_event referencing old table as gone
    for each statement execute function identity.refuse_gap();
create trigger audit_seal_gap after delete on identity.audit_seal referencing old table as gone
    for each statement execute function identity.refuse_gap();
