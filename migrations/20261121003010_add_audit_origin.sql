-- From where and with what somebody acted, where that is known.
alter table identity.audit_event
    add column address inet,
    add column agent text;
