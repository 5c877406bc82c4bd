-- Which price lists hold for a customer. A person decides it; no source says so. A smaller `priority` goes first.
create table commerce.customer_price_list (
    customer_id   bigint  not null,
    price_list_id bigint  not null,
    priority      integer not null default 0,
    constraint customer_price_list_pkey primary key (customer_id, price_list_id),
    constraint customer_price_list_customer_id_fkey foreign key (customer_id) references commerce.customer (id),
    constraint customer_price_list_price_list_id_fkey
        foreign key (price_list_id) references commerce.price_list (id)
);

-- Every price row stands in exactly one of these: a dealer's price is found by three short looks, whatever the number of
-- lists and special prices of others. They take the place of one index by product alone.
create index price_of_all on commerce.price (product_id) where customer_id is null and price_list_id is null;
create index price_of_list on commerce.price (price_list_id, product_id)
    where customer_id is null and price_list_id is not null;
create index price_of_customer on commerce.price (customer_id, product_id) where customer_id is not null;
drop index commerce.price_by_product;
