"""The one interface through which the matcher asks whether two records are one person.

Both sides of the join use it: an index of detainers is searched with a person in custody, and an index of people
in custody with the person of a detainer. Implementations are pure and deterministic.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from msgspec import Struct

from contracts.types.conflict import Identity
from contracts.types.person import Person

__all__ = ["Candidate", "IdentityEngine", "IdentityIndex", "Prepared"]

Prepared = Any
"""A person as an engine wants it (normalised, hashed, …). Opaque to everyone else; never stored."""


class Candidate(Struct, frozen=True):
    """A record of the index that may be the person asked for, how sure that is, and how it was come by.

    passes: the blocking passes that found it. truncated: the search met a block too large to be looked at whole, so
    that there may be others of this name.
    """

    record_id: str
    identity: Identity
    passes: tuple[str, ...] = ()
    truncated: bool = False


class IdentityIndex(Protocol):
    """Records that can be searched. A change is visible to the next search."""

    def build(self, people: Iterable[tuple[str, Prepared]]) -> None:
        """Fill an empty index, each id once: several times as fast as `put`. Raises ValueError if it is not empty."""

    def put(self, record_id: str, person: Prepared) -> None:
        """Add the record, or replace it."""

    def remove(self, record_id: str) -> None:
        """Take the record out; unknown ids are of no concern."""

    def search(self, person: Prepared) -> Iterable[Candidate]:
        """Every record whose tier is above NONE, in an order that depends on the records only."""

    def __len__(self) -> int:
        """How many records there are."""

    @property
    def size(self) -> int:
        """Bytes that the records and what finds them take, but for what is small beside them."""


class IdentityEngine(Protocol):
    """Prepares people, makes indexes, and names the model that decides (G7)."""

    @property
    def model(self) -> str: ...

    def prepare(self, person: Person) -> Prepared:
        """Normalise once, search often."""

    def new_index(self) -> IdentityIndex:
        """An empty index."""
