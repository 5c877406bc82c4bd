-- Letters whose code may become known: looked through whenever the mappings or the answers change, and every minute.
create index dead_letter_unmapped on hub.dead_letter (mapping, field, value) where reason = 'unmapped_code';
