-- What a search looks through: the products that dealers see, in the order of names, some sixty in a leaf. A leaf holds what lies from
-- its own key (name, product) to that of the next one. It is written by whoever keeps the shelf, in the same turn; products that
-- changed themselves since `shelf_state.snapshot` are not to be found by it.

-- What a text that holds a word holds for certain: the first one and two letters of each of its words, and of longer words all that is
-- three and five letters long.
create function commerce.search_grams(texts text[]) returns text[]
    language sql immutable strict parallel safe cost 10000
    return (
        select coalesce(array_agg(distinct g.gram collate "C"), '{}')
        from (select distinct word from unnest(texts) t, string_to_table(t, ' ') word where word <> '') w
        cross join lateral (
            select ' ' || left(w.word, n) as gram from generate_series(1, 2) n
            union all
            select substr(w.word, n, 3) from generate_series(1, length(w.word) - 2) n
            union all
            select substr(w.word, n, 5) from generate_series(1, length(w.word) - 4) n
        ) g
    );

create table commerce.search_leaf (
    -- Leaves stand in this order, with room between them.
    place      bigint   not null,
    name       text     not null,
    product_id bigint   not null,
    ids        bigint[] not null,
    names      text[]   not null,
    texts      text[]   collate "C" not null,
    constraint search_leaf_pkey primary key (place)
);
create index search_leaf_by_name on commerce.search_leaf (name collate "tr-x-icu", product_id);
create index search_leaf_by_product on commerce.search_leaf using gin (ids);
create index search_leaf_by_gram on commerce.search_leaf using gin (commerce.search_grams(texts));
-- Figures of it would cost reading all grams.
alter index commerce.search_leaf_by_gram alter column 1 set statistics 0;

-- Up to where there are leaves, as long as they are made; and whether all are there.
alter table commerce.shelf_state
    add column leaves_name  text,
    add column leaves_id    bigint,
    add column leaves_ready boolean not null default false;
