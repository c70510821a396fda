"""Make the model that is shipped: `python -m tests.benchmark.identity.ship`, the same file every time.

Names are counted, and m and u estimated without labels, on the synthetic population (population.py: names by the 2020
census, in a mix as of American jails) and copies of it with clerical errors (errors.py), from a seed that no benchmark
uses. The prior is set and not learnt: one record among a million is that of the person searched for.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import nlargest
from math import log2
from random import Random
from typing import Final

from msgspec.structs import replace

from services.matcher.domain.identity.model import LEVELS, Model, encode
from services.matcher.domain.identity.normalise import Prepared, prepare
from services.matcher.domain.identity.train import estimate, frequencies
from services.matcher.domain.identity.weighed import WeighedEngine
from services.matcher.identity_model import SHIPPED
from tests.benchmark.identity.errors import mistype
from tests.benchmark.identity.names import tables
from tests.benchmark.identity.population import people

__all__ = ["main", "shipped"]

VERSION: Final = "default/2"
SEED: Final = 8
COUNTED: Final = 2_000_000
ON_FILE: Final = 200_000
COPIES: Final = 8_000
AT_RANDOM: Final = 400_000
SURNAMES: Final = 5_000
GIVENS: Final = 1_500
RECORDS: Final = 1_000_000
OFFSET_BITS: Final = -3.9
"""What calibration takes off, measured with labels on 1,200 copies of people of seed 8 that nothing was learnt from and
3,000 strangers of seed 7: 1.8 bits, as less than a third of those searched for was on file, and 2.1 for names that go
together (JUAN with GARCIA) and are weighed as if they did not."""
POSSIBLE: Final = 0.1
"""A person looks at what is one chance in ten: a detainer overlooked costs more than a look."""

JUDGED: Final = 0.05
"""The share of judgement in m: no set of made-up errors has all those that people make."""
NOT_MISTYPED: Final = ("ssn4", "agency_local", "a_number", "ucn")
KEPT: Final = {("given", "crossed"): 0.01, ("given", "crossed_initial"): 0.005}
"""People who go by their middle name: there are none in the copies."""

JUDGEMENT: Final = Model(
    version="judgement",
    m={
        "surname": [0.84, 0.04, 0.08, 0.01, 0.01, 0.005, 0.015],
        "given": [0.8, 0.04, 0.08, 0.01, 0.01, 0.02, 0.01, 0.005, 0.005, 0.02],
        "middle": [0.55, 0.05, 0.33, 0.07],
        "birth_date": [0.9, 0.01, 0.04, 0.01, 0.02, 0.005, 0.005, 0.01],
        "sex": [0.98, 0.02],
        "ssn4": [0.94, 0.03, 0.03],
        "agency_local": [0.95, 0.03, 0.02],
        "a_number": [0.95, 0.03, 0.02],
        "sid": [0.95, 0.03, 0.02],
        "ucn": [0.97, 0.02, 0.01],
    },
    u={
        "surname": [0.0007, 0.001, 0.0005, 0.003, 0.012, 0.0001, 0.9827],
        "given": [0.003, 0.002, 0.001, 0.004, 0.001, 0.01, 0.02, 0.004, 0.0001, 0.9549],
        "middle": [0.01, 0.004, 0.05, 0.936],
        "birth_date": [5e-05, 5e-05, 0.0006, 0.0005, 0.003, 0.009, 0.02, 0.9668],
        "sex": [0.6, 0.4],
        "ssn4": [0.0001, 0.0036, 0.9963],
        "agency_local": [1e-07, 3e-06, 0.9999969],
        "a_number": [1e-07, 3e-06, 0.9999969],
        "sid": [1e-07, 3e-06, 0.9999969],
        "ucn": [1e-07, 3e-06, 0.9999969],
    },
    surname_frequency={},
    given_frequency={},
    rare=1e-5,
    prior_bits=-log2(RECORDS),
)
"""Where EM starts, and what stands where the population has nothing to say (how often identifiers agree by chance)."""


def _commonest(frequency: dict[str, float], count: int) -> dict[str, float]:
    kept = nlargest(count, frequency, key=lambda name: (frequency[name], name))
    return {name: float(f"{frequency[name]:.3g}") for name in sorted(kept)}


def _rare(all_: dict[str, float], listed: dict[str, float]) -> float:
    """How frequent a name is on average that somebody bears and that is not listed."""
    rest = [share for name, share in all_.items() if name not in listed]
    return sum(share * share for share in rest) / sum(rest)


def _counted(known: Model, of: Iterable[Prepared]) -> Model:
    whole = frequencies(of, replace(known, surname_frequency={}, given_frequency={}), least=1)
    surnames = _commonest(whole.surname_frequency, SURNAMES)
    givens = _commonest(whole.given_frequency, GIVENS)
    rare = float(f"{_rare(whole.surname_frequency, surnames):.2g}")
    return replace(whole, surname_frequency=surnames, given_frequency=givens, rare=rare)


def shipped() -> Model:
    """The model; depends on the code and on the locked data only."""
    names = tables()
    known = _counted(JUDGEMENT, (prepare(person) for person in people(names, SEED, COUNTED)))
    on_file = list(people(names, SEED, ON_FILE))
    prepared = [prepare(person) for person in on_file]
    index = WeighedEngine(known).new_index()
    index.build((str(number), person) for number, person in enumerate(prepared))
    rng = Random(SEED)
    asked = [
        prepare(mistype(on_file[number], Random(f"{SEED}:{number}")).person)
        for number in rng.sample(range(ON_FILE), COPIES)
    ]
    blocked = [(person, prepared[int(other)]) for person in asked for other in sorted(index.block(person)[0])]
    chance = [(rng.choice(asked), rng.choice(prepared)) for _ in range(AT_RANDOM)]
    learnt = estimate(blocked, chance, known, among=float(COPIES * ON_FILE))
    return finished(learnt)


def finished(learnt: Model) -> Model:
    """What was learnt, with judgement where the copies have nothing to teach: errors that errors.py does not make."""
    m: dict[str, list[float]] = {}
    for field, judged in JUDGEMENT.m.items():
        own = learnt.m[field] if field not in NOT_MISTYPED else judged
        mixed = [(1 - JUDGED) * one + JUDGED * other for one, other in zip(own, judged, strict=True)]
        kept = {LEVELS[field].index(level): share for (of, level), share in KEPT.items() if of == field}
        rest = (1 - sum(kept.values())) / sum(share for at, share in enumerate(mixed) if at not in kept)
        m[field] = [float(f"{kept.get(at, share * rest):.4g}") for at, share in enumerate(mixed)]
    u = {field: [float(f"{share:.4g}") for share in shares] for field, shares in learnt.u.items()}
    # The population has no families; the world has.
    prior, kin = round(-log2(RECORDS), 3), JUDGEMENT.kin_bits
    return replace(
        learnt, version=VERSION, m=m, u=u, prior_bits=prior, kin_bits=kin, offset_bits=OFFSET_BITS, possible=POSSIBLE
    )


def main() -> None:
    SHIPPED.write_bytes(encode(shipped()))


if __name__ == "__main__":
    main()
