"""What happened, line by line, so that a person can follow how a seed came to fail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from contracts.types.conflict import Conflict, Review
from contracts.types.feed import Breaker

__all__ = ["Story", "Told"]

_SILENT: Final = frozenset({"exc_info"})


class Story:
    """Lines as (virtual seconds, who, what), rendered when somebody reads them. counts: how often what happened."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lines: list[tuple[float, str, object, Mapping[str, object]]] = []
        self.counts: Counter[str] = Counter()

    def say(self, who: str, what: object, **more: object) -> None:
        """A line; `more` is written behind it as name=value."""
        self._lines.append((self._clock(), who, what, more))

    def count(self, what: str, by: int = 1) -> None:
        self.counts[what] += by

    def __str__(self) -> str:
        return "\n".join(
            f"{at:9.3f}  {who:<12} {what}{''.join(f' {k}={v}' for k, v in more.items() if k not in _SILENT)}"
            for at, who, what, more in self._lines
        )


class Told:
    """A record that was published, in words; decoded when somebody reads it."""

    def __init__(self, topic: str, value: bytes) -> None:
        self._topic = topic
        self._value = value

    def __str__(self) -> str:
        if self._topic == "conflicts.v1":
            return f"publishes {conflict_in_words(msgspec.json.decode(self._value, type=Conflict))}"
        if self._topic == "reviews.v1":
            r = msgspec.json.decode(self._value, type=Review)
            return f"publishes review {r.review_id[:8]} v{r.version} {r.status} at {r.stage}, because of {r.cause.kind}"
        b = msgspec.json.decode(self._value, type=Breaker)
        return f"publishes breaker of {b.facility} {b.state}, since {b.since}: {b.releases} of {b.population}"


def conflict_in_words(c: Conflict) -> str:
    """con_abcd v2 released (…) of booking B-1 for D-1."""
    why = c.retraction or c.closed_because
    alerts = f" {', '.join(c.alerts)}" if c.alerts else ""
    return (
        f"{c.conflict_id[:8]} v{c.version} {c.stage}{f' ({why})' if why else ''}{alerts}, {c.identity.tier}"
        f"{f' ({c.identity.reviewed})' if c.identity.reviewed else ''}, of {c.episode.booking_number} for "
        f"{c.detainer.agency_reference}, because of {c.cause.kind}"
    )
