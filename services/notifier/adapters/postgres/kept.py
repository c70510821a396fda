"""Encrypted webhook secrets as rows, for the rotation of the key that they are under."""

from __future__ import annotations

from collections.abc import Sequence

from services.notifier.adapters.postgres.pool import Pool

__all__ = ["kept_after", "replace_kept"]


async def kept_after(pool: Pool, last: str, limit: int) -> list[tuple[str, bytes]]:
    """(subscription, its encrypted secret), in the order of ids, beyond `last`. Raises one of AWAY."""
    rows = await pool.fetch(
        """select subscription_id, secret_encrypted from subscriptions
        where subscription_id > $1 and secret_encrypted <> ''::bytea order by subscription_id limit $2""",
        last, limit,
    )  # fmt: skip
    return [(row["subscription_id"], row["secret_encrypted"]) for row in rows]


async def replace_kept(pool: Pool, changes: Sequence[tuple[str, bytes, bytes]]) -> int:
    """(subscription, as it was, as it is to be): replace those that are still as they were; returns how many were.

    One that an agency or another instance has changed meanwhile is left as that one made it. Raises one of AWAY.
    """
    done: str = await pool.execute(
        """update subscriptions s set secret_encrypted = c.after
        from unnest($1::text[], $2::bytea[], $3::bytea[]) as c(name, before, after)
        where s.subscription_id = c.name and s.secret_encrypted = c.before""",
        [name for name, _, _ in changes], [before for _, before, _ in changes], [after for _, _, after in changes],
    )  # fmt: skip
    return int(done.split()[-1])
