"""Release notices that are not done with are found without a look at the rest of the ledger, for the alerts.

The index is made beside a notifier that works: `concurrently` takes no lock that a write would wait for.
"""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_INDEX = """
create index concurrently notices_release_open on notices (status, created_at)
where urgency = 0 and status in ('pending', 'delivered', 'failed', 'no_subscription')
"""


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("drop index concurrently if exists notices_release_open")  # of an attempt that was cut off
        op.execute(_INDEX)


def downgrade() -> None:
    op.execute("drop index if exists notices_release_open")
