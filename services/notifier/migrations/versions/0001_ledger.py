"""The ledger: subscriptions, notices, deliveries, attempts, outbox."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


SCHEMA = """
create table subscriptions (
    subscription_id text primary key,
    agency text not null,
    channel text not null check (channel in ('webhook', 'email')),
    target text not null,
    secret_encrypted bytea,
    status text not null default 'active' check (status in ('active', 'paused', 'disabled', 'deleted')),
    status_reason text,
    failures_in_a_row integer not null default 0,
    resting_until timestamptz,
    created_at timestamptz not null,
    check ((channel = 'webhook') = (secret_encrypted is not null))
);
create index subscriptions_agency on subscriptions (agency);

create table notices (
    notice_id text primary key,
    conflict_id text not null,
    version integer not null,
    stage text not null,
    recipient text not null,
    urgency smallint not null,
    body bytea not null,
    status text not null
        check (status in ('pending', 'delivered', 'acknowledged', 'failed', 'superseded', 'no_subscription')),
    accepted_at timestamptz not null,
    decided_at timestamptz not null,
    created_at timestamptz not null,
    acknowledgement text check (acknowledgement in ('received', 'will_pick_up', 'declined')),
    acknowledged_at timestamptz,
    acknowledgement_note text,
    unique (conflict_id, version, recipient)
);
create index notices_of_recipient on notices (recipient, created_at desc, notice_id desc);

create table deliveries (
    delivery_id text primary key,
    notice_id text not null references notices,
    conflict_id text not null,
    version integer not null,
    subscription_id text not null references subscriptions,
    channel text not null,
    urgency smallint not null,
    status text not null default 'pending' check (status in ('pending', 'delivered', 'failed', 'superseded')),
    attempts integer not null default 0,
    failures integer not null default 0,
    next_attempt_at timestamptz not null,
    claim_id uuid,
    lease_until timestamptz,
    created_at timestamptz not null,
    finished_at timestamptz
);
create index deliveries_due on deliveries (subscription_id, urgency, next_attempt_at)
    where status = 'pending' and claim_id is null;
create index deliveries_claimed on deliveries (subscription_id) where claim_id is not null;
create index deliveries_of_conflict on deliveries (conflict_id);
create index deliveries_of_notice on deliveries (notice_id);

create table attempts (
    delivery_id text not null references deliveries,
    attempt integer not null,
    claim_id uuid not null,
    started_at timestamptz not null,
    finished_at timestamptz,
    outcome text check (outcome in ('delivered', 'failed', 'interrupted')),
    http_status integer,
    error text,
    primary key (delivery_id, attempt)
);

create table outbox (
    id bigint generated always as identity primary key,
    event_id text not null,
    notice_id text not null,
    outcome text not null,
    at timestamptz not null,
    accepted_at timestamptz not null,
    value bytea not null
)
"""


def upgrade() -> None:
    for statement in SCHEMA.split(";\n"):  # asyncpg prepares, and prepares one at a time
        op.execute(statement)


def downgrade() -> None:
    op.execute("drop table outbox, attempts, deliveries, notices, subscriptions")
