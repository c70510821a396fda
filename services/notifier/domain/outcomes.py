"""What follows from one attempt: the delivery's next state, the endpoint's breaker, the event for notices.v1."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct

from services.notifier.domain.retry import BREAKER_LONGEST_S, breaker_pause_s, next_pause_s

__all__ = ["Verdict", "judge"]


class Verdict(Struct, frozen=True):
    """status of the delivery from now on: delivered, pending (another attempt at `next_attempt_at`) or failed.

    rest_until: the endpoint gets nothing before; None asks for no rest.
    """

    status: str
    next_attempt_at: datetime | None
    rest_until: datetime | None


def judge(
    delivered: bool,
    now: datetime,
    *,
    failures: int,
    failures_in_a_row: int,
    threshold: int,
    chance: float,
    retry_after_s: float | None = None,
    scale: float = 1.0,
) -> Verdict:
    """failures: failed attempts of this delivery before this one. failures_in_a_row: of its endpoint, before this one.

    scale: factor on every pause. The rest are as in `retry`.
    """
    if delivered:
        return Verdict("delivered", None, None)
    # Who asks for time asks for all of its notices; how long one of them waits is its own schedule's matter.
    asked_s = min(retry_after_s or 0.0, BREAKER_LONGEST_S)
    rest_s = max(breaker_pause_s(failures_in_a_row + 1, threshold), asked_s) * scale
    rest_until = now + timedelta(seconds=rest_s) if rest_s else None
    pause_s = next_pause_s(failures + 1, chance, retry_after_s)
    if pause_s is None:
        return Verdict("failed", None, rest_until)
    return Verdict("pending", now + timedelta(seconds=pause_s * scale), rest_until)
