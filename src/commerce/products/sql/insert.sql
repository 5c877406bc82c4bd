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
from (
    select
        unnest($3::bigint[]) as id, unnest($4::bigint[]) as category_id, unnest($5::bigint[]) as brand_id,
        unnest($6::bigint[]) as unit_set_id, unnest($7::integer[]) as warranty_months,
        unnest($8::boolean[]) as is_active, unnest($9::boolean[]) as is_featured,
        unnest($10::boolean[]) as track_stock, unnest($11::boolean[]) as requires_serial_number,
        unnest($12::text[]) as code, unnest($13::text[]) as sku, unnest($14::text[]) as name,
        unnest($15::text[]) as slug, unnest($16::text[]) as unit, unnest($17::text[]) as barcode,
        unnest($18::numeric[]) as vat_rate, unnest($19::text[]) as product_type_code,
        unnest($20::numeric[]) as weight, unnest($21::text[]) as weight_unit,
        unnest($22::numeric[]) as minimum_order_quantity, unnest($23::numeric[]) as order_multiple,
        unnest($24::text[]) as variant_group, unnest($25::text[]) as short_description,
        unnest($26::text[]) as description, unnest($27::text[]) as options, unnest($28::text[]) as attributes
) as i
