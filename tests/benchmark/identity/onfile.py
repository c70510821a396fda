"""Synthetic people searched for among synthetic detainers, by the model as it is shipped.

The detainers are people 0 to N of one seed. Those who are searched for are either mistyped copies of some of them, as
another agency would have them, or strangers: people of another seed, who are on no detainer and share no identifier
with one.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Final, NamedTuple

from contracts.types.common import Tier
from contracts.types.person import Person
from services.matcher.domain.identity.model import Model
from services.matcher.domain.identity.weighed import WeighedEngine, WeighedIndex
from services.matcher.identity_model import load_model
from tests.benchmark.identity.errors import Kind, mistype
from tests.benchmark.identity.measures import Pair
from tests.benchmark.identity.names import NameTables
from tests.benchmark.identity.origins import Origin
from tests.benchmark.identity.population import Made, made, people

__all__ = ["Copy", "Detainers", "Verdicts"]

DETAINED_SEED: Final = 1
STRANGER_SEED: Final = 2
_RANK: Final = {Tier.NONE: 0, Tier.POSSIBLE: 1, Tier.PROBABLE: 2, Tier.CONFIRMED: 3}


class Copy(NamedTuple):
    """Somebody on a detainer, as another agency has them."""

    number: int
    origin: Origin
    original: Person
    typed: Person
    kinds: frozenset[Kind]


class Verdicts(NamedTuple):
    """What a search brought. right: the tier of the true record (0 where it was not raised); wrong: the best of others.

    0 is NONE, 1 POSSIBLE, 2 PROBABLE, 3 CONFIRMED.
    """

    right: int
    wrong: int
    truncated: bool


class Detainers:
    """An index of `count` detainers; copies of those whose numbers are `wanted` can be searched for."""

    def __init__(self, tables: NameTables, count: int, wanted: frozenset[int] = frozenset()) -> None:
        self.model: Model = load_model()
        self.count = count
        self._tables = tables
        self._engine = WeighedEngine(self.model)
        self.originals: dict[int, Made] = {}
        self.index: WeighedIndex = self._engine.new_index()
        prepare = self._engine.prepare
        self.index.build((str(one.number), prepare(one.person)) for one in self._keeping(wanted))

    def _keeping(self, wanted: frozenset[int]) -> Iterator[Made]:
        for one in made(self._tables, DETAINED_SEED, self.count):
            if one.number in wanted:
                self.originals[one.number] = one
            yield one

    def copies(self, numbers: list[int], seed: int = 5) -> Iterator[Copy]:
        """Mistyped copies of detainers; the errors of number n depend on n and the seed only."""
        for number in numbers:
            one = self.originals[number]
            typed = mistype(one.person, Random(f"{seed}:{number}"))
            yield Copy(number, one.origin, one.person, typed.person, typed.kinds)

    def strangers(self, count: int) -> Iterator[Person]:
        return people(self._tables, STRANGER_SEED, count)

    def search(self, person: Person, true: int | None = None) -> Verdicts:
        """What a search for a person brings; true: the number of their own record."""
        right = wrong = 0
        truncated = False
        own = str(true)
        for candidate in self.index.search(self._engine.prepare(person)):
            rank = _RANK[candidate.identity.tier]
            truncated = truncated or candidate.truncated
            if candidate.record_id == own:
                right = rank
            else:
                wrong = max(wrong, rank)
        return Verdicts(right, wrong, truncated)

    def weigh(self, person: Person, true: int | None = None) -> Iterator[Pair]:
        """Every blocked pair with its probability, raised or not."""
        own = str(true)
        for record_id, bits in self.index.weigh(self._engine.prepare(person)):
            yield Pair(bits, self.model.probability(bits), record_id == own)
