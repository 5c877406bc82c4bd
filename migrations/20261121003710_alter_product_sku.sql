-- A product without an SKU of its own is known by its code, which is longer.
alter table commerce.product
    drop constraint product_sku_length,
    add constraint product_sku_length check (char_length(sku) between 1 and 100);
