"""Error rates by group: whose record is missed, and who is taken for somebody else.

Mistyped copies of people on detainers are searched for among all detainers, by the shipped model. Sex, missing fields
and kinds of error are counted over a plain sample of the detainers; origins of surnames over that and further people
of the rarer ones, so that each has enough to be counted.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from random import Random
from typing import Final

from rich.console import Console
from rich.table import Table

from contracts.types.person import Person
from tests.benchmark.identity.measures import wilson
from tests.benchmark.identity.names import NameTables
from tests.benchmark.identity.onfile import DETAINED_SEED, Copy, Detainers, Verdicts
from tests.benchmark.identity.origins import Origin
from tests.benchmark.identity.population import made
from tests.benchmark.report import OUT

__all__ = ["Group", "Sample", "markdown", "measure", "missing", "publish", "sample"]

ALL: Final = "everybody"
_console = Console(width=120)


@dataclass
class Group:
    """People of one group, all of whom are on file.

    missed: their record was not raised at POSSIBLE or better. unlinked: it was not raised at PROBABLE or better, so
    that nothing leaves before a person has looked. wrong: somebody else's record was raised at POSSIBLE or better;
    wrong_probable: at PROBABLE or better.
    """

    by: str
    group: str
    people: int = 0
    missed: int = 0
    unlinked: int = 0
    wrong: int = 0
    wrong_probable: int = 0

    def count(self, verdicts: Verdicts) -> None:
        self.people += 1
        self.missed += verdicts.right < 1
        self.unlinked += verdicts.right < 2
        self.wrong += verdicts.wrong >= 1
        self.wrong_probable += verdicts.wrong >= 2

    @property
    def missed_interval(self) -> tuple[float, float]:
        """95 %, of the share missed."""
        return wilson(self.missed, self.people)

    @property
    def wrong_interval(self) -> tuple[float, float]:
        return wilson(self.wrong, self.people)


@dataclass(frozen=True)
class Sample:
    """Numbers of people to be copied: a plain sample, and more of the rarer origins."""

    plain: list[int]
    more: list[int]


def sample(tables: NameTables, among: int, plain: int, each_origin: int, seed: int = 9) -> Sample:
    """`plain` of the first `among` detainers, and more: `each_origin` of each origin, where there are as many."""
    chosen = Random(seed).sample(range(among), plain)
    have = set(chosen)
    counted: Counter[Origin] = Counter()
    others: dict[Origin, list[int]] = {origin: [] for origin in Origin}
    # Whoever comes first, of those not chosen: numbers say nothing about a person.
    for one in made(tables, DETAINED_SEED, among):
        if one.number in have:
            counted[one.origin] += 1
        elif len(others[one.origin]) < each_origin:
            others[one.origin].append(one.number)
    more = [n for origin, numbers in others.items() for n in numbers[: max(0, each_origin - counted[origin])]]
    return Sample(chosen, more)


def _ids(person: Person) -> set[tuple[str, str, str | None]]:
    return {(i.kind.value, i.value, i.issuer) for i in person.identifiers}


def missing(copy: Copy) -> Iterator[str]:
    """What the search for this person had to do without."""
    births = copy.typed.birth_dates
    if not births:
        yield "no birth date"
    elif all(len(born) < 10 for born in births):
        yield "birth date without day"
    if copy.typed.sex is None:
        yield "no sex"
    if not copy.typed.identifiers:
        yield "no identifier in the search"
    shared = _ids(copy.typed) & _ids(copy.original)
    if not shared:
        yield "no identifier in common"
    if {kind for kind, _, _ in shared} & {"sid", "ucn"}:
        yield "(nothing: a SID or UCN in common)"
    if all(name.given is None or len(name.given) == 1 for name in copy.typed.names):
        yield "no given name but an initial"


def _groups(copy: Copy) -> Iterator[tuple[str, str]]:
    yield ALL, ALL
    yield "sex on file", copy.original.sex.value if copy.original.sex else "none"
    for what in missing(copy):
        yield "missing", what
    for kind in sorted(copy.kinds):
        yield "error", kind.value
    if not copy.kinds:
        yield "error", "(none)"


def measure(detainers: Detainers, of: Sample) -> list[Group]:
    """Search for every copy; groups by what they are of, in the order of their names."""
    groups: dict[tuple[str, str], Group] = {}

    def count(by: str, group: str, verdicts: Verdicts) -> None:
        groups.setdefault((by, group), Group(by, group)).count(verdicts)

    plain = set(of.plain)
    for copy in detainers.copies([*of.plain, *of.more]):
        verdicts = detainers.search(copy.typed, copy.number)
        count("surname origin", copy.origin.value, verdicts)
        if copy.number in plain:
            for by, group in _groups(copy):
                count(by, group, verdicts)
    order = {ALL: 0, "surname origin": 1, "sex on file": 2, "missing": 3, "error": 4}
    return [groups[key] for key in sorted(groups, key=lambda key: (order[key[0]], key))]


def _share(count: int, of: int, interval: tuple[float, float] | None = None) -> str:
    share = f"{100 * count / max(1, of):.2f}"
    return share if interval is None else f"{share} ({100 * interval[0]:.2f}-{100 * interval[1]:.2f})"


def _cells(group: Group) -> tuple[str, ...]:
    return (
        group.group,
        f"{group.people:,}",
        _share(group.missed, group.people, group.missed_interval),
        _share(group.unlinked, group.people),
        _share(group.wrong, group.people, group.wrong_interval),
        str(group.wrong_probable),
    )


_HEADS: Final = ("people", "missed %", "not PROBABLE %", "others raised %", "others PROBABLE")


def _by(groups: Iterable[Group]) -> dict[str, list[Group]]:
    by: dict[str, list[Group]] = defaultdict(list)
    for group in groups:
        by[group.by].append(group)
    return by


def markdown(groups: list[Group]) -> str:
    """The tables as docs/identity.md has them."""
    out: list[str] = []
    for by, of in _by(groups).items():
        out += [f"| {by} | {' | '.join(_HEADS)} |", "|---" * (len(_HEADS) + 1) + "|"]
        out += [f"| {' | '.join(_cells(group))} |" for group in of]
        out.append("")
    return "\n".join(out)


def publish(groups: list[Group]) -> None:
    """Print the tables; write build/bench/identity-groups.json and .md."""
    OUT.mkdir(parents=True, exist_ok=True)
    rows = [{**asdict(group), "missed_95": group.missed_interval, "wrong_95": group.wrong_interval} for group in groups]
    (OUT / "identity-groups.json").write_text(json.dumps(rows, indent=1) + "\n")
    (OUT / "identity-groups.md").write_text(markdown(groups))
    for by, of in _by(groups).items():
        table = Table(by, *_HEADS, title=f"Mistyped copies of people on file, by {by}")
        for group in of:
            table.add_row(*_cells(group))
        _console.print(table)
