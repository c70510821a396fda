"""The spans of time by which the fold judges, and where facilities are. Defaults and meaning: docs/lifecycle.md."""

from __future__ import annotations

from datetime import timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Struct

__all__ = ["Places", "Terms"]


class Terms(Struct, frozen=True, kw_only=True):
    """look_back: a detainer lodged at most so long after the end of custody is told of it (rule 11).

    retention: after so long, an episode that ended and has nothing open is put away. marker: after so long more, it is
        forgotten that there was one.
    hold: 8 CFR 287.7(d), in counted hours. over_detention: held so long beyond the scheduled release.
    expiry_warning: a detainer that lapses within so long is told of (rule 20).
    inferred_stands: an inferred release that nothing contradicts for so long (rule 10).
    settle: nothing that time alone brings about is said of a fact accepted less than so long ago.
    """

    look_back: timedelta = timedelta(days=30)
    retention: timedelta = timedelta(days=90)
    marker: timedelta = timedelta(days=400)
    hold: timedelta = timedelta(hours=48)
    over_detention: timedelta = timedelta(hours=24)
    expiry_warning: timedelta = timedelta(days=7)
    inferred_stands: timedelta = timedelta(hours=26)
    settle: timedelta = timedelta(minutes=15)


class Places:
    """Time zones of facilities. Written by whoever reads registry.v1, read by every partition's fold."""

    def __init__(self, default_zone: str = "UTC") -> None:
        self._default = ZoneInfo(default_zone)
        self._zones: dict[str, tzinfo] = {}

    def put(self, facility: str, name: str | None) -> bool:
        """Take in the IANA name of a facility's zone; True if that is another zone than before. A name that is none
        leaves the default, as None does: the facility is not in the registry any more."""
        before = self.zone(facility)
        zone = _zone(name) if name is not None else None
        if zone is None:
            self._zones.pop(facility, None)
        else:
            self._zones[facility] = zone
        return self.zone(facility) != before

    def zone(self, facility: str) -> tzinfo:
        return self._zones.get(facility, self._default)


def _zone(name: str) -> tzinfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
