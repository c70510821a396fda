"""The book of detainers: the newest version of each, with an index of the people they are lodged on.

Every instance of the matcher holds all of them (DESIGN.md, "The join"). A partition remembers up to which offset
of detainers.v1 it has been judged; `since` gives what it has not seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from contracts.types.detainer import Detainer
from contracts.types.person import Person
from services.matcher.domain.changes import Changes
from services.matcher.domain.identity.engine import Candidate, IdentityEngine, IdentityIndex, Prepared

__all__ = ["DetainerBook", "Entry"]


class Entry(Struct, frozen=True, gc=False):
    """A detainer as it stands, and where on detainers.v1 it was read."""

    detainer: Detainer
    partition: int
    offset: int


class DetainerBook:
    """All detainers by id. Written by whoever reads detainers.v1, read by every partition's fold.

    At a start the topic is read whole before anybody searches. `collect` puts the index off until then: `collected` and
    `build` make it at once, several times as fast as one by one, and `build` alone may run in a thread meanwhile.
    """

    def __init__(self, engine: IdentityEngine) -> None:
        self.engine = engine
        self._entries: dict[str, Entry] = {}
        self._index = engine.new_index()
        self._changes: Changes[str] = Changes()
        self._collecting = False
        self._late: dict[str, None] | None = None  # what changed since `collected`, in order

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def index(self) -> IdentityIndex:
        """The people of the detainers; to be measured, and changed by nobody else."""
        return self._index

    def put(self, detainer: Detainer, partition: int, offset: int) -> bool:
        """Take in a version; False if one that is newer by (occurred_at, sequence) is known (rule 8)."""
        known = self._entries.get(detainer.detainer_id)
        if known is not None and _order(known.detainer) > _order(detainer):
            return False
        self._changes.note(detainer.detainer_id, partition, offset)
        self._entries[detainer.detainer_id] = Entry(detainer, partition, offset)
        if self._collecting:
            if self._late is not None:
                self._late[detainer.detainer_id] = None
        elif known is None or known.detainer.person != detainer.person:
            self._file(detainer)
        return True

    def _file(self, detainer: Detainer) -> None:
        # One that is over stays: it meets the episodes of its time, so that late facts end as early ones do (G2).
        self._index.put(detainer.detainer_id, self.engine.prepare(detainer.person))

    def collect(self) -> None:
        """Leave the index alone until `finish`. The book has to be empty."""
        if self._entries:
            raise AssertionError("the book is in use")
        self._collecting = True

    def collected(self) -> list[tuple[str, Person]]:
        """What `build` takes: everybody who is there now. What comes after is caught up with by `finish`."""
        self._late = {}
        return [(name, entry.detainer.person) for name, entry in self._entries.items()]

    def build(self, people: list[tuple[str, Person]]) -> None:
        """Make the index. Touches nothing else, so that the book may take in versions meanwhile."""
        prepare = self.engine.prepare
        self._index.build((detainer_id, prepare(person)) for detainer_id, person in people)

    def finish(self) -> None:
        """Bring the index up to date with what came since `collected`; it can be searched from now on."""
        late, self._late = self._late or {}, None
        self._collecting = False
        for detainer_id in late:
            self._file(self._entries[detainer_id].detainer)

    def get(self, detainer_id: str) -> Entry | None:
        return self._entries.get(detainer_id)

    def prepared(self, entry: Entry) -> Prepared:
        """The detainer's person as the engine wants it: made when asked for, since millions of them are held."""
        return self.engine.prepare(entry.detainer.person)

    def search(self, person: Prepared) -> Iterable[Candidate]:
        """Detainers that may be lodged on this person."""
        return self._index.search(person)

    def since(self, judged: Mapping[int, int]) -> list[str]:
        """Ids of the detainers read at or after `judged` (detainers.v1 partition -> next offset), oldest first."""
        return self._changes.since(judged)


def _order(detainer: Detainer) -> tuple[object, int]:
    return (detainer.occurred_at, detainer.sequence)
