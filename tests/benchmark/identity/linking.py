"""The engine on a labelled task, as Splink is used on it: parameters without labels, then every blocked pair's bits."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Final

from services.matcher.domain.identity.model import Model
from services.matcher.domain.identity.normalise import Prepared, prepare
from services.matcher.domain.identity.train import estimate, frequencies
from services.matcher.domain.identity.weighed import WeighedEngine, WeighedIndex
from services.matcher.identity_model import load_model
from tests.benchmark.identity.measures import Pair
from tests.benchmark.identity.records import Row, Task

__all__ = ["sallyport_pairs", "trained"]

_ASKED: Final = 5000
"""So many people are searched for in order to learn."""
_AT_RANDOM: Final = 200_000

People = dict[str, Prepared]


def _people(rows: list[Row]) -> People:
    return {row.record_id: prepare(row.person()) for row in rows}


def _index(people: People, model: Model) -> WeighedIndex:
    index = WeighedEngine(model).new_index()
    index.build(people.items())
    return index


def trained(left: People, right: People) -> Model:
    """EM on the candidate pairs of these records; the labels are not looked at. Depends on the records only."""
    model = frequencies([*left.values(), *right.values()], load_model())
    index = _index(left, model)
    rng = Random(7)
    asked = sorted(right)
    if len(asked) > _ASKED:
        asked = sorted(rng.sample(asked, _ASKED))
    blocked = [
        (right[one], left[other]) for one in asked for other in sorted(index.block(right[one])[0]) if other != one
    ]
    a, b = list(left.values()), list(right.values())
    chance = [(rng.choice(a), rng.choice(b)) for _ in range(_AT_RANDOM)]
    return estimate(blocked, chance, model, among=float(len(asked) * len(left)))


def _pairs(task: Task) -> Iterator[Pair]:
    entity = {row.record_id: row.entity for row in (*task.left, *task.right)}
    left = _people(task.left)
    right = left if task.within else _people(task.right)
    model = trained(left, right)
    index = _index(left, model)
    for record_id, person in right.items():
        for other, bits in index.weigh(person):
            if not task.within or other < record_id:
                yield Pair(bits + model.prior_bits, model.probability(bits), entity[record_id] == entity[other])


def sallyport_pairs(task: Task) -> list[Pair]:
    """Every pair that the engine's blocking brings up, once, with its bits and its probability."""
    return list(_pairs(task))
