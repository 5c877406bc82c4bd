-- Known invoices of a page, locked by rising id; those in $22 have other lines than the store holds.
with current as materialized (
    select i.*, v.revision,
        v.id = any ($22) or (v.customer_id, v.order_id, v.ettn, v.issued_on, v.due_date, v.subtotal, v.discount, v.tax, v.total,
         v.exchange_rate, v.currency, v.kind, v.status, v.profile, v.number, v.external_id, v.pdf_url, v.note)
        is distinct from
        (i.customer_id, i.order_id, i.ettn, i.issued_on, i.due_date, i.subtotal, i.discount, i.tax, i.total,
         i.exchange_rate, i.currency, i.kind, i.status, i.profile, i.number, i.external_id, i.pdf_url, i.note) as changed
    from unnest(
        $3::bigint[], $4::bigint[], $5::bigint[], $6::uuid[], $7::date[], $8::date[], $9::numeric[], $10::numeric[],
        $11::numeric[], $12::numeric[], $13::numeric[], $14::text[], $15::text[], $16::text[], $17::text[], $18::text[],
        $19::text[], $20::text[], $21::text[]
    ) as i (
        id, customer_id, order_id, ettn, issued_on, due_date, subtotal, discount, tax, total, exchange_rate, currency,
        kind, status, profile, number, external_id, pdf_url, note
    )
    join commerce.invoice v on v.id = i.id and v.origin = $2
    order by v.id
    for no key update of v
), updated as (
    update commerce.invoice v
    set customer_id = c.customer_id, order_id = c.order_id, ettn = c.ettn, issued_on = c.issued_on,
        due_date = c.due_date, subtotal = c.subtotal, discount = c.discount, tax = c.tax, total = c.total,
        exchange_rate = c.exchange_rate, currency = c.currency, kind = c.kind, status = c.status, profile = c.profile,
        number = c.number, external_id = c.external_id, pdf_url = c.pdf_url, note = c.note,
        revision = c.revision + 1, updated_at = $1, updated_by = $2
    from current c
    where v.id = c.id and c.changed
)
select id as "id!", changed as "changed!" from current
