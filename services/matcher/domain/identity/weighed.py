"""The engine: blocking keys find candidates, Fellegi-Sunter weighs them.

An index keeps each person encoded (a few dozen bytes) and a map from the hash of a key to record numbers. A hash that
two keys share only brings one candidate more, which the weighing refuses.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec
from msgspec import Struct

from contracts.types.common import Tier
from contracts.types.person import Person
from services.matcher.domain.identity.compare import Bound, compare
from services.matcher.domain.identity.engine import Candidate, IdentityEngine, IdentityIndex
from services.matcher.domain.identity.keys import CAP, filed_under, looked_under
from services.matcher.domain.identity.model import Model
from services.matcher.domain.identity.normalise import Prepared, prepare
from services.matcher.domain.identity.verdict import judge

__all__ = ["WeighedEngine", "WeighedIndex"]

_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(Prepared)
_SNAPSHOT_VERSION: Final = 1


class _Snapshot(Struct, array_like=True):
    version: int
    records: list[tuple[str, bytes]]


class WeighedIndex(IdentityIndex):
    """Records under their keys; a change is seen by the next search."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._numbers: dict[str, int] = {}
        self._ids: list[str | None] = []
        self._people: list[bytes] = []
        self._free: list[int] = []
        # Most keys lead to one record: an int costs no container.
        self._by_key: dict[int, int | array[int]] = {}

    def __len__(self) -> int:
        return len(self._numbers)

    def put(self, record_id: str, person: Prepared) -> None:
        encoded = _ENCODER.encode(person)
        known = self._numbers.get(record_id)
        if known is not None:
            if self._people[known] == encoded:
                return
            self.remove(record_id)
        if self._free:
            number = self._free.pop()
            self._ids[number], self._people[number] = record_id, encoded
        else:
            number = len(self._ids)
            self._ids.append(record_id)
            self._people.append(encoded)
        self._numbers[record_id] = number
        for hashed in filed_under(person):
            there = self._by_key.get(hashed)
            if there is None:
                self._by_key[hashed] = number
            elif isinstance(there, int):
                self._by_key[hashed] = array("I", (there, number))
            else:
                there.append(number)

    def remove(self, record_id: str) -> None:
        number = self._numbers.pop(record_id, None)
        if number is None:
            return
        person = _DECODER.decode(self._people[number])
        self._ids[number], self._people[number] = None, b""
        self._free.append(number)
        for hashed in filed_under(person):
            there = self._by_key[hashed]
            if isinstance(there, int):
                del self._by_key[hashed]
            else:
                there.remove(number)
                if len(there) == 1:
                    self._by_key[hashed] = there[0]

    def search(self, person: Prepared) -> Iterable[Candidate]:
        return self.find(person)

    def find(self, person: Prepared, bounded: bool = True) -> list[Candidate]:
        """Every record above NONE, by record id, with bits, passes and whether the name-only pass was cut.

        bounded: skip records that a safe bound rules out. The answers are the same without.
        """
        bound, least = Bound(person, self._model), self._model.least_bits
        passes, truncated = self.block(person)
        found: list[Candidate] = []
        for record_id in sorted(passes):
            other = _DECODER.decode(self._people[self._numbers[record_id]])
            if bounded and bound.rules_out(other, least):
                continue
            verdict = judge(person, other, self._model, hopeless=bounded)
            if verdict is not None and verdict[0].tier is not Tier.NONE:
                found.append(Candidate(record_id, verdict[0], tuple(passes[record_id]), truncated))
        return found

    def weigh(self, person: Prepared) -> Iterator[tuple[str, float]]:
        """Every candidate with its bits, whatever its tier: for benchmarks and training."""
        for record_id in sorted(self.block(person)[0]):
            other = _DECODER.decode(self._people[self._numbers[record_id]])
            yield record_id, sum(w.bits for w in compare(person, other, self._model))

    def block(self, person: Prepared) -> tuple[dict[str, list[str]], bool]:
        """Candidates before any weighing: record id -> passes that lead to it; and whether a block was left out."""
        found: dict[str, list[str]] = {}
        truncated = False
        for key, kind in looked_under(person).items():
            there = self._by_key.get(key)
            if there is None:
                continue
            numbers: Iterable[int] = (there,) if isinstance(there, int) else there
            if kind.capped and not isinstance(there, int) and len(there) > CAP:
                truncated = True
                continue
            for number in numbers:
                record_id = self._ids[number]
                assert record_id is not None
                passes = found.setdefault(record_id, [])
                if kind.name not in passes:
                    passes.append(kind.name)
        return found, truncated

    def save(self) -> bytes:
        """A snapshot: the records by id. Keys are made again on loading, since their hashes are the process's own."""
        records = [(record_id, self._people[self._numbers[record_id]]) for record_id in sorted(self._numbers)]
        return _ENCODER.encode(_Snapshot(_SNAPSHOT_VERSION, records))

    def load(self, raw: bytes) -> None:
        """Put every record of a snapshot. Raises msgspec.ValidationError, or ValueError for another version."""
        snapshot = msgspec.msgpack.decode(raw, type=_Snapshot)
        if snapshot.version != _SNAPSHOT_VERSION:
            raise ValueError(f"snapshot version {snapshot.version}, not {_SNAPSHOT_VERSION}")
        for record_id, encoded in snapshot.records:
            self.put(record_id, _DECODER.decode(encoded))


class WeighedEngine(IdentityEngine):
    """Weighs by one model."""

    def __init__(self, model: Model) -> None:
        self._model = model

    @property
    def model(self) -> str:
        return self._model.digest

    def prepare(self, person: Person) -> Prepared:
        return prepare(person)

    def new_index(self) -> WeighedIndex:
        return WeighedIndex(self._model)
