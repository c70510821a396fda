"""The trace that a notice, and a decision, belongs to (docs/traces.md). Null where there is none."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Null without a default: neither rewrites the table.
    op.execute("alter table notices add column traceparent text")
    op.execute("alter table decisions add column traceparent text")


def downgrade() -> None:
    op.execute("alter table decisions drop column traceparent")
    op.execute("alter table notices drop column traceparent")
