-- What orders a letter among the documents of its key, and what a person made of its payload.
alter table hub.dead_letter
    add column version_kind   text collate "C",
    add column source_version bigint,
    add column edited_body    bytea,
    add column edited_by      text,
    add column edited_at      timestamptz,
    add column replayed_by    text,
    add constraint dead_letter_version_has_kind check ((source_version is null) = (version_kind is null)),
    add constraint dead_letter_edit_whole
        check ((edited_body is null) = (edited_by is null) and (edited_body is null) = (edited_at is null));
alter table hub.dead_letter_history
    add column version_kind   text collate "C",
    add column source_version bigint,
    add column edited_body    bytea,
    add column edited_by      text,
    add column edited_at      timestamptz;
