-- Signing keys are sealed with the master key (src/seal.rs) where one is configured. Those that lie here in the clear are
-- sealed by the first process that reads them and has a master key.
alter table identity.signing_key
    alter column pkcs8 drop not null,
    add column sealed text collate "C",
    add constraint signing_key_in_one_form check (num_nonnulls(pkcs8, sealed) = 1);
comment on column identity.signing_key.pkcs8 is 'In the clear: no master key was configured. Null when it is sealed.';
