-- What the letter's document carried beside its own record ("price A|list"): a document that carries less neither ends
-- the letter nor takes its place.
alter table hub.dead_letter add column parts jsonb not null default '[]';
