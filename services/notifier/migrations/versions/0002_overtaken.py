"""A delivery that is overtaken while an attempt at it is under way says so itself.

Whoever writes the attempt's outcome sees it in the row that it updates. A look for newer notices would not do: a
statement that began before the newer one was committed does not see it, and would have the older one tried again.
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("alter table deliveries add column overtaken boolean not null default false")


def downgrade() -> None:
    op.execute("alter table deliveries drop column overtaken")
