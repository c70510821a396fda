"""The tallies of all partitions, and which partition judges a facility by them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from hashlib import blake2b

from services.matcher.domain.feeds.tally import Tally

__all__ = ["FeedBook", "steward"]


def steward(facility: str, partitions: int) -> int:
    """The partition of custody.events.v1 that judges this facility's feed: the same one in every instance and run.

    While `partitions` grows, two instances may disagree for a moment: both may judge, and both trips stand.
    """
    digest = blake2b(facility.encode(), digest_size=8, person=b"steward").digest()
    return int.from_bytes(digest, "big") % partitions


class FeedBook:
    """The newest tally of each (facility, partition). Written by whoever reads feed.tallies.v1, read by stewards."""

    def __init__(self) -> None:
        self._tallies: dict[str, dict[int, Tally]] = {}

    def put(self, partition: int, tally: Tally) -> bool:
        """Take in what a partition says now; False if it said so before. The last one put counts, as on the topic."""
        known = self._tallies.setdefault(tally.facility, {})
        if known.get(partition) == tally:
            return False
        known[partition] = tally
        return True

    def get(self, facility: str, partition: int) -> Tally | None:
        return self._tallies.get(facility, {}).get(partition)

    def of_partition(self, partition: int) -> list[Tally]:
        """What one partition last said of each facility: where `Tallies.restore` begins."""
        return [known[partition] for known in self._tallies.values() if partition in known]

    def tallies(self, facility: str) -> Iterable[Tally]:
        """What every partition says of this facility; none, if nobody has heard of it."""
        return self._tallies.get(facility, {}).values()

    def heard_at(self, facility: str) -> datetime | None:
        """When the facility was last heard of, to the minute."""
        return max((tally.heard_at for tally in self.tallies(facility)), default=None)

    def known(self) -> list[str]:
        """Every facility that anybody has heard of, in order."""
        return sorted(self._tallies)

    def facilities(self, partition: int, partitions: int) -> list[str]:
        """The facilities of which this partition is the steward, in order."""
        return sorted(facility for facility in self._tallies if steward(facility, partitions) == partition)
