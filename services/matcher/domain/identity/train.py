"""Parameters without labels: u from pairs at random, m by expectation-maximisation over blocked pairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from math import log2
from typing import NamedTuple

from msgspec.structs import replace

from services.matcher.domain.identity.compare import Weight, compare, relatives, says_the_sex
from services.matcher.domain.identity.model import LEVELS, Model
from services.matcher.domain.identity.normalise import Prepared

__all__ = ["estimate", "frequencies"]

_BELIEF = 20.0
"""So many comparisons is what the model said before worth, against what is counted: no level becomes impossible
because few pairs show it (names turned round, say)."""
_ENOUGH = 50
"""Comparisons of a field without which nothing is learnt of it."""
_IDENTIFYING = ("agency_local", "a_number", "sid", "ucn", "ssn4")
_STANDS_OUT = 6
"""A birth date this many times as common as others is no chance."""
_WITH_RARITY = ("surname", "given", "middle", "birth_date")
_KNOWN_AS_GOOD_AS = 1_000
"""So many people's names is the table of names of a model worth, against those counted."""


def frequencies(people: Iterable[Prepared], model: Model, least: int = 3) -> Model:
    """Shares of surnames and given names among people, mixed with those of `model`.

    A name that `model` does not list, borne by fewer than `least` of these people, is left out: it is `rare`.
    """
    surnames: Counter[str] = Counter()
    givens: Counter[str] = Counter()
    births: Counter[str] = Counter()
    for person in people:
        surnames.update({token for name in person.names for token in name.surname})
        givens.update({name.given[0] for name in person.names if name.given})
        births.update(birth for birth in person.births if len(birth) == 8)
    return replace(
        model,
        surname_frequency=_mixed(surnames, model.surname_frequency, least),
        given_frequency=_mixed(givens, model.given_frequency, least),
        rare=max(1e-6, 1.0 / max(1, surnames.total())),
        common_births=_common_births(births),
    )


def _common_births(births: Counter[str]) -> dict[str, float]:
    """Dates and days of the year that stand out, by how much."""
    usual = births.total() / max(1, len(births))
    stand_out = {date: n / usual for date, n in births.items() if n >= _STANDS_OUT * max(usual, 2.0)}
    days: Counter[str] = Counter()
    for date, n in births.items():
        if date not in stand_out:
            days[date[4:]] += n
    usual = days.total() / 365.25
    stand_out |= {day: n / usual for day, n in days.items() if n >= 2 * max(usual, 10.0)}
    return {date: _short(times) for date, times in sorted(stand_out.items())}


def _mixed(seen: Counter[str], known: dict[str, float], least: int) -> dict[str, float]:
    among = seen.total() + _KNOWN_AS_GOOD_AS
    names = sorted({*known, *(name for name, n in seen.items() if n >= least)})
    return {name: _short((seen[name] + _KNOWN_AS_GOOD_AS * known.get(name, 0.0)) / among) for name in names}


class _Pattern(NamedTuple):
    """Levels of one pair, and by how many bits (in halves) its names are rarer than their levels say, by field.

    Without the rarity, EM takes namesakes for matches and learns that birth dates of matches often differ.
    """

    levels: tuple[tuple[str, str], ...]
    rarer: tuple[float, ...]


def _patterns(pairs: Iterable[tuple[Prepared, Prepared]], model: Model) -> Counter[_Pattern]:
    patterns: Counter[_Pattern] = Counter()
    for a, b in pairs:
        weights = [w for w in compare(a, b, model) if w.field in LEVELS]
        rarer = [
            round(2 * (w.bits - model.bits[w.field][w.level])) / 2 if w.field in _WITH_RARITY else 0.0 for w in weights
        ]
        patterns[_Pattern(tuple((w.field, w.level) for w in weights), tuple(rarer))] += 1
    return patterns


def _shares(counts: dict[tuple[str, str], float], known: dict[str, list[float]]) -> dict[str, list[float]]:
    shares: dict[str, list[float]] = {}
    for field, levels in LEVELS.items():
        seen = [counts.get((field, level), 0.0) for level in levels]
        total = sum(seen)
        if total < _ENOUGH:
            shares[field] = known[field]
            continue
        shares[field] = [
            _short((n + _BELIEF * before) / (total + _BELIEF)) for n, before in zip(seen, known[field], strict=True)
        ]
    return shares


