-- The reading of its stock that an instance which pushes its levels has begun last: what was written down as due before it ends
-- with the levels that are pushed as part of it.
create table hub.stock_reading (
    connector text        collate "C" not null,
    number    bigint      not null,
    began_at  timestamptz not null default clock_timestamp(),
    constraint stock_reading_pkey primary key (connector),
    constraint stock_reading_number_positive check (number > 0)
);
