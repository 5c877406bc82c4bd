-- Known products of a page. Rows are locked by rising id; `changed` has a bit for each given field that differs from
-- what the store holds (ownership.rs numbers them), and `parts` those of units and images, found beforehand. $32: the bits of
-- overrides that bind the writer; `held` are the given fields that an override keeps from being written.
with current as materialized (
    select
        p.id, i.place, p.revision, i.category_id, i.brand_id, i.unit_set_id, i.warranty_months, i.is_active,
        i.is_featured, i.track_stock, i.requires_serial_number, i.code, i.sku, i.name, i.slug, i.unit, i.barcode,
        i.vat_rate, i.product_type_code, i.weight, i.weight_unit, i.minimum_order_quantity, i.order_multiple,
        i.variant_group, i.short_description, i.description, i.options::jsonb as options,
        i.attributes::jsonb as attributes,
        case when g.given & (1 << 1) <> 0 then i.sku else p.sku end as sku_after,
        i.given & p.overridden & $32::bigint as held,
        i.parts
        | case when g.given & (1 << 0) <> 0 and p.code <> i.code then 1 << 0 else 0 end
        | case when g.given & (1 << 1) <> 0 and p.sku is distinct from i.sku then 1 << 1 else 0 end
        | case when g.given & (1 << 2) <> 0 and p.name <> i.name then 1 << 2 else 0 end
        | case when g.given & (1 << 3) <> 0 and p.category_id is distinct from i.category_id then 1 << 3 else 0 end
        | case when g.given & (1 << 4) <> 0 and p.brand_id is distinct from i.brand_id then 1 << 4 else 0 end
        | case when g.given & (1 << 5) <> 0 and p.unit_set_id is distinct from i.unit_set_id then 1 << 5 else 0 end
        | case when g.given & (1 << 6) <> 0 and p.unit is distinct from i.unit then 1 << 6 else 0 end
        | case when g.given & (1 << 7) <> 0 and p.barcode is distinct from i.barcode then 1 << 7 else 0 end
        | case when g.given & (1 << 8) <> 0 and p.vat_rate is distinct from i.vat_rate then 1 << 8 else 0 end
        | case when g.given & (1 << 9) <> 0 and p.is_active <> i.is_active then 1 << 9 else 0 end
        | case when g.given & (1 << 10) <> 0 and p.track_stock <> i.track_stock then 1 << 10 else 0 end
        | case when g.given & (1 << 11) <> 0 and p.requires_serial_number <> i.requires_serial_number
               then 1 << 11 else 0 end
        | case when g.given & (1 << 12) <> 0 and p.product_type_code is distinct from i.product_type_code
               then 1 << 12 else 0 end
        | case when g.given & (1 << 13) <> 0 and p.warranty_months is distinct from i.warranty_months
               then 1 << 13 else 0 end
        | case when g.given & (1 << 14) <> 0 and p.weight is distinct from i.weight then 1 << 14 else 0 end
        | case when g.given & (1 << 15) <> 0 and p.weight_unit is distinct from i.weight_unit then 1 << 15 else 0 end
        | case when g.given & (1 << 16) <> 0 and p.minimum_order_quantity is distinct from i.minimum_order_quantity
               then 1 << 16 else 0 end
        | case when g.given & (1 << 17) <> 0 and p.order_multiple is distinct from i.order_multiple
               then 1 << 17 else 0 end
        | case when g.given & (1 << 18) <> 0 and p.variant_group is distinct from i.variant_group
               then 1 << 18 else 0 end
        | case when g.given & (1 << 19) <> 0 and p.options is distinct from i.options::jsonb then 1 << 19 else 0 end
        | case when g.given & (1 << 21) <> 0 and p.short_description is distinct from i.short_description
               then 1 << 21 else 0 end
        | case when g.given & (1 << 22) <> 0 and p.description is distinct from i.description then 1 << 22 else 0 end
        | case when g.given & (1 << 23) <> 0 and p.attributes is distinct from i.attributes::jsonb
               then 1 << 23 else 0 end
        | case when g.given & (1 << 25) <> 0 and p.is_featured <> i.is_featured then 1 << 25 else 0 end
        | case when g.given & (1 << 26) <> 0 and p.slug <> i.slug then 1 << 26 else 0 end
            as changed
    from (
        select
            unnest($1::bigint[]) as place, unnest($2::bigint[]) as given, unnest($3::bigint[]) as parts,
            unnest($4::bigint[]) as id, unnest($5::bigint[]) as category_id, unnest($6::bigint[]) as brand_id,
            unnest($7::bigint[]) as unit_set_id, unnest($8::integer[]) as warranty_months,
            unnest($9::boolean[]) as is_active, unnest($10::boolean[]) as is_featured,
            unnest($11::boolean[]) as track_stock, unnest($12::boolean[]) as requires_serial_number,
            unnest($13::text[]) as code, unnest($14::text[]) as sku, unnest($15::text[]) as name,
            unnest($16::text[]) as slug, unnest($17::text[]) as unit, unnest($18::text[]) as barcode,
            unnest($19::numeric[]) as vat_rate, unnest($20::text[]) as product_type_code,
            unnest($21::numeric[]) as weight, unnest($22::text[]) as weight_unit,
            unnest($23::numeric[]) as minimum_order_quantity, unnest($24::numeric[]) as order_multiple,
            unnest($25::text[]) as variant_group, unnest($26::text[]) as short_description,
            unnest($27::text[]) as description, unnest($28::text[]) as options, unnest($29::text[]) as attributes
    ) as i
    join commerce.product p on p.id = i.id
    cross join lateral (select i.given & ~(p.overridden & $32::bigint) as given) g
    order by p.id
    for no key update of p
), updated as (
    update commerce.product p
    set code = case when c.changed & (1 << 0) <> 0 then c.code else p.code end,
        sku = c.sku_after,
        name = case when c.changed & (1 << 2) <> 0 then c.name else p.name end,
        category_id = case when c.changed & (1 << 3) <> 0 then c.category_id else p.category_id end,
        brand_id = case when c.changed & (1 << 4) <> 0 then c.brand_id else p.brand_id end,
        unit_set_id = case when c.changed & (1 << 5) <> 0 then c.unit_set_id else p.unit_set_id end,
        unit = case when c.changed & (1 << 6) <> 0 then c.unit else p.unit end,
        barcode = case when c.changed & (1 << 7) <> 0 then c.barcode else p.barcode end,
        vat_rate = case when c.changed & (1 << 8) <> 0 then c.vat_rate else p.vat_rate end,
        is_active = case when c.changed & (1 << 9) <> 0 then c.is_active else p.is_active end,
        track_stock = case when c.changed & (1 << 10) <> 0 then c.track_stock else p.track_stock end,
        requires_serial_number =
            case when c.changed & (1 << 11) <> 0 then c.requires_serial_number else p.requires_serial_number end,
        product_type_code = case when c.changed & (1 << 12) <> 0 then c.product_type_code else p.product_type_code end,
        warranty_months = case when c.changed & (1 << 13) <> 0 then c.warranty_months else p.warranty_months end,
        weight = case when c.changed & (1 << 14) <> 0 then c.weight else p.weight end,
        weight_unit = case when c.changed & (1 << 15) <> 0 then c.weight_unit else p.weight_unit end,
        minimum_order_quantity =
            case when c.changed & (1 << 16) <> 0 then c.minimum_order_quantity else p.minimum_order_quantity end,
        order_multiple = case when c.changed & (1 << 17) <> 0 then c.order_multiple else p.order_multiple end,
        variant_group = case when c.changed & (1 << 18) <> 0 then c.variant_group else p.variant_group end,
        options = case when c.changed & (1 << 19) <> 0 then c.options else p.options end,
        short_description = case when c.changed & (1 << 21) <> 0 then c.short_description else p.short_description end,
        description = case when c.changed & (1 << 22) <> 0 then c.description else p.description end,
        attributes = case when c.changed & (1 << 23) <> 0 then c.attributes else p.attributes end,
        is_featured = case when c.changed & (1 << 25) <> 0 then c.is_featured else p.is_featured end,
        slug = case when c.changed & (1 << 26) <> 0 then c.slug else p.slug end,
        revision = p.revision + 1,
        updated_at = $30,
        updated_by = $31
    from current c
    where p.id = c.id and c.changed <> 0
)
select place as "place!", id as "id!", revision as "revision!", changed as "changed!", held as "held!", sku_after as sku
from current
