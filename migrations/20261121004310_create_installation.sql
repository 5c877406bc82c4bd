-- What this installation calls itself in documents of others: our reference of an order is this code and the order's id.
-- Six of 31 letters and digits that nobody takes for another.
create table hub.installation (
    is_only boolean not null default true,
    code    text    collate "C" not null,
    constraint installation_pkey primary key (is_only),
    constraint installation_only check (is_only),
    constraint installation_code_format check (code ~ '^[A-Z0-9]{4,8}$')
);
insert into hub.installation (code)
select string_agg(substr('23456789ABCDEFGHJKLMNPQRSTUVWXY', 1 + get_byte(bytes, place) % 31, 1), '' order by place)
from (select decode(replace(gen_random_uuid()::text, '-', ''), 'hex') as bytes) random, generate_series(0, 5) place;
