"""What happened, line by line, so that a person can follow how a seed came to fail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

__all__ = ["Story"]

_SECRETIVE = frozenset({"exc_info"})


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
            f"{at:9.3f}  {who:<11} {what}{''.join(f' {k}={v}' for k, v in more.items() if k not in _SECRETIVE)}"
            for at, who, what, more in self._lines
        )
