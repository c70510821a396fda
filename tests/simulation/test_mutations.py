"""The simulation finds bugs that are put into the code: each by the history that is known to show it (`hunting`)."""

from __future__ import annotations

import warnings

import pytest

from tests.simulation.hunting import hunt, known_seeds
from tests.simulation.mutations import MUTATIONS, Mutation
from tests.simulation.runs import Outcome, play

HUNTED = 100
"""Stormy histories that the test looks at where the known one shows the bug no more."""
REFRESH = 'make simulate ARGS="--mutations" looks for one and notes it'


def _shown(mutation: Mutation) -> Outcome | None:
    seed = known_seeds().get(mutation.name)
    if seed is not None and (outcome := play(seed, under=mutation.plant())).broken:
        return outcome
    warnings.warn(f"{mutation.name!r} is not found by seed {seed}: {REFRESH}", stacklevel=1)
    found = hunt(mutation, HUNTED)
    return found[1] if found is not None else None


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: m.name)
def test_a_planted_bug_is_found(mutation: Mutation) -> None:
    shown = _shown(mutation)
    assert shown is not None, f"nothing in {HUNTED} histories finds {mutation.name!r}: {REFRESH}"
    assert shown.story


def test_there_are_bugs_enough() -> None:
    assert len(MUTATIONS) >= 20
    assert len({m.name for m in MUTATIONS}) == len(MUTATIONS)


def test_the_code_without_them_passes_the_same_histories() -> None:
    for seed in sorted(set(known_seeds().values())):
        outcome = play(seed)
        assert not outcome.broken, f"seed {seed}\n{outcome.story}"
