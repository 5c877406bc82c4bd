//! One record as it is, for whoever pushed it: the fields of the Integration API under its names, numbers with every
//! digit.

use serde_json::Value;
use sqlx::PgExecutor;

/// A record with its references as codes of the store; `None` when it is not there.
pub async fn product<'e>(db: impl PgExecutor<'e>, id: i64) -> Result<Option<Value>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        select jsonb_strip_nulls(jsonb_build_object(
            'name', p.name, 'sku', p.sku, 'description', p.description, 'shortDescription', p.short_description,
            'categoryCode', c.code, 'brandCode', b.code, 'unit', p.unit, 'taxRate', p.vat_rate,
            'isActive', p.is_active, 'requiresSerialNumber', p.requires_serial_number,
            'warrantyMonths', p.warranty_months, 'weight', p.weight, 'weightUnit', p.weight_unit,
            'minimumOrderQuantity', p.minimum_order_quantity, 'orderMultiple', p.order_multiple,
            'variantGroup', p.variant_group,
            'units', (
                select jsonb_agg(jsonb_build_object(
                    'code', u.unit, 'numerator', u.numerator, 'denominator', u.denominator, 'isMain', u.is_main,
                    'barcode', u.barcode) order by u.position)
                from commerce.product_unit u where u.product_id = p.id),
            'prices', (
                select jsonb_agg(jsonb_build_object(
                    'role', r.role, 'price', r.amount, 'currency', r.currency, 'unit', r.unit,
                    'vatIncluded', r.vat_included, 'minQuantity', nullif(r.min_quantity, 0),
                    'validFrom', r.valid_from, 'validTo', r.valid_to)
                                 order by r.role, r.code)
                from commerce.price r
                where r.product_id = p.id and r.customer_id is null and r.price_list_id is null
                  and r.is_active and r.role in ('list', 'dealer', 'cost')),
            'stock', (
                select jsonb_agg(jsonb_build_object('warehouseCode', w.code, 'quantity', s.quantity) order by w.code)
                from commerce.stock_level s join commerce.warehouse w on w.id = s.warehouse_id
                where s.product_id = p.id),
            'updatedAt', p.updated_at
        )) || jsonb_build_object('options', p.options, 'attributes', p.attributes) as "record!"
        from commerce.product p
        left join commerce.category c on c.id = p.category_id
        left join commerce.brand b on b.id = p.brand_id
        where p.id = $1
        "#,
        id
    )
    .fetch_optional(db)
    .await
}

pub async fn category<'e>(db: impl PgExecutor<'e>, id: i64) -> Result<Option<Value>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select jsonb_strip_nulls(jsonb_build_object(
               'name', c.name, 'parentCode', p.code, 'isActive', c.is_active, 'updatedAt', c.updated_at)) as "record!"
           from commerce.category c left join commerce.category p on p.id = c.parent_id where c.id = $1"#,
        id
    )
    .fetch_optional(db)
    .await
}

pub async fn brand<'e>(db: impl PgExecutor<'e>, id: i64) -> Result<Option<Value>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select jsonb_build_object('name', name, 'isActive', is_active, 'updatedAt', updated_at) as "record!"
           from commerce.brand where id = $1"#,
        id
    )
    .fetch_optional(db)
    .await
}

pub async fn customer<'e>(db: impl PgExecutor<'e>, id: i64) -> Result<Option<Value>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        select jsonb_strip_nulls(jsonb_build_object(
            'title', c.title, 'taxNumber', c.tax_number, 'taxOffice', c.tax_office, 'email', c.email,
            'phone', c.phone, 'priceTier', c.price_tier, 'creditLimit', c.credit_limit, 'currency', c.currency,
            'paymentTermDays', c.payment_term_days, 'discountRate', c.discount_rate, 'isActive', c.is_active,
            'addresses', (
                select jsonb_agg(jsonb_build_object(
                    'code', a.code, 'title', a.title, 'line1', a.line1, 'line2', a.line2, 'district', a.district,
                    'town', a.town, 'city', a.city, 'country', a.country, 'postalCode', a.postal_code,
                    'phone', a.phone, 'isDefault', a.is_default) order by a.position)
                from commerce.customer_address a where a.customer_id = c.id and a.is_active),
            'updatedAt', c.updated_at
        )) as "record!"
        from commerce.customer c where c.id = $1
        "#,
        id
    )
    .fetch_optional(db)
    .await
}

pub async fn price<'e>(db: impl PgExecutor<'e>, id: i64) -> Result<Option<Value>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        select jsonb_strip_nulls(jsonb_build_object(
            'productCode', p.code, 'role', r.role, 'customerCode', c.code, 'priceListCode', l.code, 'unit', r.unit,
            'price', r.amount, 'currency', r.currency, 'vatIncluded', r.vat_included, 'minQuantity', r.min_quantity,
            'validFrom', r.valid_from, 'validTo', r.valid_to, 'isActive', r.is_active, 'updatedAt', r.updated_at
        )) as "record!"
        from commerce.price r
        join commerce.product p on p.id = r.product_id
        left join commerce.customer c on c.id = r.customer_id
        left join commerce.price_list l on l.id = r.price_list_id
        where r.id = $1
        "#,
        id
    )
    .fetch_optional(db)
    .await
}

pub async fn stock<'e>(db: impl PgExecutor<'e>, id: i64) -> Result<Option<Value>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        select jsonb_strip_nulls(jsonb_build_object(
            'productCode', p.code, 'warehouseCode', w.code, 'quantity', s.quantity, 'reserved', s.reserved_remote,
            'updatedAt', s.updated_at
        )) as "record!"
        from commerce.stock_level s
        join commerce.product p on p.id = s.product_id
        join commerce.warehouse w on w.id = s.warehouse_id
        where s.id = $1
        "#,
        id
    )
    .fetch_optional(db)
    .await
}

pub async fn invoice<'e>(db: impl PgExecutor<'e>, id: i64) -> Result<Option<Value>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        select jsonb_strip_nulls(jsonb_build_object(
            'number', i.number, 'customerCode', c.code, 'orderNumber', o.number, 'ettn', i.ettn, 'kind', i.kind,
            'status', i.status, 'profile', i.profile, 'issuedOn', i.issued_on, 'dueDate', i.due_date,
            'currency', i.currency, 'exchangeRate', i.exchange_rate, 'subtotal', i.subtotal, 'discount', i.discount,
            'tax', i.tax, 'total', i.total, 'pdfUrl', i.pdf_url, 'note', i.note,
            'lines', (
                select jsonb_agg(jsonb_build_object(
                    'productCode', l.code, 'description', l.description, 'quantity', l.quantity, 'unit', l.unit,
                    'unitPrice', l.unit_price, 'amount', l.amount, 'discount', l.discount, 'vatRate', l.vat_rate,
                    'vat', l.vat, 'orderLine', ol.position) order by l.position)
                from commerce.invoice_line l
                left join commerce.sales_order_line ol on ol.id = l.order_line_id
                where l.invoice_id = i.id),
            'payments', (
                select jsonb_agg(jsonb_build_object('dueDate', p.due_date, 'amount', p.amount) order by p.position)
                from commerce.invoice_payment p where p.invoice_id = i.id),
            'updatedAt', i.updated_at
        )) as "record!"
        from commerce.invoice i
        join commerce.customer c on c.id = i.customer_id
        left join commerce.sales_order o on o.id = i.order_id
        where i.id = $1
        "#,
        id
    )
    .fetch_optional(db)
    .await
}
