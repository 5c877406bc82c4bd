-- What a person asks for by the number that the ERP gave, or by the id that ties one request's traces together.
create index sales_order_by_external_number on commerce.sales_order (external_number) where external_number is not null;
create index audit_event_by_correlation on identity.audit_event (correlation_id);
