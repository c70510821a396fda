"""How fast the identity engine searches, builds, loads and changes; a full scan and Splink on the same records.

`python -m tests.benchmark.identity.speed` measures 1 million and 5 million people, each in a process of its own, so
that resident memory is that of one index. Half of those searched for are on file and mistyped (errors.py), half are
strangers; a search begins with the person as ingest gives it, so normalising is part of it. Whoever waits for a search
waits for all of it: there is no batching, and one core works.
"""

from __future__ import annotations

import csv
import gc
import json
import mmap
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import numpy as np
from cyclopts import App
from rapidfuzz import process
from rapidfuzz.distance import JaroWinkler

from contracts.types.person import Person
from services.matcher.domain.identity.normalise import Prepared
from services.matcher.domain.identity.weighed import WeighedEngine, WeighedIndex
from services.matcher.identity_model import load_model
from tests.benchmark.identity.errors import mistype
from tests.benchmark.identity.names import tables
from tests.benchmark.identity.population import people
from tests.benchmark.peers import peer_python
from tests.benchmark.report import Report, percentile

ON_FILE, STRANGERS, NEWCOMERS = 1, 2, 3  # seeds of the population
WANTED = {
    "search_1m_p50_ms": "<= 0.4",
    "search_1m_p95_ms": "<= 1.2",
    "search_1m_p99_ms": "<= 2.5",
    "search_5m_p50_ms": "<= 1",
    "search_5m_p95_ms": "<= 3",
    "search_5m_p99_ms": "<= 5",
    "build_5m_s": "<= 60",
    "load_5m_s": "<= 10",
    "rss_5m_mb": "<= 1,500",
    "add_p99_ms": "<= 1",
    "scan_ratio_p50": ">= 750",
    "scan_ratio_p99": ">= 120",
}
_PEOPLE = msgspec.msgpack.Decoder(list[Person])
app = App()


def _resident_mb() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no VmRSS")


def _label(count: int) -> str:
    return f"{count // 1_000_000}m" if count >= 1_000_000 else str(count)


@app.command
def made(seed: int, count: int, out: Path) -> None:
    """Write people to a file, for a process that is to hold an index and nothing else."""
    some = people(tables(), seed, count)
    with out.open("wb") as file:
        while frame := list(islice(some, 4096)):
            encoded = msgspec.msgpack.encode(frame)
            file.write(len(encoded).to_bytes(4, "little") + encoded)


def _made(seed: int, count: int) -> Iterator[list[Person]]:
    """People in lists. They are made beforehand: a second process at work would slow down what is measured."""
    with tempfile.NamedTemporaryFile() as file:
        module = [sys.executable, "-m", "tests.benchmark.identity.speed", "made", str(seed), str(count), file.name]
        subprocess.run(module, check=True)
        while head := file.read(4):
            yield _PEOPLE.decode(file.read(int.from_bytes(head, "little")))


class _Stream:
    """People on file as the index is built from them; counts apart the time that getting hold of them takes."""

    def __init__(self, engine: WeighedEngine, count: int) -> None:
        self._engine = engine
        self._made = _made(ON_FILE, count)
        self.waited_s = 0.0

    def __iter__(self) -> Iterator[tuple[str, Prepared]]:
        number = 0
        while True:
            started = time.perf_counter()
            some = next(self._made, None)
            self.waited_s += time.perf_counter() - started
            if some is None:
                return
            for person in some:
                yield f"det_{number:024}", self._engine.prepare(person)
                number += 1


