"""Reviews, the newest version of each, and every decision on one.

A decision is kept with the bytes that go to Kafka; `sent_at` says that Kafka has them.
"""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


SCHEMA = """
create table reviews (
    review_id text primary key,
    version integer not null,
    status text not null check (status in ('open', 'confirmed', 'rejected', 'withdrawn')),
    stage text not null,
    facility text not null,
    agency text not null,
    conflict_id text not null,
    detainer_id text not null,
    episode_id text not null,
    evidence_id text not null,
    decided_at timestamptz not null,
    body bytea not null
);
create index reviews_listed on reviews (status, decided_at, review_id);

create table decisions (
    decision_id text primary key,
    review_id text not null,
    version integer not null,
    decision text not null check (decision in ('confirm', 'reject')),
    reviewer text not null,
    source text not null,
    decided_at timestamptz not null,
    body bytea not null,
    sent_at timestamptz
);
create index decisions_of_review on decisions (review_id, decided_at);
create index decisions_unsent on decisions (decided_at) where sent_at is null
"""


def upgrade() -> None:
    for statement in SCHEMA.split(";\n"):  # asyncpg prepares, and prepares one at a time
        op.execute(statement)


def downgrade() -> None:
    op.execute("drop table decisions, reviews")
