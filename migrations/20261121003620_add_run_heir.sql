-- The run that goes on with this one, after the process that worked it off has gone.
alter table hub.run add column heir_id uuid;
