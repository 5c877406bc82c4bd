-- Dead letters that are told of: each is a record of its own in the events.
create sequence hub.dead_letter_number as bigint;
