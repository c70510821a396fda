"""The engine: blocking keys find candidates, Fellegi-Sunter weighs them.

An index keeps each person encoded, a row of numbers to rule strangers out by, and its keys in sorted arrays. Adding,
replacing and removing are seen by the next search. Answers depend on the records that are there and on the model, never
on the order in which they came or on what was there before (G2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from contracts.types.common import Tier
from contracts.types.person import Person
from services.matcher.domain.identity.bound import Bound
from services.matcher.domain.identity.bulk import file_all
from services.matcher.domain.identity.ceilings import Ceilings
from services.matcher.domain.identity.compare import compare
from services.matcher.domain.identity.engine import Candidate, IdentityEngine, IdentityIndex
from services.matcher.domain.identity.keys import IDENTIFIER, SAME_NAME, Pass, filed_under, looked_under, record_key
from services.matcher.domain.identity.model import Model
from services.matcher.domain.identity.normalise import Prepared, prepare
from services.matcher.domain.identity.postings import Found, Postings
from services.matcher.domain.identity.records import Records, Stored
from services.matcher.domain.identity.snapshot import pack, unpack
from services.matcher.domain.identity.verdict import judge
from services.matcher.domain.identity.vocabulary import Vocabulary

__all__ = ["WeighedEngine", "WeighedIndex"]

Numbers = NDArray[np.int64]

_NO_CAP: Final = 1 << 62
_PURGE_BEYOND: Final = 1 << 14
"""Numbers of removed records that may wait before the arrays are swept; and an eighth of the records."""


class WeighedIndex(IdentityIndex):
    """Records under their keys; a change is seen by the next search."""

    def __init__(self, model: Model, vocabulary: Vocabulary, ceilings: Ceilings) -> None:
        self._model = model
        self._vocabulary = vocabulary
        self._ceilings = ceilings
        self._records = Records(vocabulary)
        self._postings = Postings()
        # Numbers of removed records: entries in the arrays may still lead to them. `swept` are those that a sweep
        # under way will have freed; `gone` have to wait for the next.
        self._gone: list[int] = []
        self._swept: list[int] = []

    def __len__(self) -> int:
        return self._records.count

    @property
    def size(self) -> int:
        return self._postings.size + self._records.size

    @property
    def numbers_used(self) -> int:
        """Numbers ever given out, those of second names among them: what the arrays are long."""
        return self._records.used

    def build(self, people: Iterable[tuple[str, Prepared]]) -> None:
        """Fill an empty index, each id once: several times as fast as `put`. Raises ValueError if it is not empty."""
        if len(self) or self._gone or self._swept:
            raise ValueError("only an empty index is built")
        self._postings.load(file_all(self._records, self._vocabulary, people))

    def save(self, write: Callable[[bytes], object]) -> None:
        """Give a snapshot to `write` (of a file, say), piece by piece."""
        pack(self._vocabulary.tokens, [self._postings.whole(), *self._records.columns()], write)

    def load(self, raw: bytes | bytearray | memoryview) -> None:
        """Take over a snapshot in place of what is here. Raises SnapshotError, and leaves all as it was."""
        tokens, (postings, *columns) = unpack(raw)
        numbers = np.array([self._vocabulary.number(token) for token in tokens], np.uint32)
        records = Records(self._vocabulary)
        self._gone, self._swept = records.restore(columns, numbers), []
        self._records = records
        self._postings = Postings()
        self._postings.load(postings.astype(np.uint64))

    def put(self, record_id: str, person: Prepared) -> None:
        known = self._number(record_id)
        if known is not None:
            if self._records.get(known).person == person:
                return
            self._forget(known)
        number = self._records.put(record_id, person)
        self._postings.add([*filed_under(person), record_key(record_id)], number)
        self._sweep()

    def remove(self, record_id: str) -> None:
        number = self._number(record_id)
        if number is not None:
            self._forget(number)
            self._sweep()

    def search(self, person: Prepared) -> list[Candidate]:
        return self.find(person)

    def find(self, person: Prepared, bounded: bool = True) -> list[Candidate]:
        """Every record above NONE, by record id.

        bounded: leave out records that a safe bound rules out. The answers are the same without.
        """
        looked = looked_under(person)
        numbers, which, cut = self._look(looked)
        truncated = _truncated(cut, looked)
        found: list[Candidate] = []
        for number, other in self._worth_weighing(person, numbers, which, looked, bounded):
            verdict = judge(person, other.person, self._model, hopeless=bounded)
            if verdict is not None and verdict[0].tier is not Tier.NONE:
                passes = self._passes(which[numbers == number], looked)
                found.append(Candidate(other.record_id, verdict[0], passes, truncated))
        found.sort(key=_by_id)
        return found

    def _worth_weighing(
        self, person: Prepared, numbers: Numbers, which: Numbers, looked: dict[int, Pass], bounded: bool
    ) -> Iterator[tuple[int, Stored]]:
        """Records that may be above NONE: by an identifier that agrees, or by weight."""
        candidates = _distinct(numbers)
        if not bounded or not len(candidates):
            yield from ((number, self._records.get(number)) for number in candidates.tolist())
            return
        agreeing: set[int] = set()
        for place, kind in enumerate(looked.values()):
            if kind is IDENTIFIER:
                agreeing.update(numbers[which == place].tolist())
        yield from ((number, self._records.get(number)) for number in agreeing)
        bound, least = Bound(person, self._ceilings, self._vocabulary), self._model.least_bits
        left, most = bound.survivors(self._records, candidates, least)
        for number, ceiling in zip(left.tolist(), most.tolist(), strict=True):
            if number in agreeing:
                continue
            other = self._records.get(number)
            if ceiling >= least or ceiling + bound.slips(other.person) >= least:
                yield number, other

    def weigh(self, person: Prepared) -> Iterator[tuple[str, float]]:
        """Every candidate with its bits, whatever its tier: for benchmarks and training."""
        for record_id, other in self._blocked(person):
            yield record_id, sum(w.bits for w in compare(person, other, self._model))

    def block(self, person: Prepared) -> tuple[dict[str, tuple[str, ...]], bool]:
        """Candidates before any weighing: record id -> passes that lead to it; and `Candidate.truncated`."""
        looked = looked_under(person)
        numbers, which, cut = self._look(looked)
        found = {
            self._records.get(number).record_id: self._passes(which[numbers == number], looked)
            for number in _distinct(numbers).tolist()
        }
        return dict(sorted(found.items())), _truncated(cut, looked)

    def _blocked(self, person: Prepared) -> list[tuple[str, Prepared]]:
        numbers, _, _ = self._look(looked_under(person))
        stored = [self._records.get(number) for number in _distinct(numbers).tolist()]
        return sorted(((record.record_id, record.person) for record in stored), key=lambda pair: pair[0])

    def _look(self, looked: dict[int, Pass]) -> Found:
        """Record numbers under these keys."""
        keys = np.fromiter(looked, np.uint64, len(looked))
        caps = np.array([kind.cap or _NO_CAP for kind in looked.values()], np.int64)
        return self._postings.find(keys, caps, self._records.alive, self._dead)

    @staticmethod
    def _passes(which: Numbers, looked: dict[int, Pass]) -> tuple[str, ...]:
        kinds = list(looked.values())
        return tuple(sorted({kinds[place].name for place in which.tolist()}))

    def _number(self, record_id: str) -> int | None:
        keys = np.array([record_key(record_id)], np.uint64)
        for number in self._postings.find(keys, np.array([_NO_CAP]), self._records.alive, self._dead).numbers.tolist():
            if self._records.get(number).record_id == record_id:
                return int(number)
        return None

    @property
    def _dead(self) -> int:
        """Of how many removed records there may be entries yet."""
        return len(self._gone) + len(self._swept)

    def _forget(self, number: int) -> None:
        self._gone += self._records.remove(number)

    def _sweep(self) -> None:
        """Get back the numbers of removed records, a little at a time."""
        if not self._swept and len(self._gone) > _PURGE_BEYOND + len(self) // 8 and self._postings.purge():
            self._gone, self._swept = [], self._gone
        if self._postings.work(self._records.alive) and self._swept:
            self._records.reuse(self._swept)
            self._swept = []


def _distinct(numbers: Numbers) -> Numbers:
    """Like np.unique, in half the time for a few hundred."""
    if len(numbers) < 2:
        return numbers
    ordered = np.sort(numbers)
    return ordered[np.concatenate(([True], ordered[1:] != ordered[:-1]))]


def _truncated(cut: list[int], looked: dict[int, Pass]) -> bool:
    """Whether a block of people who sound the same was left out. What other passes leave out has less in common."""
    if not cut:
        return False
    kinds = list(looked.values())
    return any(kinds[place].name == SAME_NAME for place in cut)


def _by_id(candidate: Candidate) -> str:
    return candidate.record_id


class WeighedEngine(IdentityEngine):
    """Weighs by one model."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._vocabulary = Vocabulary()
        self._ceilings = Ceilings(model)

    @property
    def model(self) -> str:
        return self._model.digest

    def prepare(self, person: Person) -> Prepared:
        return prepare(person)

    def new_index(self) -> WeighedIndex:
        return WeighedIndex(self._model, self._vocabulary, self._ceilings)
