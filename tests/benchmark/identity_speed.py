"""Speed of the identity engine on made-up people, beside a full scan by rapidfuzz over the same records.

`python -m tests.benchmark.identity_speed [RECORDS] [SEARCHES]`
"""

from __future__ import annotations

import resource
import sys
import time
from random import Random

from rapidfuzz import process
from rapidfuzz.distance import JaroWinkler

from contracts.types.common import Tier
from services.matcher.domain.identity.normalise import Name, Prepared
from services.matcher.domain.identity.weighed import WeighedIndex
from services.matcher.identity_model import load_model
from tests.benchmark.report import Report, percentile

_SYLLABLES = [
    "ba",
    "ber",
    "cal",
    "dan",
    "del",
    "dor",
    "el",
    "fen",
    "gar",
    "hal",
    "is",
    "jon",
    "kar",
    "lam",
    "lin",
    "mar",
    "mor",
    "nel",
    "or",
    "pen",
    "quin",
    "ras",
    "sen",
    "tor",
    "ul",
    "van",
    "wil",
    "yar",
    "zim",
]


def vocabulary(rng: Random, size: int, least: int) -> list[str]:
    return sorted({"".join(rng.choices(_SYLLABLES, k=least + rng.randrange(2))).upper() for _ in range(size)})


_STRENGTH = [Tier.NONE, Tier.POSSIBLE, Tier.PROBABLE, Tier.CONFIRMED]


class World:
    """People by number, names by Zipf's law as real ones are; the same number, the same person."""

    def __init__(self, seed: int) -> None:
        rng = Random(seed)
        self.surnames = vocabulary(rng, 60_000, 2)
        self.givens = vocabulary(rng, 4_000, 2)
        rng.shuffle(self.surnames)
        rng.shuffle(self.givens)

    def person(self, rng: Random) -> Prepared:
        # u ** 3 gives the commonest of 60,000 names 2.6 % and the median bearer rank 7,500.
        surname = self.surnames[int(len(self.surnames) * rng.random() ** 3)]
        given = self.givens[int(len(self.givens) * rng.random() ** 3)]
        birth = f"{rng.randint(1950, 2006)}{rng.randint(1, 12):02}{rng.randint(1, 28):02}"
        return Prepared(names=(Name((surname,), (given,)),), births=(birth,), sex=rng.choice("MF"))


def main(records: int, searches: int) -> None:
    label = f"{records // 1_000_000}m" if records >= 1_000_000 else str(records)
    report = Report(f"identity-speed-{label}", f"Identity: speed at {records:,} records")
    world, rng = World(1), Random(2)
    index = WeighedIndex(load_model())
    names: list[str] = []
    spent = 0.0
    kept: list[Prepared] = []
    for number in range(records):
        person = world.person(rng)
        if number % (records // searches) == 0:
            kept.append(person)
        if len(names) < 1_000_000:
            names.append(f"{person.names[0].surname[0]} {person.names[0].given[0]} {person.births[0]}")
        started = time.perf_counter()
        index.put(f"d{number:08}", person)
        spent += time.perf_counter() - started
    report.add("sallyport", f"build_{label}_s", spent, "s")
    # Half of those asked for are in the index with a letter doubled, half are strangers.
    asked: list[Prepared] = []
    for number, person in enumerate(kept[:searches]):
        if number % 2:
            asked.append(world.person(rng))
        else:
            name = person.names[0]
            surname = name.surname[0]
            typed = Name((surname[:3] + surname[2:],), name.given)
            asked.append(Prepared(names=(typed,), births=person.births, sex=person.sex))
    times, looked = [], []
    for person in asked:
        started = time.perf_counter()
        index.find(person)
        times.append((time.perf_counter() - started) * 1000)
        looked.append(float(len(index.block(person)[0])))
    for quantile, short in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99")):
        report.add("sallyport", f"search_{label}_{short}_ms", percentile(times, quantile), "ms")
    report.add("sallyport", f"candidates_{label}_p50", percentile(looked, 0.5), "records")
    report.add("sallyport", f"candidates_{label}_p99", percentile(looked, 0.99), "records")
    tiers = [
        max(
            (hit.candidate.identity.tier for hit in index.find(world.person(rng))),
            key=_STRENGTH.index,
            default=Tier.NONE,
        )
        for found in (index.find(world.person(rng)) for _ in range(min(20_000, 2 * searches)))
    ]
    for tier in (Tier.PROBABLE, Tier.POSSIBLE):
        share = sum(_STRENGTH.index(found) >= _STRENGTH.index(tier) for found in tiers) / len(tiers)
        report.add("sallyport", f"strangers_{tier.value.lower()}_rate", share, f"of {len(tiers):,} without identifiers")
    changes = []
    for number in range(min(records, 20_000)):
        person = world.person(rng)
        started = time.perf_counter()
        index.put(f"n{number}", person)
        index.remove(f"n{number}")
        changes.append((time.perf_counter() - started) * 1000)
    report.add("sallyport", "add_p99_ms", percentile(changes, 0.99), "ms")
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    report.add("sallyport", f"rss_{label}_mb", rss, "MB, the scan's strings and the benchmark's own among them")
    started = time.perf_counter()
    for person in asked[:5]:
        text = f"{person.names[0].surname[0]} {person.names[0].given[0]} {person.births[0]}"
        process.cdist([text], names, scorer=JaroWinkler.similarity, workers=1)
    report.add("rapidfuzz scan", "search_1m_mean_ms", (time.perf_counter() - started) * 200, "ms")
    report.publish()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000, int(sys.argv[2]) if len(sys.argv) > 2 else 2_000)
