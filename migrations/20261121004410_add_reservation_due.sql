-- What of a reservation the source's own figures contain, by a fact that was committed before the reading of stock began: it
-- ends when a level of that reading has been written.
alter table commerce.stock_reservation
    add column due numeric(18,4) not null default 0,
    add constraint stock_reservation_due_not_negative check (due >= 0);
create index stock_reservation_due on commerce.stock_reservation (stock_level_id) where due > 0;
