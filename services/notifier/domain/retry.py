"""When to try again, and when to leave an endpoint in peace."""

from __future__ import annotations

from typing import Final

__all__ = ["BREAKER_LONGEST_S", "LONGEST_S", "SCHEDULE_S", "breaker_pause_s", "next_pause_s"]

_MINUTE, _HOUR = 60.0, 3600.0
SCHEDULE_S: Final = (
    5.0, 30.0, 2 * _MINUTE, 10 * _MINUTE, 30 * _MINUTE, _HOUR, 2 * _HOUR, 4 * _HOUR, 8 * _HOUR,
    12 * _HOUR, 12 * _HOUR, 12 * _HOUR, 12 * _HOUR, 12 * _HOUR,
)  # fmt: skip
"""Seconds after each failed attempt: 15 attempts over at least three days (DESIGN.md, "Notifier")."""

LONGEST_S: Final = 12 * _HOUR
"""Most that an endpoint's Retry-After is followed, in seconds."""

_JITTER: Final = 0.2
_BREAKER_FIRST_S: Final = 5.0
BREAKER_LONGEST_S: Final = 300.0
"""Longest rest of an endpoint, in seconds, between two attempts to see whether it is back."""


def next_pause_s(failed_attempts: int, chance: float, retry_after_s: float | None = None) -> float | None:
    """Seconds until the next attempt, after so many failed ones (1 or more); None: there is none any more.

    chance: a random number from 0 to 1; the pause grows by up to a fifth of itself, never shrinks, so that endpoints
    that failed together are not tried together, and three days stay three days.
    retry_after_s: what the endpoint asked for; followed where it is longer than the schedule.
    """
    if failed_attempts > len(SCHEDULE_S):
        return None
    pause = SCHEDULE_S[failed_attempts - 1] * (1 + _JITTER * chance)
    return max(pause, min(retry_after_s, LONGEST_S)) if retry_after_s is not None else pause


def breaker_pause_s(failures_in_a_row: int, threshold: int) -> float:
    """Seconds for which an endpoint gets nothing; 0 below the threshold. Then one attempt at a time, until one is
    taken."""
    if failures_in_a_row < threshold:
        return 0.0
    doublings = min(failures_in_a_row - threshold, 16)
    return float(min(_BREAKER_FIRST_S * 2**doublings, BREAKER_LONGEST_S))
