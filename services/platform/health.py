"""Alive and ready: two questions, each answered by named checks.

Alive (/livez): would a restart help? A consumer with a backlog that does not move is not alive; a broker that is
away is not a reason to restart. Ready (/readyz): can it do its work now? Not before it is restored and migrated.
"""

from __future__ import annotations

from collections.abc import Callable

from services.platform.metrics import CHECK_FAILING

__all__ = ["Check", "Health"]

Check = Callable[[], str | None]
"""None when all is well, else what is wrong, in one line without personal data."""


class Health:
    """The checks of one service. They run at each request, and must not block."""

    def __init__(self) -> None:
        self._alive: dict[str, Check] = {}
        self._ready: dict[str, Check] = {}

    def alive(self, name: str, check: Check) -> None:
        self._alive[name] = check

    def ready(self, name: str, check: Check) -> None:
        self._ready[name] = check

    def is_alive(self) -> dict[str, str]:
        """What is wrong, by check; empty when alive."""
        return _run(self._alive)

    def is_ready(self) -> dict[str, str]:
        """What is wrong, by check; empty when ready."""
        return _run(self._ready)

    def ready_names(self) -> list[str]:
        """The checks of /readyz, in the order in which they were added."""
        return list(self._ready)

    def measure(self) -> None:
        """Put the verdict of every check into the metrics: asked at each scrape, so that it is of that moment."""
        for probe, checks in (("live", self._alive), ("ready", self._ready)):
            wrong = _run(checks)
            for name in checks:
                CHECK_FAILING.labels(probe, name).set(name in wrong)


def _run(checks: dict[str, Check]) -> dict[str, str]:
    return {name: problem for name, check in checks.items() if (problem := check()) is not None}
