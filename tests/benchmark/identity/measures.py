"""What is counted of scored pairs: F1 above a threshold, the best threshold, calibration, intervals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import sqrt
from typing import NamedTuple

__all__ = ["Bin", "Pair", "Quality", "best_threshold", "bins", "ece", "quality", "wilson", "worst_bin"]

_ENOUGH = 50
"""A bin with fewer pairs is shown and not judged: its share says little."""


class Pair(NamedTuple):
    """A candidate pair: its bits, its probability, and whether it is one person."""

    bits: float
    probability: float
    same: bool


class Quality(NamedTuple):
    f1: float
    precision: float
    recall: float


def quality(pairs: Iterable[Pair], truth: int, threshold: float) -> Quality:
    """Of all pairs at or above a threshold in bits; no one-to-one step. `truth` counts what was never blocked too."""
    above = [pair.same for pair in pairs if pair.bits >= threshold]
    right = sum(above)
    precision, recall = right / max(1, len(above)), right / truth
    return Quality(2 * precision * recall / max(1e-9, precision + recall), precision, recall)


def best_threshold(pairs: Iterable[Pair], truth: int) -> float:
    """The bits between two pairs where F1 is highest."""
    ordered = sorted(pairs, key=lambda pair: -pair.bits)
    best, at, right = -1.0, 0.0, 0
    for n, (pair, following) in enumerate(pairwise(ordered), 1):
        right += pair.same
        f1 = 2 * right / (n + truth)
        if f1 > best and pair.bits > following.bits:
            best, at = f1, (pair.bits + following.bits) / 2
    return at


class Bin(NamedTuple):
    """Pairs whose probability is in [low, low + .1): how many, what was promised on average, and what was so."""

    low: float
    pairs: int
    promised: float
    so: float

    @property
    def judged(self) -> bool:
        return self.pairs >= _ENOUGH

    @property
    def error(self) -> float:
        return abs(self.promised - self.so)


def bins(pairs: Iterable[Pair]) -> list[Bin]:
    """Ten bins of equal width; those without pairs are left out."""
    by_bin: dict[int, list[Pair]] = {}
    for pair in pairs:
        by_bin.setdefault(min(9, int(pair.probability * 10)), []).append(pair)
    return [
        Bin(at / 10, len(of), sum(p.probability for p in of) / len(of), sum(p.same for p in of) / len(of))
        for at, of in sorted(by_bin.items())
    ]


def ece(found: Sequence[Bin]) -> float:
    """Expected calibration error: errors of the bins, weighed by their pairs."""
    return sum(b.error * b.pairs for b in found) / max(1, sum(b.pairs for b in found))


def worst_bin(found: Sequence[Bin]) -> float:
    """The largest error of a bin with enough pairs."""
    return max((b.error for b in found if b.judged), default=0.0)


def wilson(count: int, of: int, z: float = 1.96) -> tuple[float, float]:
    """The Wilson interval of a share, 95 % by default; (0, 1) of nothing."""
    if of == 0:
        return 0.0, 1.0
    share = count / of
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z / (1 + z * z / of) * sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return max(0.0, middle - half), min(1.0, middle + half)
