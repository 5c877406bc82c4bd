-- A selection of letters, frozen when it was made: what fails later is not in it. Worked off in slices.
create table hub.replay_plan (
    id             uuid        not null,
    action         text        not null,
    state          text        not null default 'planned',
    filter         jsonb       not null,
    reason         text,
    per_second     real        not null,
    total          bigint      not null default 0,
    -- Letters that a slice has taken, and how many of them there was something to do for.
    taken          bigint      not null default 0,
    affected       bigint      not null default 0,
    planned_by     text        not null,
    correlation_id text        not null,
    created_at     timestamptz not null default clock_timestamp(),
    started_at     timestamptz,
    sliced_at      timestamptz,
    finished_at    timestamptz,
    constraint replay_plan_pkey primary key (id),
    constraint replay_plan_action_known check (action in ('replay', 'discard')),
    constraint replay_plan_state_known check (state in ('planned', 'running', 'done', 'cancelled')),
    constraint replay_plan_discard_explained check ((action = 'discard') = (reason is not null)),
    constraint replay_plan_finished_iff_final check ((state in ('done', 'cancelled')) = (finished_at is not null)),
    constraint replay_plan_per_second_positive check (per_second > 0)
);
create index replay_plan_running on hub.replay_plan (id) where state = 'running';

-- Its letters, in the order of their receipt.
create table hub.replay_item (
    plan_id   uuid   not null,
    place     bigint not null,
    letter_id uuid   not null,
    constraint replay_item_pkey primary key (plan_id, place),
    constraint replay_item_plan_fkey foreign key (plan_id) references hub.replay_plan (id) on delete cascade
);
