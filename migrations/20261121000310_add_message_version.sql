-- What waits for a reference has its version beside it, so that an older document of its key does not take its place.
alter table hub.message
    add column version_kind   text collate "C",
    add column source_version bigint,
    add constraint message_version_has_kind check ((source_version is null) = (version_kind is null));
