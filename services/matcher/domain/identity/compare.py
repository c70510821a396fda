"""Two people compared field by field: the level of each field, and its bits."""

from __future__ import annotations

from functools import lru_cache
from math import log2
from typing import NamedTuple

from rapidfuzz.distance import OSA, Hamming, JaroWinkler

from services.matcher.domain.identity.model import Model
from services.matcher.domain.identity.nicknames import related
from services.matcher.domain.identity.normalise import Name, Prepared, phonetic

__all__ = ["Weight", "compare", "identifiers", "relatives", "says_the_sex", "token_level"]


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


@lru_cache(maxsize=1 << 16)
def _surname_level(a: tuple[str, ...], b: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """The level, and the tokens in common, or the two of which one is a misspelling of the other (joined ones count).

    Compound surnames agree whole (in either order, joined or not), or by one token ("part").
    """
    joined_a, joined_b = "".join(a), "".join(b)
    if joined_a == joined_b or (len(a) > 1 and sorted(a) == sorted(b)):
        return "exact", ()
    common = tuple(sorted(set(a) & set(b)))
    if common:
        return "part", common
    level = token_level(joined_a, joined_b)
    if level != "differs" or len(a) + len(b) == 2:
        return level, (joined_a, joined_b)
    for x in a:
        for y in b:
            if token_level(x, y) == "near":
                return "sounds", (x, y)
    return level, ()


def _surname(a: tuple[str, ...], b: tuple[str, ...], model: Model) -> Weight | None:
    if not a or not b:
        return None
    frequency = model.surname_frequency
    level, tokens = _surname_level(a, b)
    if level == "exact":
        rarest = min([frequency.get(token, model.rare) for token in a])
        if a != b:
            # MC DONALD is no rarer a name than MCDONALD.
            rarest = max(rarest, min([frequency.get(token, model.rare) for token in b]))
        return Weight("surname", "exact", log2(model.m["surname"][0] / rarest))
    if level == "part":
        rarest = min([frequency.get(token, model.rare) for token in tokens])
        # The token could have been any of theirs, so chance has as many tries.
        return Weight("surname", "part", log2(model.m["surname"][1] / min(1.0, rarest * len(a) * len(b))))
    if level == "near" and tokens[0] in frequency and tokens[1] in frequency:
        level = "lookalike"
    return Weight("surname", level, model.bits["surname"][level])


@lru_cache(maxsize=1 << 16)
def _given_level(a: tuple[str, ...], b: tuple[str, ...]) -> str:
    """First given names decide, unless somebody is down with a middle name alone ("crossed")."""
    x, y = a[0], b[0]
    if x == y:
        return "exact" if len(x) > 1 else "initial"
    if len(a) != len(b) and "".join(a) == "".join(b):
        return "near"
    if len(x) == 1 or len(y) == 1:
        if x[0] == y[0]:
            return "initial"
        level = "differs"
    elif related(x, y) or (min(len(x), len(y)) >= 3 and (x.startswith(y) or y.startswith(x))):
        return "nickname"
    else:
        level = token_level(x, y)
        if level == "near":
            return level
    if len(a) == len(b) == 1:
        return level
    if _crossed(a, b) or _crossed(b, a):
        return "crossed" if len(x) > 1 and len(y) > 1 and (x in b[1:] or y in a[1:]) else "crossed_initial"
    # MARYAN for MARY ANN; the first letters hold, or every two people with a middle name would have to be looked at.
    if level == "differs" and len(a) != len(b) and x[0] == y[0] and token_level("".join(a), "".join(b)) == "near":
        return "near"
    return level


def _crossed(a: tuple[str, ...], b: tuple[str, ...]) -> bool:
    """Whether a begins with the middle name of b, and has no middle name that says otherwise."""
    if len(b) < 2 or not (a[0] == b[1] or _same_start(a[0], b[1])):
        return False
    return len(a) == 1 or a[1] == b[0] or _same_start(a[1], b[0])


def _same_start(a: str, b: str) -> bool:
    """Whether one is the initial of the other."""
    return a[0] == b[0] and (len(a) == 1 or len(b) == 1)


def _given(a: tuple[str, ...], b: tuple[str, ...], model: Model) -> Weight | None:
    if not a or not b:
        return None
    level = _given_level(a, b)
    frequency = model.given_frequency
    if level == "exact":
        return Weight("given", "exact", log2(model.m["given"][0] / frequency.get(a[0], model.rare)))
    if level == "near" and a[0] in frequency and b[0] in frequency:
        level = "lookalike"
    return Weight("given", level, model.bits["given"][level])


@lru_cache(maxsize=1 << 16)
def _middle_level(a: tuple[str, ...], b: tuple[str, ...]) -> str:
    """Second given names, an initial agreeing with any name that begins so; of several, any."""
    x, y = a[1], b[1]
    if x == y and len(x) > 1:
        return "exact"
    if _same_start(x, y):
        return "initial"
    if token_level(x, y) == "near":
        return "near"
    if len(a) + len(b) > 4 and any(_same_start(x, y) or (x == y and len(x) > 1) for x in a[1:] for y in b[1:]):
        return "initial"
    return "differs"


def _middle(a: tuple[str, ...], b: tuple[str, ...], given: Weight | None, model: Model) -> Weight | None:
    """Says nothing where the names are taken for each other's in another order."""
    if len(a) < 2 or len(b) < 2 or given is None or given.level in ("crossed", "crossed_initial"):
        return None
    level = _middle_level(a, b)
    bits = model.bits["middle"][level]
    if level == "initial":
        letter = a[1][0] if a[1][0] == b[1][0] else ""
        bits = min(bits + model.initial_gain.get(letter, 0.0), model.bits["middle"]["exact"])
    return Weight("middle", level, bits)


def _name(a: Name, b: Name, model: Model) -> list[Weight]:
    given = _given(a.given, b.given, model)
    compared = (_surname(a.surname, b.surname, model), given, _middle(a.given, b.given, given, model))
    straight = [weight for weight in compared if weight]
    if sum([w.bits for w in straight]) > 8 or not a.given or not b.given:
        return straight
    first, last = _surname(a.given, b.surname, model), _surname(a.surname, b.given, model)
    # Few clerks turn names round, and it gives chance a second try: it must agree twice, and costs what it is rare by.
    if first and last and first.bits > 0 and last.bits > 0:
        cost = log2(model.m["surname"][-2] / model.m["surname"][0]) / 2
        # Which of the two is the surname depends on whose order is right: the same both ways, whoever is asked for.
        more, less = max(first.bits, last.bits), min(first.bits, last.bits)
        swapped = [Weight("surname", "turned", more + cost), Weight("given", "turned", less + cost)]
        if sum([w.bits for w in swapped]) > sum([w.bits for w in straight]):
            return swapped
    return straight


@lru_cache(maxsize=1 << 16)
def _birth_level(a: str, b: str) -> str:
    if a == b:
        return "exact" if len(a) >= 8 else "partial"
    if len(a) < 7 or len(b) < 7:
        if a.startswith(b) or b.startswith(a):
            return "partial"
        return "year" if a[:4] == b[:4] else "differs"
    year, month, day = a[:4] == b[:4], a[4:6] == b[4:6], a[6:] == b[6:]
    if year and a[4:6] == b[6:] and a[6:] == b[4:6]:
        return "swapped"
    if OSA.distance(a, b, score_cutoff=1) <= 1:
        return "one_digit"
    if year + month + day == 2:
        return "two_parts"
    if len(a) == len(b) and Hamming.distance(a, b, score_cutoff=2) <= 2:
        return "two_digits"
    return "year" if year else "differs"


def identifiers(a: Prepared, b: Prepared, model: Model) -> list[Weight]:
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


def _birth(a: tuple[str, ...], b: tuple[str, ...], model: Model) -> Weight:
    bits = model.bits["birth_date"]
    if len(a) == 1 == len(b):
        level = _birth_level(a[0], b[0])
    else:
        level = max((_birth_level(x, y) for x in a for y in b), key=bits.__getitem__)
    if level != "exact" or not model.common_births:
        return Weight("birth_date", level, bits[level])
    # Of dates that agree, the least common one counts.
    common = model.common_births
    times = min([common.get(x) or common.get(x[4:], 1.0) for x in a if x in b])
    return Weight("birth_date", level, bits[level] - log2(times))


def _plain(a: Prepared, b: Prepared, model: Model) -> list[Weight]:
    weights: list[Weight] = []
    if a.births and b.births:
        weights.append(_birth(a.births, b.births, model))
    if a.sex and b.sex:
        level = "agrees" if a.sex == b.sex else "differs"
        weights.append(Weight("sex", level, model.bits["sex"][level]))
    return weights


def says_the_sex(weights: list[Weight]) -> bool:
    """Whether the given names agree so far that the sexes agree too."""
    return any(w.field == "given" and w.level in ("exact", "nickname", "near", "lookalike") for w in weights)


def relatives(weights: list[Weight], model: Model) -> Weight | None:
    """What the pair loses to a third possibility: neither one person nor strangers, but of one family.

    Relatives share surnames, and twins birth dates. The evidence for a match is weighed against strangers and family
    together, the family being as likely beforehand as the model says; this is the difference to strangers alone.
    """
    gain = model.prior_bits + model.kin_bits
    named, born = 0.0, ""
    for weight in weights:
        levels = model.kin_gain.get(weight.field)
        if levels is not None:
            gain += weight.bits + levels[weight.level]
            if weight.field == "birth_date":
                born = weight.level
        elif weight.field == "given" and weight.level == "exact":
            # Some are named after a relative, but twins are not named alike.
            named = log2(1 + model.namesakes * 2.0**weight.bits / model.m["given"][0])
    if born in ("differs", "year", ""):
        gain += named
    if gain < -4:
        return None
    return Weight("family", "may be a relative", -log2(1 + 2.0**gain))


def compare(a: Prepared, b: Prepared, model: Model) -> list[Weight]:
    """The weight of every field that both have; symmetric in a and b. Missing is not disagreement."""
    best: list[Weight] = []
    if len(a.names) == 1 == len(b.names):
        best = _name(a.names[0], b.names[0], model)
    else:
        for x in a.names:
            for y in b.names:
                found = _name(x, y, model)
                # The weights themselves decide between equals, so that the order of names does not.
                if not best or (sum([w.bits for w in found]), found) > (sum([w.bits for w in best]), best):
                    best = found
        # Each further alias is one more try for chance.
        if best and best[0].bits > 0:
            best = [best[0]._replace(bits=best[0].bits - log2(len(a.names) * len(b.names)) / 2), *best[1:]]
    weights = best + _plain(a, b, model)
    # Who has the same given name has the same sex: it says nothing more.
    if weights and weights[-1].level == "agrees" and says_the_sex(weights):
        weights[-1] = Weight("sex", "agrees", 0.0)
    family = relatives(weights, model)
    if family is not None:
        weights.append(family)
    return weights + identifiers(a, b, model) if a.ids and b.ids else weights
