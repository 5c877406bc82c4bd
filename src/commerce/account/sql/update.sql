-- Known movements of a page, locked by rising id; the whole row is compared and written.
with current as materialized (
    select i.*,
        (e.customer_id, e.order_id, e.booked_at, e.due_date, e.is_cancelled, e.debit, e.credit, e.currency, e.kind,
         e.external_id, e.reference, e.document_number, e.description, e.book)
        is distinct from
        (i.customer_id, i.order_id, i.booked_at, i.due_date, i.is_cancelled, i.debit, i.credit, i.currency, i.kind,
         i.external_id, i.reference, i.document_number, i.description, i.book) as changed
    from unnest(
        $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::date[], $8::date[], $9::boolean[], $10::numeric[],
        $11::numeric[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $17::text[], $18::text[]
    ) as i (
        place, id, customer_id, order_id, booked_at, due_date, is_cancelled, debit, credit, currency, kind, external_id,
        reference, document_number, description, book
    )
    join commerce.ledger_entry e on e.id = i.id and e.origin = $2
    order by e.id
    for no key update of e
), updated as (
    update commerce.ledger_entry e
    set customer_id = c.customer_id, order_id = c.order_id, booked_at = c.booked_at, due_date = c.due_date,
        is_cancelled = c.is_cancelled, debit = c.debit, credit = c.credit, currency = c.currency, kind = c.kind,
        external_id = c.external_id, reference = c.reference, document_number = c.document_number,
        description = c.description, book = c.book, revision = e.revision + 1, updated_at = $1, updated_by = $2
    from current c
    where e.id = c.id and c.changed
)
select place as "place!", changed as "changed!" from current
