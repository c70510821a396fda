"""How often a facility is usually heard of, and from when on its silence is unusual.

A feed has two rhythms. One is the gap between two messages: nine of ten are no longer than the *usual gap*, and a
silence is unusual after `factor` times that. The other is the pause that comes back by the clock, at night and at the
weekend, and which the newest gaps of a busy feed do not remember: 32 of them are half a day. So pauses that were longer
than that are kept for two weeks, and while one is due, at the same time of another day or week, nobody is alarmed.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Final

from msgspec import Struct

from services.matcher.domain.feeds.terms import FeedTerms

__all__ = ["Rhythm"]

_GAPS: Final = 32
_PAUSES: Final = 32
_BURST_S: Final = 60
_DAY_S: Final = 86_400
_WEEK_S: Final = 7 * _DAY_S
# Two weeks, and room for a weekend that ends in them.
_REMEMBER_S: Final = 15 * _DAY_S


class Rhythm(Struct, omit_defaults=True):
    """What is remembered of one facility; 270 bytes as JSON for a daily feed, 1 kB at most.

    heard_at: the newest message. gaps: the newest 32 gaps, in seconds, oldest first; messages less than a minute apart
        are one burst and make none. pauses: gaps that outlasted what was allowed, as (begin, end) in seconds from 1970.
    """

    heard_at: datetime | None = None
    gaps: list[int] = []
    pauses: list[tuple[int, int]] = []

    def heard(self, at: datetime, terms: FeedTerms) -> bool:
        """A message was accepted at `at`; False if that is no later than one before, which says nothing."""
        last = self.heard_at
        if last is not None and at <= last:
            return False
        self.heard_at = at
        if last is None:
            return True
        begin, end = int(last.timestamp()), int(at.timestamp())
        gap = end - begin
        if gap < _BURST_S:
            return True
        if self._allowed_s(terms) < gap <= _WEEK_S:
            self.pauses = [*(p for p in self.pauses if p[1] > end - _REMEMBER_S), (begin, end)][-_PAUSES:]
        self.gaps = [*self.gaps, gap][-_GAPS:]
        return True

    def usual_gap(self) -> timedelta | None:
        """The 90th percentile of the gaps (nearest rank); None before the first."""
        if not self.gaps:
            return None
        return timedelta(seconds=sorted(self.gaps)[ceil(0.9 * len(self.gaps)) - 1])

    def silent_at(self, terms: FeedTerms) -> datetime | None:
        """From when on the facility is silent, if it is not heard of before; None: too little is known of it.

        The first night and the first weekend of a feed that pauses then are not known yet, and raise once each. A real
        outage is remembered as a pause too: within two weeks, another one at the same time of day (of the week, if it
        lasted longer than a day) is told of later, by no more than the first one lasted.
        """
        if self.heard_at is None or len(self.gaps) < terms.min_gaps:
            return None
        last, allowed = ceil(self.heard_at.timestamp()), self._allowed_s(terms)
        slack = max(terms.floor.total_seconds(), self._usual_s())
        silent = last + allowed
        for begin, end in self.pauses:
            if end - begin <= allowed or end <= last - _REMEMBER_S:
                continue
            period = _DAY_S if end - begin <= _DAY_S else _WEEK_S
            # The last time that this pause was, or is, to begin before an hour (or the usual gap) after the alarm.
            shift = (last + allowed + slack - begin) // period * period
            if end + shift > last + allowed:
                silent = max(silent, end + shift + slack)
        return datetime.fromtimestamp(silent, UTC)

    def _usual_s(self) -> float:
        usual = self.usual_gap()
        return usual.total_seconds() if usual is not None else 0.0

    def _allowed_s(self, terms: FeedTerms) -> float:
        return max(terms.floor.total_seconds(), terms.factor * self._usual_s())
