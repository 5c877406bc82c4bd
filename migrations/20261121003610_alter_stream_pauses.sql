-- A stream whose next record can never come is paused by itself.
alter table hub.stream drop constraint stream_pause_cause_known;
alter table hub.stream add constraint stream_pause_cause_known
    check (paused_cause in ('person', 'credential', 'contract', 'data'));
