-- A return slip on its way to an ERP. From the handing over on the goods are in the ERP's book: receiving them adds nothing to
-- ours. What was not taken is handed over no more; a slip of a return that was rejected after all is withdrawn.
alter table commerce.return_request
    add column handed_at timestamptz,
    add column sent_at timestamptz,
    add column withdrawn_at timestamptz,
    add column external_number text collate "C",
    add constraint return_request_sent_was_handed check (sent_at is null or handed_at is not null),
    add constraint return_request_withdrawn_was_sent check (withdrawn_at is null or sent_at is not null),
    add constraint return_request_external_number_length check (char_length(external_number) between 1 and 50);
comment on column commerce.return_request.handed_at is 'Since when its slip may be with an ERP.';
comment on column commerce.return_request.sent_at is 'When an ERP took its slip.';
comment on column commerce.return_request.withdrawn_at is 'When the ERP cancelled its slip, the return having been rejected.';
comment on column commerce.return_request.external_number is 'The ERP''s number of the slip.';
