"""The simulation finds bugs that are put into the code: those that show soon; the rest with `--mutations`."""

from __future__ import annotations

import pytest

from tests.simulation.mutations import MUTATIONS, Mutation, hunt
from tests.simulation.runs import play
from tests.simulation.service import is_stormy

SOON = [m for m in MUTATIONS if m.within <= 60]


@pytest.mark.parametrize("mutation", SOON, ids=lambda m: m.name)
def test_a_planted_bug_is_found(mutation: Mutation) -> None:
    found = hunt(mutation)
    assert found is not None, f"nothing finds it: {mutation.name}"
    assert found[1].story


def test_there_are_bugs_enough() -> None:
    assert len(MUTATIONS) >= 20
    assert len({m.name for m in MUTATIONS}) == len(MUTATIONS)


def test_the_code_without_them_passes_the_same_histories() -> None:
    for seed in filter(is_stormy, range(4 * 60)):
        outcome = play(seed)
        assert not outcome.broken, f"seed {seed}\n{outcome.story}"
