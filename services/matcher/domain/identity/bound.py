"""Ruling out strangers by columns: no record that could reach the least bits of a candidate is left out.

For each record a ceiling is worked out that its weight (compare.py) cannot exceed: the birth date and sex by their
level, names by whether any of their tokens could be taken for one another. What stays below the least is not decoded
and weighed. The answers are the same without, by test.
"""

from __future__ import annotations

from math import log2
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import process
from rapidfuzz.distance import OSA, JaroWinkler

from services.matcher.domain.identity.keys import Feature, features
from services.matcher.domain.identity.model import Model
from services.matcher.domain.identity.normalise import Name, Prepared, swapped_day_month
from services.matcher.domain.identity.records import Column, Flag, Records, birth_digits
from services.matcher.domain.identity.vocabulary import NO_TOKEN, Vocabulary

__all__ = ["Bound", "Ceilings"]

_FEW: Final = 3
"""Fewer records than this are weighed sooner than bounded."""
_SLACK: Final = 1e-6
"""Bits; sums in another order differ in their last digits."""
_NEVER_ALIKE: Final = 0.69
"""Tokens less alike than this (Jaro-Winkler), and three or more slips apart, are at the level "differs"."""
_DIGITS: Final = np.uint32(0x11111111)

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Numbers = NDArray[np.int64]
Rows = NDArray[np.uint32]


class NameCeiling(NamedTuple):
    """The most that parts of one name can be worth: to any other name, or to one where the part differs."""

    surname: float
    surname_differs: float
    given: float
    given_differs: float
    middle: float
    turned: float
    most: float


def name_ceiling(name: Name, model: Model) -> NameCeiling:
    def family(tokens: tuple[str, ...]) -> float:
        rarest = min(model.surname_frequency.get(token, model.rare) for token in tokens)
        whole, part = (log2(model.m["surname"][level] / min(1.0, rarest)) for level in (0, 1))
        return max(whole, part, *model.bits["surname"].values())

    surname = family(name.surname) if name.surname else 0.0
    given = middle = 0.0
    if name.given:
        frequency = model.given_frequency.get(name.given[0], model.rare)
        given = max(log2(model.m["given"][0] / frequency), *model.bits["given"].values())
        middle = max(0.0, *model.bits["middle"].values()) if len(name.given) > 1 else 0.0
    cost = max(0.0, log2(model.m["surname"][-2] / model.m["surname"][0]))
    turned = max(0.0, surname) + max(0.0, family(name.given)) + cost if name.given else 0.0
    return NameCeiling(
        surname=surname,
        surname_differs=model.bits["surname"]["differs"],
        given=given,
        given_differs=model.bits["given"]["differs"],
        middle=middle,
        turned=turned,
        most=max(max(0.0, surname) + max(0.0, given) + middle, turned),
    )


