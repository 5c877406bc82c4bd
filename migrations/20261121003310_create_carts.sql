-- One cart for each user of a dealer, the same on every device. A cart that nobody changed for its time is empty.
create table commerce.cart (
    user_id     bigint      not null,
    customer_id bigint      not null,
    revision    bigint      not null,
    created_at  timestamptz not null,
    updated_at  timestamptz not null,
    expires_at  timestamptz not null,
    constraint cart_pkey primary key (user_id),
    constraint cart_customer_id_fkey foreign key (customer_id) references commerce.customer (id),
    constraint cart_revision_positive check (revision > 0)
) with (fillfactor = 80);
create index cart_by_expiry on commerce.cart (expires_at);

-- `chosen_*` is what the price was when the item was put in, `shown_*` what the user saw last: an order never goes through
-- at a higher price than that one.
create table commerce.cart_item (
    user_id         bigint        not null,
    product_id      bigint        not null,
    added_at        timestamptz   not null,
    updated_at      timestamptz   not null,
    quantity        numeric(18,4) not null,
    chosen_price    numeric(19,6),
    shown_price     numeric(19,6),
    unit            text          collate "C",
    chosen_currency text          collate "C",
    shown_currency  text          collate "C",
    constraint cart_item_pkey primary key (user_id, product_id),
    constraint cart_item_user_id_fkey foreign key (user_id) references commerce.cart (user_id) on delete cascade,
    constraint cart_item_product_id_fkey foreign key (product_id) references commerce.product (id),
    constraint cart_item_quantity_positive check (quantity > 0),
    constraint cart_item_unit_length check (char_length(unit) between 1 and 20),
    constraint cart_item_chosen_whole check ((chosen_price is null) = (chosen_currency is null)),
    constraint cart_item_shown_whole check ((shown_price is null) = (shown_currency is null))
) with (fillfactor = 80);
