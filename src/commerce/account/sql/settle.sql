-- Which row stands for each provisional one that the ERP's rows $1 stand for, or stood for until they were changed.
with meant as (
    select p.id
    from commerce.ledger_entry p
    where p.replaced_by = any ($1)
    union
    select p.id
    from commerce.ledger_entry e
    join commerce.ledger_entry p on p.is_provisional and p.reference = e.reference
    where e.id = any ($1)
    union
    select p.id
    from commerce.ledger_entry e
    join commerce.ledger_entry p
        on p.is_provisional and p.customer_id = e.customer_id and p.document_number = e.document_number
        and p.kind = e.kind
    where e.id = any ($1) and e.kind in ('invoice', 'return')
), stands as (
    select m.id, (
        select e.id
        from commerce.ledger_entry e
        where not e.is_provisional
            and (e.reference = p.reference
                or (e.customer_id = p.customer_id and e.document_number = p.document_number and e.kind = p.kind
                    and p.kind in ('invoice', 'return')))
        order by e.is_cancelled, e.id
        limit 1
    ) as by
    from meant m
    join commerce.ledger_entry p on p.id = m.id
)
update commerce.ledger_entry p
set replaced_by = s.by, revision = p.revision + 1, updated_at = $2, updated_by = $3
from stands s
where p.id = s.id and p.replaced_by is distinct from s.by
