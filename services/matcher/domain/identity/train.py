"""Parameters without labels: u from pairs at random, m by expectation-maximisation over blocked pairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from math import log2
from typing import NamedTuple

from msgspec.structs import replace

from services.matcher.domain.identity.compare import compare
from services.matcher.domain.identity.model import LEVELS, Model
from services.matcher.domain.identity.normalise import Prepared

__all__ = ["estimate", "frequencies"]

_BELIEF = 0.05
"""Weight of what the model said before, against what was counted: a rare level keeps a share, and EM does not talk
itself out of one (names turned round, say) because few pairs show it."""
_IDENTIFYING = ("agency_local", "a_number", "sid", "ucn")


def frequencies(people: Iterable[Prepared], model: Model, least: int = 3) -> Model:
    """Shares of surnames and given names among people; a name borne by fewer than `least` is not named in the file."""
    surnames: Counter[str] = Counter()
    givens: Counter[str] = Counter()
    for person in people:
        surnames.update({token for name in person.names for token in name.surname})
        givens.update({name.given[0] for name in person.names if name.given})
    total = max(1, surnames.total())
    return replace(
        model,
        surname_frequency={name: n / total for name, n in sorted(surnames.items()) if n >= least},
        given_frequency={name: n / max(1, givens.total()) for name, n in sorted(givens.items()) if n >= least},
        rare=max(1e-6, 1.0 / total),
    )


class _Pattern(NamedTuple):
    """Levels of one pair, and how many bits (by halves) the rarity of its names is worth beyond those levels.

    Without the rarity, EM takes namesakes for matches and learns that birth dates of matches often differ.
    """

    levels: tuple[tuple[str, str], ...]
    rarity: float


def _patterns(pairs: Iterable[tuple[Prepared, Prepared]], model: Model) -> Counter[_Pattern]:
    patterns: Counter[_Pattern] = Counter()
    for a, b in pairs:
        weights = compare(a, b, model)
        rarity = sum(w.bits - model.bits[w.field][w.level] for w in weights if w.level in ("exact", "part", "turned"))
        patterns[_Pattern(tuple((w.field, w.level) for w in weights), round(rarity * 2) / 2)] += 1
    return patterns


def _shares(counts: dict[tuple[str, str], float], known: dict[str, list[float]]) -> dict[str, list[float]]:
    shares: dict[str, list[float]] = {}
    for field, levels in LEVELS.items():
        seen = [counts.get((field, level), 0.0) for level in levels]
        if sum(seen) < 50:
            shares[field] = known[field]
            continue
        total = sum(seen)
        shares[field] = [
            round((n + _BELIEF * total * before) / (total * (1 + _BELIEF)), 9)
            for n, before in zip(seen, known[field], strict=True)
        ]
    return shares


def _blocked_strangers(patterns: Counter[_Pattern], model: Model) -> dict[str, list[float]]:
    """Where the shares of blocked strangers start: most blocked pairs are strangers, so those of all blocked pairs."""
    counts: dict[tuple[str, str], float] = {}
    for pattern, n in patterns.items():
        for level in pattern.levels:
            counts[level] = counts.get(level, 0.0) + n
    return _shares(counts, model.u)


def estimate(
    blocked: Sequence[tuple[Prepared, Prepared]],
    random: Sequence[tuple[Prepared, Prepared]],
    model: Model,
    rounds: int = 30,
) -> Model:
    """A model with m and u from these pairs.

    blocked: candidate pairs as the index brings them, matches among them. random: pairs that are hardly ever matches.
    A field with fewer than 50 comparisons keeps what `model` says of it.
    """
    counts: dict[tuple[str, str], float] = {}
    for pattern, n in _patterns(random, model).items():
        for level in pattern.levels:
            counts[level] = counts.get(level, 0.0) + n
    u = _shares(counts, model.u)
    for field in _IDENTIFYING:
        # Chance agreements of long identifiers are rarer than any sample can show.
        u[field] = model.u[field]
    patterns = _patterns(blocked, replace(model, u=u))
    # Blocking picks pairs that agree on something, so strangers among them agree far more often than at random. Their
    # own shares are fitted beside m and thrown away; with u in their place namesakes would pass for matches.
    m, strangers, share = model.m, _blocked_strangers(patterns, model), 0.1
    for _ in range(rounds):
        weights = {
            field: {level: log2(m[field][i] / strangers[field][i]) for i, level in enumerate(levels)}
            for field, levels in LEVELS.items()
        }
        same: dict[tuple[str, str], float] = {}
        other: dict[tuple[str, str], float] = {}
        matches = 0.0
        for pattern, n in patterns.items():
            odds = log2(share / (1 - share)) + sum(weights[field][level] for field, level in pattern.levels)
            expected = n / (1 + 2.0 ** max(-200.0, min(200.0, -odds)))
            matches += expected
            for level in pattern.levels:
                same[level] = same.get(level, 0.0) + expected
                other[level] = other.get(level, 0.0) + n - expected
        m, strangers = _shares(same, model.m), _shares(other, model.u)
        share = min(0.999, max(0.001, matches / max(1, patterns.total())))
    return replace(model, m=m, u=u)
