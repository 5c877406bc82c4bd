-- A place to go on from: pages of uses stay whole while new ones are counted.
alter table identity.api_key_use add column id bigint generated always as identity;
create unique index api_key_use_by_minute on identity.api_key_use (minute, id);
