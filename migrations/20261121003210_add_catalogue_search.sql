-- Finding and sorting in the catalogue.
-- What two spellings of a name have in common, as `turkish::fold` has it: no case, no marks over and under letters, one
-- kind of i. `IŞIK`, `Işık` and `isik` are the same text.
create function commerce.fold(spelt text) returns text
    language sql immutable strict parallel safe
    return translate(
        lower(normalize(spelt, NFD) collate "und-x-icu"),
        U&'\0131\00F8\0142\0300\0301\0302\0303\0304\0306\0307\0308\030A\030B\030C\0323\0326\0327\0328',
        'iol');

-- A blank before the first word, so that words begin alike everywhere.
alter table commerce.product
    add column search_text text collate "C" not null
        generated always as (
            commerce.fold(' ' || code || ' ' || coalesce(sku || ' ', '') || name || coalesce(' ' || barcode, ''))) stored;

-- What dealers see is active and not deleted; the indexes below hold nothing else.
--
-- pg_trgm is a part of PostgreSQL that a server may have left out, and stands in whatever schema it was made in first.
-- Without it a search reads the whole catalogue.
do $$
declare
    home text;
begin
    begin
        create extension if not exists pg_trgm with schema hub;
    exception when others then
        raise notice 'no pg_trgm here (%): a search in the catalogue reads all of it', sqlerrm;
    end;
    select quote_ident(n.nspname) into home
    from pg_extension e join pg_namespace n on n.oid = e.extnamespace where e.extname = 'pg_trgm';
    if home is not null then
        execute format(
            'create index product_by_search on commerce.product using gin (search_text %s.gin_trgm_ops)
                 where is_active and deleted_at is null', home);
    end if;
end
$$;

create index product_by_name on commerce.product (name collate "tr-x-icu", id) where is_active and deleted_at is null;
create index product_by_category on commerce.product (category_id) where is_active and deleted_at is null;
create index product_by_brand on commerce.product (brand_id) where is_active and deleted_at is null;
