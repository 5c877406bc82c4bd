insert into commerce.ledger_entry (
    customer_id, order_id, booked_at, due_date, is_cancelled, debit, credit, currency, kind, external_id,
    reference, document_number, description, origin, is_provisional, replaced_by, created_at, updated_at, created_by,
    updated_by
)
select i.*, $3, true, (
        select e.id
        from commerce.ledger_entry e
        where not e.is_provisional
            and (e.reference = i.reference
                or (e.customer_id = i.customer_id and e.document_number = i.document_number and e.kind = i.kind
                    and i.kind in ('invoice', 'return')))
        order by e.is_cancelled, e.id
        limit 1
    ), $1, $1, $2, $2
from unnest(
    $4::bigint[], $5::bigint[], $6::date[], $7::date[], $8::boolean[], $9::numeric[], $10::numeric[], $11::text[],
    $12::text[], $13::text[], $14::text[], $15::text[], $16::text[]
) as i (
    customer_id, order_id, booked_at, due_date, is_cancelled, debit, credit, currency, kind, external_id, reference,
    document_number, description
)
on conflict (origin, external_id) do update
set customer_id = excluded.customer_id, order_id = excluded.order_id, booked_at = excluded.booked_at,
    due_date = excluded.due_date, is_cancelled = excluded.is_cancelled, debit = excluded.debit, credit = excluded.credit,
    currency = excluded.currency, kind = excluded.kind, reference = excluded.reference,
    document_number = excluded.document_number, description = excluded.description,
    replaced_by = excluded.replaced_by, revision = ledger_entry.revision + 1, updated_at = excluded.updated_at,
    updated_by = excluded.updated_by
where (ledger_entry.customer_id, ledger_entry.order_id, ledger_entry.booked_at, ledger_entry.due_date,
       ledger_entry.is_cancelled, ledger_entry.debit, ledger_entry.credit, ledger_entry.currency, ledger_entry.kind,
       ledger_entry.reference, ledger_entry.document_number, ledger_entry.description, ledger_entry.replaced_by)
    is distinct from
      (excluded.customer_id, excluded.order_id, excluded.booked_at, excluded.due_date,
       excluded.is_cancelled, excluded.debit, excluded.credit, excluded.currency, excluded.kind,
       excluded.reference, excluded.document_number, excluded.description, excluded.replaced_by)
