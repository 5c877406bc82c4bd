-- Answers to requests with an Idempotency-Key, written in the transaction of the effect.
create table identity.idempotent_answer (
    principal    text        collate "C" not null,
    method       text        collate "C" not null,
    route        text        collate "C" not null,
    key          text        collate "C" not null,
    request_hash bytea       not null,
    status       smallint    not null,
    content_type text        collate "C" not null,
    body         bytea       not null,
    created_at   timestamptz not null default clock_timestamp(),
    constraint idempotent_answer_pkey primary key (principal, method, route, key),
    constraint idempotent_answer_key_length check (char_length(key) between 1 and 255),
    constraint idempotent_answer_worth_keeping check (status between 200 and 499 and status not in (401, 403, 429))
);
create index idempotent_answer_by_age on identity.idempotent_answer (created_at);
comment on column identity.idempotent_answer.principal is 'api-key:<prefix>; two callers never meet in one key.';
