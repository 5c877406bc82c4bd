-- Who registers with a tax number that is known is shown beside its company.
create index customer_by_tax_number on commerce.customer (tax_number);
