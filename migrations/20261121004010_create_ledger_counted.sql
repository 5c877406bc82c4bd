-- The movements of which the account is the sum. A document that was cancelled over there is told of twice, as an invoice
-- and as a movement, and one of the two comes first: from then on it does not count.
create index invoice_cancelled on commerce.invoice (customer_id, number) where status = 'cancelled';
create index ledger_entry_cancelled on commerce.ledger_entry (customer_id, document_number)
    where is_cancelled and not is_provisional;

create view commerce.ledger_counted with (security_invoker = true) as
    select e.*
    from commerce.ledger_entry e
    where not e.is_cancelled and e.replaced_by is null
        and not (
            e.kind in ('invoice', 'return')
            and exists (
                select from commerce.invoice i
                where i.customer_id = e.customer_id and i.number = e.document_number and i.status = 'cancelled'
                    and i.kind = case e.kind when 'invoice' then 'sale' else 'return' end)
            -- A number that was given anew belongs to the document that stands.
            and not exists (
                select from commerce.invoice i
                where i.customer_id = e.customer_id and i.number = e.document_number and i.status <> 'cancelled'
                    and i.kind = case e.kind when 'invoice' then 'sale' else 'return' end));
grant select on commerce.ledger_counted to kopru_dealer;
