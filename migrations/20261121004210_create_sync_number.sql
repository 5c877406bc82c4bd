-- Completed runs that are told of: each is a record of its own in the events.
create sequence hub.sync_number as bigint;
