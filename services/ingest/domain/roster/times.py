"""Times in roster files: instants, or the facility's wall clock (rule 14)."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo

from contracts.types.common import FIRST_YEAR, LAST_YEAR

__all__ = ["instant_of", "parse_time"]


def instant_of(time: datetime, zone: tzinfo, not_before: datetime | None = None) -> datetime:
    """The instant, in UTC, that `time` stands for: with an offset, that one; without, the wall clock of `zone`.

    A wall clock that is put back shows an hour twice. The first of the two is meant, unless it lies before
    `not_before` and the second does not. A time in the hour that is left out in spring is read with the offset of
    before, so it falls into the hour after: nothing is lost.
    """
    if time.tzinfo is not None:
        return time.astimezone(UTC)
    first = time.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if not_before is not None and first < not_before:
        second = time.replace(tzinfo=zone, fold=1).astimezone(UTC)
        if second >= not_before:
            return second
    return first


def parse_time(text: str, layout: str | None) -> datetime:
    """ISO 8601, or what `layout` (strptime) says. Raises ValueError."""
    time = datetime.strptime(text, layout) if layout else datetime.fromisoformat(text)  # noqa: DTZ007 - local time
    if not FIRST_YEAR < time.year < LAST_YEAR:
        raise ValueError("the year is out of range")
    return time
