-- Records of one document have one receipt. Which of them is the newer one says their place in it: kept beside the receipt
-- wherever records are compared by it.
alter table hub.external_ref add column document_ordinal bigint not null default 0;
alter table hub.dead_letter add column document_ordinal bigint not null default 0;
alter table hub.message add column document_ordinal bigint not null default 0;
