"""The book of detainers: the newest version of each, with an index of the people they are lodged on.

Every instance of the matcher holds all of them (DESIGN.md, "The join"). A partition remembers up to which offset
of detainers.v1 it has been judged; `since` gives what it has not seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from contracts.types.detainer import Detainer, DetainerState
from services.matcher.domain.identity.engine import Candidate, IdentityEngine, Prepared

__all__ = ["DetainerBook", "Entry"]

# A detainer that is over still meets the episodes of its time, so that late facts end as early ones do (G2).
_NEVER_MET = frozenset({DetainerState.SUPERSEDED})


class Entry(Struct, frozen=True):
    """A detainer as it stands, its person ready to be compared, and where on detainers.v1 it was read."""

    detainer: Detainer
    person: Prepared
    partition: int
    offset: int


class DetainerBook:
    """All detainers by id. Written by whoever reads detainers.v1, read by every partition's fold."""

    def __init__(self, engine: IdentityEngine) -> None:
        self.engine = engine
        self._entries: dict[str, Entry] = {}
        self._index = engine.new_index()
        # partition -> detainer id -> offset, in the order of offsets: an update moves its id to the end
        self._order: dict[int, dict[str, int]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, detainer: Detainer, partition: int, offset: int) -> bool:
        """Take in a version; False if one that is newer by (occurred_at, sequence) is known (rule 8)."""
        known = self._entries.get(detainer.detainer_id)
        if known is not None and _order(known.detainer) > _order(detainer):
            return False
        order = self._order.setdefault(partition, {})
        order.pop(detainer.detainer_id, None)
        order[detainer.detainer_id] = offset
        same_person = known is not None and known.detainer.person == detainer.person
        person = known.person if known is not None and same_person else self.engine.prepare(detainer.person)
        self._entries[detainer.detainer_id] = Entry(detainer, person, partition, offset)
        was_met = known is not None and known.detainer.state not in _NEVER_MET
        if detainer.state in _NEVER_MET:
            self._index.remove(detainer.detainer_id)
        elif not (was_met and same_person):
            self._index.put(detainer.detainer_id, person)
        return True

    def get(self, detainer_id: str) -> Entry | None:
        return self._entries.get(detainer_id)

    def search(self, person: Prepared) -> Iterable[Candidate]:
        """Detainers that may be lodged on this person."""
        return self._index.search(person)

    def since(self, judged: Mapping[int, int]) -> list[str]:
        """Ids of the detainers read at or after `judged` (detainers.v1 partition -> next offset), oldest first."""
        found: list[tuple[int, int, str]] = []
        for partition, order in self._order.items():
            start = judged.get(partition, 0)
            for detainer_id, offset in reversed(order.items()):
                if offset < start:
                    break
                found.append((partition, offset, detainer_id))
        return [detainer_id for _, _, detainer_id in sorted(found)]


def _order(detainer: Detainer) -> tuple[object, int]:
    return (detainer.occurred_at, detainer.sequence)