@app.command
def pick(count: int, on_file: int, out: Path) -> None:
    """Choose whom to search for: half are on file, mistyped; half are strangers. Mixed, the same every time."""
    names = tables()
    rng = Random(7)
    share = max(1, count // 2 // 20)
    known = [person for part in range(20) for person in people(names, ON_FILE, share, on_file // 20 * part)]
    asked = [mistype(person, rng).person for person in known]
    asked += people(names, STRANGERS, count - len(asked))
    rng.shuffle(asked)
    out.write_bytes(msgspec.msgpack.encode(asked))


def _asked(count: int, on_file: int) -> list[Person]:
    with tempfile.NamedTemporaryFile() as file:
        module = [sys.executable, "-m", "tests.benchmark.identity.speed", "pick", str(count), str(on_file), file.name]
        subprocess.run(module, check=True)
        return _PEOPLE.decode(Path(file.name).read_bytes())


def _times(engine: WeighedEngine, index: WeighedIndex, asked: list[Person]) -> list[float]:
    """Milliseconds of each search, from the person to the candidates."""
    for person in asked[:200]:
        index.search(engine.prepare(person))
    spent = []
    for person in asked:
        started = time.perf_counter()
        index.search(engine.prepare(person))
        spent.append((time.perf_counter() - started) * 1000)
    return spent


def _changes(engine: WeighedEngine, index: WeighedIndex, count: int) -> tuple[list[float], list[float]]:
    """Milliseconds of `count` puts (more than 1,000), with a removal of a put 1,000 before; some are looked for."""
    puts, removals = [], []
    for number, person in enumerate(chain.from_iterable(_made(NEWCOMERS, count))):
        prepared = engine.prepare(person)
        started = time.perf_counter()
        index.put(f"new_{number:024}", prepared)
        puts.append((time.perf_counter() - started) * 1000)
        if number % 10_000 == 0 and f"new_{number:024}" not in {hit.record_id for hit in index.search(prepared)}:
            raise AssertionError("a record that was added is not found")
        if number >= 1000:
            gone = f"new_{number - 1000:024}"
            started = time.perf_counter()
            index.remove(gone)
            removals.append((time.perf_counter() - started) * 1000)
    return puts, removals


@app.command
def one(count: int, searches: int, changes: int, out: Path) -> None:
    """Measure an index of `count` people; rows to `out` as JSON."""
    rows: list[tuple[str, float, str]] = []
    label = _label(count)
    asked = _asked(searches, count)
    engine = WeighedEngine(load_model())
    index = engine.new_index()
    stream = _Stream(engine, count)
    before = _resident_mb()
    gc.collect()
    gc.freeze()
    started = time.perf_counter()
    index.build(stream)
    rows.append((f"build_{label}_s", time.perf_counter() - started - stream.waited_s, "s, with normalising"))
    gc.collect()
    rows.append((f"rss_{label}_mb", _resident_mb(), "MB, the whole process"))
    rows.append((f"rss_{label}_before_mb", before, "MB, of it: Python, libraries, the benchmark's own"))
    spent = _times(engine, index, asked)
    for quantile, short in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99")):
        rows.append((f"search_{label}_{short}_ms", percentile(spent, quantile), "ms"))
    blocked = [float(len(index.block(engine.prepare(person))[0])) for person in asked[:500]]
    rows.append((f"candidates_{label}_p50", percentile(blocked, 0.5), "records"))
    rows.append((f"candidates_{label}_p99", percentile(blocked, 0.99), "records"))
    with tempfile.NamedTemporaryFile() as file:
        started = time.perf_counter()
        index.save(file.write)
        file.flush()
        rows.append((f"save_{label}_s", time.perf_counter() - started, "s"))
        rows.append((f"snapshot_{label}_mb", file.tell() / 1e6, "MB"))
        loaded = WeighedEngine(load_model()).new_index()
        started = time.perf_counter()
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as raw:
            loaded.load(memoryview(raw))
        rows.append((f"load_{label}_s", time.perf_counter() - started, "s"))
        if len(loaded) != len(index) or loaded.search(engine.prepare(asked[0])) != index.search(
            engine.prepare(asked[0])
        ):
            raise AssertionError("the snapshot does not answer as the index does")
        del loaded
    if changes:
        puts, removals = _changes(engine, index, changes)
        rows.append(("add_p99_ms", percentile(puts, 0.99), f"ms, of {len(puts):,} among as many removals"))
        rows.append(("add_last_p99_ms", percentile(puts[-len(puts) // 10 :], 0.99), "ms, the last tenth of them"))
        rows.append(("add_max_ms", max(puts), "ms"))
        rows.append(("remove_p99_ms", percentile(removals, 0.99), "ms"))
        after = _times(engine, index, asked)
        rows.append((f"search_{label}_after_changes_p50_ms", percentile(after, 0.5), "ms"))
        rows.append((f"search_{label}_after_changes_p99_ms", percentile(after, 0.99), "ms"))
    out.write_text(json.dumps(rows))


def _fields(person: Person) -> tuple[str, str, str]:
    name = person.names[0]
    return name.surname.upper(), (name.given or "").upper(), person.birth_dates[0] if person.birth_dates else ""


def _scan(count: int, asked: list[Person]) -> list[float]:
    """Milliseconds of a full scan for each of a few people, by one core as the index has.

    What somebody would write who had no index: surname, given name and birth date by Jaro-Winkler, summed.
    """
    columns = list(zip(*(_fields(person) for person in people(tables(), ON_FILE, count)), strict=True))
    spent = []
    for person in asked:
        started = time.perf_counter()
        scores = sum(
            process.cdist([field], column, scorer=JaroWinkler.similarity, dtype=np.float32, workers=1)
            for field, column in zip(_fields(person), columns, strict=True)
        )
        np.asarray(scores).argmax()
        spent.append((time.perf_counter() - started) * 1000)
    return spent


def _splink(count: int, asked: list[Person]) -> list[float]:
    """Milliseconds that Splink takes for each of a few people."""
    with tempfile.TemporaryDirectory() as folder:
        left, right, out, spec = (Path(folder) / name for name in ("left.csv", "right.csv", "out.json", "spec.json"))
        _csv(left, people(tables(), ON_FILE, count))
        _csv(right, iter(asked))
        spec.write_text(json.dumps({"left": str(left), "right": str(right), "out": str(out), "seed": 1}))
        script = Path(__file__).with_name("splink_search.py")
        subprocess.run([peer_python("bench-splink"), "-W", "ignore", str(script), str(spec)], check=True)
        return [seconds * 1000 for seconds in json.loads(out.read_text())]


def _csv(path: Path, some: Iterator[Person]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("unique_id", "given", "middle", "surname", "birth", "sex", "number"))
        for number, person in enumerate(some):
            name = person.names[0]
            birth = person.birth_dates[0].replace("-", "") if person.birth_dates else ""
            sex = person.sex.value if person.sex else ""
            writer.writerow((f"{number:09}", name.given or "", name.middle or "", name.surname, birth, sex, ""))


@app.default
def main(*, small: int = 1_000_000, large: int = 5_000_000, searches: int = 4000, changes: int = 500_000) -> None:
    """Measure all and print the table. large=0 leaves the large index out."""
    report = Report("identity-speed", "Identity: speed", WANTED)
    mine: dict[str, float] = {}
    for count, change in ((small, 0 if large else changes), (large, changes)):
        if not count:
            continue
        with tempfile.NamedTemporaryFile() as file:
            module = [sys.executable, "-m", "tests.benchmark.identity.speed", "one"]
            subprocess.run([*module, str(count), str(searches), str(change), file.name], check=True)
            rows: list[tuple[str, float, Any]] = json.loads(Path(file.name).read_text())
        for metric, value, unit in rows:
            mine[metric] = value
            report.add("sallyport", metric, value, unit)
    report.publish()  # what is measured is measured, whatever becomes of the others
    asked = _asked(40, small)
    label = _label(small)
    for system, spent in (("rapidfuzz scan", _scan(small, asked)), ("splink", _splink(small, asked))):
        for quantile, short in ((0.5, "p50"), (0.99, "p99")):
            value = percentile(spent, quantile)
            report.add(system, f"search_{label}_{short}_ms", value, f"ms, of {len(spent)}")
            if system == "rapidfuzz scan":
                ratio = value / mine[f"search_{label}_{short}_ms"]
                report.add("sallyport", f"scan_ratio_{short}", ratio, "times faster than the scan")
    report.publish()


if __name__ == "__main__":
    app()
