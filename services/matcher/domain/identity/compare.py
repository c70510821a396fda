"""Two people compared field by field: the level of each field, and its bits."""

from __future__ import annotations

from functools import lru_cache
from math import log2
from typing import NamedTuple

from rapidfuzz.distance import OSA, JaroWinkler

from services.matcher.domain.identity.model import Model
from services.matcher.domain.identity.nicknames import canonical
from services.matcher.domain.identity.normalise import Name, Prepared, phonetic, swapped_day_month

__all__ = ["Bound", "Weight", "compare", "token_level"]


class Weight(NamedTuple):
    """What one field says. `bits` is positive for the same person, negative against."""

    field: str
    level: str
    bits: float


@lru_cache(maxsize=1 << 17)
def token_level(a: str, b: str) -> str:
    """How alike two tokens of a name are: exact, near, sounds, differs."""
    if a == b:
        return "exact"
    shorter = min(len(a), len(b))
    if shorter >= 3 and OSA.distance(a, b, score_cutoff=1) <= 1:
        return "near"
    likeness = JaroWinkler.similarity(a, b)
    if shorter >= 4 and (likeness >= 0.92 or (shorter >= 6 and OSA.distance(a, b, score_cutoff=2) <= 2)):
        return "near"
    if likeness >= 0.86 or (shorter >= 3 and likeness >= 0.7 and phonetic(a) == phonetic(b)):
        return "sounds"
    return "differs"


def _surname(a: tuple[str, ...], b: tuple[str, ...], model: Model) -> Weight | None:
    """Compound surnames agree whole (in either order, joined or not), or by one token ("part")."""
    if not a or not b:
        return None
    weights = model.bits["surname"]
    joined_a, joined_b = "".join(a), "".join(b)
    if joined_a == joined_b or (len(a) > 1 and sorted(a) == sorted(b)):
        rarest = min(model.surname_frequency.get(token, model.rare) for token in a)
        return Weight("surname", "exact", log2(model.m["surname"][0] / rarest))
    common = set(a) & set(b)
    if common:
        rarest = min(model.surname_frequency.get(token, model.rare) for token in common)
        # The token could have been any of theirs, so chance has as many tries.
        return Weight("surname", "part", log2(model.m["surname"][1] / min(1.0, rarest * len(a) * len(b))))
    level = token_level(joined_a, joined_b)
    for x in a if level == "differs" and len(a) + len(b) > 2 else ():
        for y in b:
            if token_level(x, y) == "near":
                level = "sounds"
    return Weight("surname", level, weights[level])


def _given(a: tuple[str, ...], b: tuple[str, ...], model: Model) -> Weight | None:
    """First given names decide; a middle name used as the first (either side) counts like a near spelling."""
    if not a or not b:
        return None
    x, y = a[0], b[0]
    weights = model.bits["given"]
    if x == y and len(x) > 1:
        return Weight("given", "exact", log2(model.m["given"][0] / model.given_frequency.get(x, model.rare)))
    if len(x) == 1 or len(y) == 1:
        level = "initial" if x[0] == y[0] else "differs"
    elif canonical(x) == canonical(y):
        level = "nickname"
    else:
        level = token_level(x, y)
        if level == "differs":
            if "".join(a) == "".join(b):
                level = "near"
            elif (x in b[1:] or y in a[1:]) and max(len(a), len(b)) > 1:
                level = "sounds"
    return Weight("given", level, weights[level])


def _middle(a: tuple[str, ...], b: tuple[str, ...], model: Model) -> Weight | None:
    """Second given names, an initial agreeing with any name that begins so."""
    if len(a) < 2 or len(b) < 2 or a[0][0] != b[0][0]:
        return None
    x, y = a[1], b[1]
    if x == y and len(x) > 1:
        level = "exact"
    elif x[0] == y[0] and (len(x) == 1 or len(y) == 1):
        level = "initial"
    else:
        level = "near" if token_level(x, y) == "near" else "differs"
    return Weight("middle", level, model.bits["middle"][level])


def _name(a: Name, b: Name, model: Model) -> list[Weight]:
    compared = (
        _surname(a.surname, b.surname, model),
        _given(a.given, b.given, model),
        _middle(a.given, b.given, model),
    )
    straight = [weight for weight in compared if weight]
    if sum(w.bits for w in straight) > 8 or not a.given or not b.given:
        return straight
    turned = [w for w in (_surname(a.given, b.surname, model), _surname(a.surname, b.given, model)) if w]
    # Few clerks turn names round, and it gives chance a second try: it must agree twice, and costs what it is rare by.
    if len(turned) == 2 and all(w.bits > 0 for w in turned):
        cost = log2(model.m["surname"][-2] / model.m["surname"][0]) / 2
        swapped = [
            Weight("surname", "turned", turned[1].bits + cost),
            Weight("given", "turned", turned[0].bits + cost),
        ]
        if sum(w.bits for w in swapped) > sum(w.bits for w in straight):
            return swapped
    return straight


