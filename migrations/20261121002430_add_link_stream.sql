-- Which stream a link belongs to: the one that wrote it last. Pushes and files have streams of their own.
alter table hub.external_ref add column stream text collate "C";
-- What a dry run found, for whoever asked.
alter table hub.run add column preview jsonb;
