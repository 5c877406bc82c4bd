-- Events that the router has not looked at yet: a narrow table beside the wide one, a row for each event that anybody is
-- to be told of. The sequence rises with the revision of an aggregate, since the next revision waits for the lock of the
-- one before: whoever takes the lowest ones takes no event before an earlier one of its aggregate.
create table hub.outbox_unrouted (
    seq      bigint generated always as identity,
    event_id uuid   not null,
    constraint outbox_unrouted_pkey primary key (seq)
);

-- Whether the router sleeps: only then is it worth a notification.
create table hub.doorbell (
    name   text    collate "C" not null,
    asleep boolean not null,
    constraint doorbell_pkey primary key (name)
);
insert into hub.doorbell (name, asleep) values ('router', true);

create index delivery_blocked on hub.delivery (target, aggregate, aggregate_id) where state = 'blocked';
