-- A book of an ERP ends and the next one begins with what was carried over. The rows of the old one stay, and from the opening
-- of a later book on they do not count beside it. Books of one ERP are ordered by their names.
alter table commerce.ledger_entry
    add column book text collate "C",
    add constraint ledger_entry_book_length check (char_length(book) between 1 and 20);
-- LOGO's rows are known by period and number.
update commerce.ledger_entry set book = split_part(external_id, '|', 1) where external_id ~ '^[0-9]{2}[|]';
comment on column commerce.ledger_entry.book is 'The book of its origin that the row stands in: a period of LOGO.';

create index ledger_entry_openings on commerce.ledger_entry (customer_id, origin, currency, book, booked_at)
    where kind = 'opening' and not is_cancelled and not is_provisional;
drop index commerce.ledger_entry_counted;
create index ledger_entry_counted on commerce.ledger_entry (customer_id, currency)
    include (debit, credit, booked_at, due_date, is_provisional, kind, document_number, origin, book)
    where not is_cancelled and replaced_by is null;

-- Movements that stand, in whichever book.
create view commerce.ledger_standing with (security_invoker = true) as
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
grant select on commerce.ledger_standing to kopru_dealer;

-- The movements of which the account is the sum: those that were not carried over into a later book.
create or replace view commerce.ledger_counted with (security_invoker = true) as
    select e.*
    from commerce.ledger_standing e
    where not exists (
        select from commerce.ledger_entry o
        where o.customer_id = e.customer_id and o.origin = e.origin and o.currency = e.currency and o.book > e.book
            and o.kind = 'opening' and not o.is_cancelled and not o.is_provisional);