def _birth_level(a: str, b: str) -> str:
    if len(a) != 8 or len(b) != 8:
        if a.startswith(b) or b.startswith(a):
            return "partial"
        return "year" if a[:4] == b[:4] else "differs"
    if a == b:
        return "exact"
    if swapped_day_month(a) == b:
        return "swapped"
    if OSA.distance(a, b, score_cutoff=1) <= 1:
        return "one_digit"
    same = (a[:4] == b[:4]) + (a[4:6] == b[4:6]) + (a[6:] == b[6:])
    if same == 2:
        return "two_parts"
    return "year" if a[:4] == b[:4] else "differs"


def _identifiers(a: Prepared, b: Prepared, model: Model) -> list[Weight]:
    """Identifiers of one kind and issuer: agree if any of them do, near if any is one slip of the finger away."""
    best: dict[str, Weight] = {}
    for mine in a.ids:
        for theirs in b.ids:
            if mine.kind != theirs.kind or mine.issuer != theirs.issuer:
                continue
            if mine.value == theirs.value:
                level = "agrees"
            else:
                slips = OSA.distance(mine.value, theirs.value, score_cutoff=2)
                level = "near" if slips == 1 else "differs"
            bits = model.bits[mine.kind][level]
            if mine.kind not in best or bits > best[mine.kind].bits:
                best[mine.kind] = Weight(mine.kind, level, bits)
    return [best[kind] for kind in sorted(best)]


def _plain(a: Prepared, b: Prepared, model: Model) -> list[Weight]:
    """Birth date and sex: little work, and they settle most strangers."""
    weights: list[Weight] = []
    if a.births and b.births:
        births = model.bits["birth_date"]
        level = max((_birth_level(x, y) for x in a.births for y in b.births), key=births.__getitem__)
        weights.append(Weight("birth_date", level, births[level]))
    if a.sex and b.sex:
        level = "agrees" if a.sex == b.sex else "differs"
        weights.append(Weight("sex", level, model.bits["sex"][level]))
    return weights


def _name_ceiling(a: Prepared, model: Model) -> float:
    """No record's names are worth more bits to this person than these."""

    def surname(tokens: tuple[str, ...]) -> float:
        rarest = min(model.surname_frequency.get(token, model.rare) for token in tokens)
        whole, part = (log2(model.m["surname"][level] / min(1.0, rarest)) for level in (0, 1))
        return max(0.0, whole, part, *model.bits["surname"].values())

    turned = max(0.0, log2(model.m["surname"][-2] / model.m["surname"][0]))
    best = 0.0
    for name in a.names:
        first = surname(name.surname) if name.surname else 0.0
        straight, exchanged = first, 0.0
        if name.given:
            frequency = model.given_frequency.get(name.given[0], model.rare)
            straight += max(0.0, log2(model.m["given"][0] / frequency), *model.bits["given"].values())
            straight += max(0.0, *model.bits["middle"].values()) if len(name.given) > 1 else 0.0
            exchanged = first + surname(name.given) + turned
        best = max(best, straight, exchanged)
    return best


class Bound:
    """Tells at once that a record cannot be worth `least` bits to a person; never wrong, by test."""

    def __init__(self, a: Prepared, model: Model) -> None:
        self._a, self._model = a, model
        self._names = _name_ceiling(a, model) + 1e-6  # sums in another order differ in their last digits

    def rules_out(self, b: Prepared, least: float) -> bool:
        """Whether a full comparison would stay below `least` bits. Says no where both have identifiers."""
        if self._a.ids and b.ids:
            return False
        return self._names + sum(weight.bits for weight in _plain(self._a, b, self._model)) < least


def compare(a: Prepared, b: Prepared, model: Model) -> list[Weight]:
    """The weight of every field that both have; symmetric in a and b. Missing is not disagreement."""
    weights: list[Weight] = []
    best: list[Weight] = []
    for x in a.names:
        for y in b.names:
            found = _name(x, y, model)
            if not best or sum(w.bits for w in found) > sum(w.bits for w in best):
                best = found
    # Each further alias is one more try for chance.
    tries = len(a.names) * len(b.names)
    if tries > 1 and best and best[0].bits > 0:
        best = [best[0]._replace(bits=best[0].bits - log2(tries) / 2), *best[1:]]
    weights += best
    weights += _plain(a, b, model)
    return weights + _identifiers(a, b, model)
