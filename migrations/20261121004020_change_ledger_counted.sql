-- The same movements, asked for in a way that reads the cancelled invoices of one customer and no others.
create or replace view commerce.ledger_counted with (security_invoker = true) as
    select e.*
    from commerce.ledger_entry e
    where not e.is_cancelled and e.replaced_by is null
        and not exists (
            select from commerce.invoice i
            where i.customer_id = e.customer_id and i.number = e.document_number and i.status = 'cancelled'
                and i.kind = case e.kind when 'invoice' then 'sale' when 'return' then 'return' end
                -- A number that was given anew belongs to the document that stands.
                and not exists (
                    select from commerce.invoice s
                    where s.customer_id = i.customer_id and s.number = i.number and s.kind = i.kind
                        and s.status <> 'cancelled'));

-- With what the view asks of a movement, so that the account of a customer is summed up from the index alone.
drop index commerce.ledger_entry_counted;
create index ledger_entry_counted on commerce.ledger_entry (customer_id, currency)
    include (debit, credit, booked_at, due_date, is_provisional, kind, document_number)
    where not is_cancelled and replaced_by is null;
