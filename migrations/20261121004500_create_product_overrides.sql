-- What a person holds against a product's source: field by field, until it is taken away. `source_value` is what the source
-- says meanwhile. Both are JSON as `commerce::products` reads and writes them: decimals as texts, references as ids.
create table commerce.product_override (
    product_id   bigint      not null,
    created_at   timestamptz not null,
    field        text        collate "C" not null,
    value        jsonb       not null,
    source_value jsonb       not null,
    reason       text        not null,
    created_by   text        not null,
    constraint product_override_pkey primary key (product_id, field),
    constraint product_override_product_id_fkey foreign key (product_id) references commerce.product (id),
    constraint product_override_reason_length check (char_length(reason) between 1 and 500)
);

-- The bits of the fields that have an override (commerce::ownership numbers them), so that who writes a page of products
-- learns from the rows themselves whether there is anything to hold.
alter table commerce.product add column overridden bigint not null default 0;
