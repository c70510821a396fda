"""The identity engine, counted and timed: what a pure domain cannot do for itself."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final

from contracts.types.common import Tier
from contracts.types.person import Person
from services.matcher.domain.identity.engine import Candidate, IdentityEngine, IdentityIndex, Prepared
from services.matcher.metrics import (
    IDENTITY_CANDIDATES,
    IDENTITY_NOBODY,
    IDENTITY_SEARCH,
    IDENTITY_TRUNCATED,
)

__all__ = ["MeteredEngine"]

_FOUND: Final = {tier: IDENTITY_CANDIDATES.labels(tier.value) for tier in Tier}


class _MeteredIndex:
    def __init__(self, index: IdentityIndex) -> None:
        self._index = index

    def build(self, people: Iterable[tuple[str, Prepared]]) -> None:
        self._index.build(people)

    def put(self, record_id: str, person: Prepared) -> None:
        self._index.put(record_id, person)

    def remove(self, record_id: str) -> None:
        self._index.remove(record_id)

    def __len__(self) -> int:
        return len(self._index)

    @property
    def size(self) -> int:
        return self._index.size

    def search(self, person: Prepared) -> Iterable[Candidate]:
        begun = time.perf_counter()
        found = list(self._index.search(person))
        IDENTITY_SEARCH.observe(time.perf_counter() - begun)
        for candidate in found:
            _FOUND[candidate.identity.tier].inc()
        if not found:
            IDENTITY_NOBODY.inc()
        elif found[0].truncated:
            IDENTITY_TRUNCATED.inc()
        return found


class MeteredEngine:
    """Says and finds what `engine` does; every search of its indexes shows in the metrics."""

    def __init__(self, engine: IdentityEngine) -> None:
        self._engine = engine

    @property
    def model(self) -> str:
        return self._engine.model

    def prepare(self, person: Person) -> Prepared:
        return self._engine.prepare(person)

    def new_index(self) -> IdentityIndex:
        return _MeteredIndex(self._engine.new_index())
