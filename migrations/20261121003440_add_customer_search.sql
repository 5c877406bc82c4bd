-- Finding and sorting customers, as products are found (commerce.fold).
alter table commerce.customer
    add column search_text text collate "C" not null
        generated always as (
            commerce.fold(' ' || code || ' ' || title || coalesce(' ' || tax_number, '') || coalesce(' ' || email, '')))
        stored;

create index customer_by_title on commerce.customer (title collate "tr-x-icu", id);

-- Without pg_trgm, which a server may have left out, a search reads all customers.
do $$
declare
    home text;
begin
    select quote_ident(n.nspname) into home
    from pg_extension e join pg_namespace n on n.oid = e.extnamespace where e.extname = 'pg_trgm';
    if home is not null then
        execute format('create index customer_by_search on commerce.customer using gin (search_text %s.gin_trgm_ops)', home);
    end if;
end
$$;