class Ceilings:
    """What the levels of a model are worth at most, as tables that columns can be looked up in."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.births = self._birth_table()
        agrees, differs = (model.bits["sex"][level] for level in ("agrees", "differs"))
        # by the sex asked for and the sex on record, each 0 (unknown), 1 or 2
        self.sexes = np.array([[0.0] * 4, [0.0, agrees, differs, 0.0], [0.0, differs, agrees, 0.0]])
        kinds = ("ssn4", "agency_local", "a_number", "sid", "ucn")
        self.identifiers = sum(max(0.0, *model.bits[kind].values()) for kind in kinds)
        self.slips = sum(max(0.0, model.bits[kind]["near"]) for kind in kinds)

    def _birth_table(self) -> Floats:
        """Bits by what two dates have in common: year 1, month 2, day 4; digits that differ (0 to 3) 8, swapped 32."""
        bits = self.model.bits["birth_date"]
        table = np.empty(64)
        for code in range(64):
            year, parts = code & 1, (code & 7).bit_count()
            slips, swapped = code >> 3 & 3, code >> 5
            level = bits["year"] if year else bits["differs"]
            if parts == 2:
                level = max(level, bits["two_parts"])
            if slips <= 2:  # two digits that differ may be two exchanged
                level = max(level, bits["one_digit"])
            if swapped:
                level = max(level, bits["swapped"])
            if slips == 0:
                level = max(level, bits["exact"])
            table[code] = level
        return table


class Bound:
    """The ceilings for one person asked for."""

    def __init__(self, person: Prepared, ceilings: Ceilings, vocabulary: Vocabulary) -> None:
        self._person = person
        self._ceilings = ceilings
        self._model = ceilings.model
        self._vocabulary = vocabulary
        self._names = [name_ceiling(name, ceilings.model) for name in person.names]
        self._most = max((ceiling.most for ceiling in self._names), default=0.0)

    def survivors(self, records: Records, numbers: Numbers, least: float) -> Numbers:
        """Those of `numbers` whose weight may reach `least` bits."""
        rows = records.rows[numbers]
        flags = rows[:, Column.FLAGS]
        plain = self._births(rows, flags) + self._sexes(flags) + self._identifiers(flags) + _SLACK
        keep = np.flatnonzero(plain + self._most >= least)
        if len(keep) <= _FEW or not self._names:
            return numbers[keep]
        rows, plain = rows[keep], plain[keep]
        named = self._name_bits(rows)
        aliases = rows[:, Column.ALIAS]
        if aliases.any():
            has = np.flatnonzero(aliases)
            named[has] = np.maximum(named[has], self._name_bits(records.rows[aliases[has]]))
        named[(rows[:, Column.FLAGS] & Flag.MORE_NAMES) != 0] = self._most
        survivors: Numbers = numbers[keep[plain + named >= least]]
        return survivors

    def _births(self, rows: Rows, flags: Rows) -> Floats:
        births = self._person.births
        first, second = rows[:, Column.BIRTH], rows[:, Column.BIRTH2]
        if not births:
            return np.zeros(len(rows))
        best = self._birth(births[0], first)
        for birth in births[1:]:
            best = np.maximum(best, self._birth(birth, first))
        if second.any():
            for birth in births:
                best = np.where(second != 0, np.maximum(best, self._birth(birth, second)), best)
        best[first == 0] = 0.0
        best[(flags & Flag.MORE_BIRTHS) != 0] = self._ceilings.births.max()
        return best

    def _birth(self, birth: str, column: Rows) -> Floats:
        asked = birth_digits(birth)
        bits = self._model.bits["birth_date"]
        unknown = (column & np.uint32(0xFF)) == 0
        apart = column ^ np.uint32(asked)
        slips = apart | apart >> np.uint32(1)
        slips = (slips | slips >> np.uint32(2)) & _DIGITS
        code = np.minimum(np.bitwise_count(slips), 3).astype(np.uint32) << np.uint32(3)
        code |= apart < np.uint32(0x10000)
        code |= ((apart & np.uint32(0xFF00)) == 0).astype(np.uint32) << np.uint32(1)
        code |= ((apart & np.uint32(0xFF)) == 0).astype(np.uint32) << np.uint32(2)
        exchanged = swapped_day_month(birth)
        if exchanged is not None:
            code |= (column == np.uint32(birth_digits(exchanged))).astype(np.uint32) << np.uint32(5)
        found: Floats = self._ceilings.births[code]
        if len(birth) != 8:
            found[:] = max(bits["partial"], bits["year"], bits["differs"])
        elif unknown.any():
            found[unknown] = max(bits["partial"], bits["year"], bits["differs"])
        return found

    def _sexes(self, flags: Rows) -> Floats:
        asked = {"": 0, "M": int(Flag.MALE), "F": int(Flag.FEMALE)}[self._person.sex]
        found: Floats = self._ceilings.sexes[asked][flags & np.uint32(3)]
        return found

    def _identifiers(self, flags: Rows) -> Floats:
        if not self._person.ids:
            return np.zeros(len(flags))
        return np.where((flags & Flag.IDS) != 0, self._ceilings.slips, 0.0)

    def _name_bits(self, rows: Rows) -> Floats:
        """The most that the first names of these rows can be worth beside any name asked for."""
        columns = rows[:, Column.SURNAME : Column.GIVEN2 + 1].astype(np.int64)
        unique, places = np.unique(columns, return_inverse=True)
        places = places.reshape(columns.shape)
        best = np.full(len(rows), -np.inf)
        for name, ceiling in zip(self._person.names, self._names, strict=True):
            best = np.maximum(best, self._one_name(name, ceiling, columns, unique, places))
        return best

    def _one_name(self, name: Name, ceiling: NameCeiling, columns: Numbers, unique: Numbers, places: Numbers) -> Floats:
        surname, given = _with_joined(name.surname), _with_joined(name.given)
        alike = self._alike([*surname, *given], unique)
        as_surname: Bools = np.any(alike[: len(surname)], axis=0)
        as_given: Bools = np.any(alike[len(surname) :], axis=0)
        has_surname, has_given = columns[:, 0] != NO_TOKEN, columns[:, 2] != NO_TOKEN
        compound, several = columns[:, 1] != NO_TOKEN, columns[:, 3] != NO_TOKEN
        # A compound name may also be compared joined, which is no token of its own here.
        family = as_surname[places[:, 0]] | as_surname[places[:, 1]] | compound
        calls = as_given[places[:, 2]] | as_given[places[:, 3]] | several
        straight = np.zeros(len(columns))
        if name.surname:
            straight += np.where(has_surname, np.where(family, ceiling.surname, ceiling.surname_differs), 0.0)
        if name.given:
            straight += np.where(has_given, np.where(calls, ceiling.given, ceiling.given_differs), 0.0)
            if len(name.given) > 1:
                straight += np.where(several, ceiling.middle, 0.0)
        if not (name.surname and name.given):
            return straight
        turned = (
            (as_given[places[:, 0]] | as_given[places[:, 1]] | compound)
            & (as_surname[places[:, 2]] | as_surname[places[:, 3]] | several)
            & has_given
        )
        return np.where(turned, np.maximum(straight, ceiling.turned), straight)

    def _alike(self, asked: list[str], unique: Numbers) -> Bools:
        """For each token asked for and each of `unique`: whether they might be at any level but "differs"."""
        tokens = [self._vocabulary.tokens[number] for number in unique.tolist()]
        likeness = process.cdist(asked, tokens, scorer=JaroWinkler.similarity, dtype=np.float32)
        slips = process.cdist(asked, tokens, scorer=OSA.distance, dtype=np.uint8, score_cutoff=2)
        alike: Bools = np.logical_or(likeness >= _NEVER_ALIKE, slips <= 2)
        hashes = self._vocabulary.hashes()[unique]
        single = np.array([len(token) == 1 for token in tokens])
        for place, token in enumerate(asked):
            mine = features(token)
            alike[place] |= hashes[:, Feature.CALL] == np.uint64(mine[Feature.CALL])
            initials = hashes[:, Feature.INITIAL] == np.uint64(mine[Feature.INITIAL])
            alike[place] |= initials if len(token) == 1 else initials & single
        return alike


def _with_joined(tokens: tuple[str, ...]) -> tuple[str, ...]:
    return (*tokens, "".join(tokens)) if len(tokens) > 1 else tokens