def _short(share: float) -> float:
    """Six digits are more than is known, and keep the file readable."""
    return float(f"{share:.6g}")


def estimate(
    blocked: Sequence[tuple[Prepared, Prepared]],
    random: Sequence[tuple[Prepared, Prepared]],
    model: Model,
    among: float | None = None,
    rounds: int = 30,
) -> Model:
    """A model with m, u and the prior from these pairs.

    blocked: candidate pairs as the index brings them, nearly all matches among them. random: pairs that are hardly ever
    matches. among: from how many pairs `blocked` was chosen, which gives the prior, and how many relatives of a person
    are on file; None keeps those of `model`.
    A field with fewer than 50 comparisons keeps what `model` says of it.
    The calibration of `model` is dropped: it was made on other data.

    Every round takes for matches what the last round's model says of the pairs, prior, rarity of names and families
    included. Pairs that were not blocked have no part in it: hardly any of them is a match.
    """
    model = replace(model, slope=1.0, offset_bits=0.0)
    chance = _levels(_patterns(random, model))
    same_date = _same_date(random)
    u = _chance(chance, same_date, 0.0, model)
    found = replace(model, u=u)
    patterns = _patterns(blocked, found)
    for _ in range(rounds):
        same: dict[tuple[str, str], float] = {}
        matches = twins = 0.0
        for pattern, n in patterns.items():
            match, kin = _posterior(pattern, found)
            expected = n * match
            matches += expected
            if ("birth_date", "exact") in pattern.levels:
                twins += n * kin
            for level in pattern.levels:
                same[level] = same.get(level, 0.0) + expected
        found = replace(found, m=_shares(same, model.m))
        if among is not None:
            share = max(0.5, matches) / among
            found = replace(found, prior_bits=round(log2(share / (1 - share)), 6))
            # Only those of a family who share a birth date are sure to be among the blocked pairs.
            families = max(twins / found.kin["birth_date"][0], matches / 16)
            found = replace(found, kin_bits=round(log2(families / max(0.5, matches)), 6))
            found = replace(found, u=_chance(chance, same_date, share, replace(found, u=model.u)))
    return found


def _levels(patterns: Counter[_Pattern]) -> dict[tuple[str, str], float]:
    counts: dict[tuple[str, str], float] = {}
    for pattern, n in patterns.items():
        for level in pattern.levels:
            counts[level] = counts.get(level, 0.0) + n
    return counts


def _same_date(pairs: Iterable[tuple[Prepared, Prepared]]) -> float | None:
    """How often two people have one birth date: of all pairs that can be made of these, since it is seldom."""
    left, right = Counter[str](), Counter[str]()
    for a, b in pairs:
        left.update(a.births)
        right.update(b.births)
    among = left.total() * right.total()
    return sum(n * right[date] for date, n in left.items()) / among if among else None


def _chance(
    counts: dict[tuple[str, str], float], same_date: float | None, matches: float, model: Model
) -> dict[str, list[float]]:
    """u from counts over pairs at random, of which the share `matches` are matches after all: in small files that is as
    much as chance itself brings."""
    shares = _shares(counts, model.u)
    if same_date is not None:
        rest = sum(shares["birth_date"][1:])
        shares["birth_date"] = [same_date, *((1 - same_date) * share / rest for share in shares["birth_date"][1:])]
    u = {
        field: [
            _short(max(share / 10, (share - matches * m) / (1 - matches)))
            for share, m in zip(of, model.m[field], strict=True)
        ]
        for field, of in shares.items()
    }
    for field in _IDENTIFYING:
        # Chance agreements of identifiers are rarer than a sample can show, and known from how many there are.
        u[field] = model.u[field]
    return u


def _posterior(pattern: _Pattern, model: Model) -> tuple[float, float]:
    """The probabilities of one person and of one family, by the model as it is."""
    named = says_the_sex([Weight(field, level, 0.0) for field, level in pattern.levels])
    weights = [
        Weight(field, level, model.bits[field][level] + rarer)
        for (field, level), rarer in zip(pattern.levels, pattern.rarer, strict=True)
        if field != "sex" or level != "agrees" or not named
    ]
    family = relatives(weights, model)
    apart = family.bits if family else 0.0
    bits = model.prior_bits + sum(w.bits for w in weights) + apart
    match = float(1 / (1 + 2.0 ** max(-200.0, min(200.0, -bits))))
    return match, (1 - match) * (1 - 2.0**apart)
