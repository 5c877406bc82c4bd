-- New products of a page.
insert into commerce.product (
    id, category_id, brand_id, unit_set_id, warranty_months, is_active, is_featured, track_stock,
    requires_serial_number, code, sku, name, slug, unit, barcode, vat_rate, product_type_code, weight, weight_unit,
    minimum_order_quantity, order_multiple, variant_group, short_description, description, options, attributes,
    created_at, updated_at, created_by, updated_by
)
select
    i.id, i.category_id, i.brand_id, i.unit_set_id, i.warranty_months, i.is_active, i.is_featured, i.track_stock,
    i.requires_serial_number, i.code, i.sku, i.name, i.slug, i.unit, i.barcode, i.vat_rate, i.product_type_code,
    i.weight, i.weight_unit, i.minimum_order_quantity, i.order_multiple, i.variant_group, i.short_description,
    i.description, i.options::jsonb, i.attributes::jsonb,
    $1, $1, $2, $2
from unnest(
    $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::integer[], $8::boolean[], $9::boolean[],
    $10::boolean[], $11::boolean[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $17::text[],
    $18::numeric[], $19::text[], $20::numeric[], $21::text[], $22::numeric[], $23::numeric[], $24::text[],
    $25::text[], $26::text[], $27::text[], $28::text[]
) as i (
    id, category_id, brand_id, unit_set_id, warranty_months, is_active, is_featured, track_stock,
    requires_serial_number, code, sku, name, slug, unit, barcode, vat_rate, product_type_code, weight, weight_unit,
    minimum_order_quantity, order_multiple, variant_group, short_description, description, options, attributes
)
