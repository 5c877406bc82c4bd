-- How many of the attempts of a delivery were answered with "later": they say nothing of the work, and do not count as tries of it.
alter table hub.delivery add column patience integer not null default 0;
