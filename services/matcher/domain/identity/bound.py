"""Ruling out strangers by columns: no record that could reach the least bits of a candidate is left out.

For each record a ceiling is worked out that its weight (compare.py) cannot exceed: the birth date and sex by their
level, names by whether any of their tokens could be taken for one another. What stays below the least is not decoded
and weighed. The answers are the same without, by test.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import process
from rapidfuzz.distance import OSA, JaroWinkler

from services.matcher.domain.identity.ceilings import COUNTS, MONTH_DAYS, YEARS, Ceilings, NameCeiling
from services.matcher.domain.identity.compare import identifiers
from services.matcher.domain.identity.nicknames import forms_beside
from services.matcher.domain.identity.normalise import Name, Prepared
from services.matcher.domain.identity.records import Records
from services.matcher.domain.identity.rows import KINDS, MARKED, SEXES, SSN4_SHIFT, Column, Flag, birth_digits, mark
from services.matcher.domain.identity.vocabulary import NO_TOKEN, Vocabulary

__all__ = ["Bound"]

_MANY: Final = 48
"""With more rows than this, a token that comes twice is looked up before it is compared twice."""
_FEW: Final = 3
"""Fewer records than this are weighed sooner than bounded."""
_SLACK: Final = 1e-6
"""Bits; sums in another order differ in their last digits."""
_NEVER_ALIKE: Final = 0.69
"""Tokens less alike than this (Jaro-Winkler), and three or more slips apart, are at the level "differs"."""
_MARKS_APART: Final = 2
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Numbers = NDArray[np.int64]
Rows = NDArray[np.uint32]


class Bound:
    """The ceilings for one person asked for."""

    def __init__(self, person: Prepared, ceilings: Ceilings, vocabulary: Vocabulary) -> None:
        self._person = person
        self._ceilings = ceilings
        self._model = ceilings.model
        self._vocabulary = vocabulary
        self._names = [ceilings.name(name) for name in person.names]
        self._most = max((ceiling.most for ceiling in self._names), default=0.0)

    def survivors(self, records: Records, numbers: Numbers, least: float) -> tuple[Numbers, Floats]:
        """Those of `numbers` whose weight may reach `least` bits, and the most that it can be without `slips`."""
        rows = records.rows[numbers]
        flags = rows[:, Column.FLAGS]
        plain = self._births(rows, flags) + self._sexes(flags) + self._ssn4(flags) + _SLACK
        slips = self._slips(flags, rows[:, Column.MARKS])
        glanced = self._with_aliases(records, rows, self._glance)
        glanced[(flags & Flag.MORE_NAMES) != 0] = self._most
        keep = np.flatnonzero(plain + slips + glanced >= least)
        if len(keep) <= _FEW or not self._names:
            return numbers[keep], plain[keep] + glanced[keep]
        rows = rows[keep]
        named = self._with_aliases(records, rows, self._name_bits)
        named[(rows[:, Column.FLAGS] & Flag.MORE_NAMES) != 0] = self._most
        most = plain[keep] + named
        stay = most + slips[keep] >= least
        return numbers[keep[stay]], most[stay]

    def slips(self, person: Prepared) -> float:
        """What the identifiers of a survivor add to its ceiling; those that differ may be left out of account."""
        weights = identifiers(self._person, person, self._model)
        return sum(max(0.0, weight.bits) for weight in weights if weight.field != "ssn4")

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
        bits = self._model.bits["birth_date"]
        partial = max(bits["partial"], bits["year"], bits["differs"])
        if len(birth) != 8:
            return np.full(len(column), partial if len(birth) in (4, 6) else max(bits.values()))
        apart = column ^ np.uint32(birth_digits(birth))
        found: Floats = self._ceilings.births[YEARS[apart >> np.uint32(16)] | MONTH_DAYS[apart & np.uint32(0xFFFF)]]
        exchanged = birth_digits(birth[:4] + birth[6:] + birth[4:6])
        found[column == np.uint32(exchanged)] = max(bits["swapped"], bits["exact"])
        found[(column & np.uint32(0xFF)) == 0] = partial
        return found

    def _sexes(self, flags: Rows) -> Floats:
        asked = SEXES[self._person.sex]
        found: Floats = self._ceilings.sexes[asked][flags & np.uint32(3)]
        return found

    def _ssn4(self, flags: Rows) -> Floats:
        mine = [int(i.value, 16) for i in self._person.ids if i.kind == "ssn4"]
        if not mine:
            return np.zeros(len(flags))
        if len(mine) > 1:
            return np.where((flags & Flag.SSN4) != 0, max(0.0, self._ceilings.ssn4_most), 0.0)
        theirs = flags >> np.uint32(SSN4_SHIFT)
        bits = self._ceilings.ssn4[COUNTS[theirs ^ np.uint32(mine[0])]]
        several = np.where((flags & Flag.SSN4) != 0, self._ceilings.ssn4_most, 0.0)
        return np.where(theirs != 0, bits, several)

    def _slips(self, flags: Rows, marks: Rows) -> Floats:
        """As if each kind of other identifiers that both have, and that could be one slip apart, were so."""
        most = np.zeros(len(flags))
        for place, kind in enumerate(MARKED):
            mine = [mark(issuer, value) for of, issuer, value in self._person.ids if of == kind]
            if not mine:
                continue
            could = (flags & np.uint32(KINDS[kind])) != 0
            if len(mine) == 1 and mine[0]:
                theirs = marks >> np.uint32(8 * place) & np.uint32(0xFF)
                could &= (theirs == 0) | (np.bitwise_count(theirs ^ np.uint32(mine[0])) <= _MARKS_APART)
            most[could] += self._ceilings.slips[kind]
        return most

    def _with_aliases(self, records: Records, rows: Rows, of: Callable[[Rows], Floats]) -> Floats:
        """The larger of `of` first and second names."""
        aliases = rows[:, Column.ALIAS]
        has = np.flatnonzero(aliases)
        if not len(has):
            return of(rows)
        both = of(np.concatenate((rows, records.rows[aliases[has]])))
        named = both[: len(rows)]
        named[has] = np.maximum(named[has], both[len(rows) :])
        return named

    def _glance(self, rows: Rows) -> Floats:
        """The most that names can be worth, going by which tokens are the same, and as if all others were alike."""
        best = np.zeros(len(rows)) if not self._names else np.full(len(rows), -np.inf)
        for name, ceiling in zip(self._person.names, self._names, strict=True):
            best = np.maximum(best, self._glance_at(name, ceiling, rows))
        return best

    def _glance_at(self, name: Name, ceiling: NameCeiling, rows: Rows) -> Floats:
        known = self._vocabulary.known
        surname = [known(token) for token in _with_joined(name.surname)]
        given = [known(token) for token in _with_joined(name.given)]
        family, family2, call, call2 = rows[:, Column.SURNAME : Column.GIVEN2 + 1].T
        compound, several = family2 != NO_TOKEN, call2 != NO_TOKEN
        initials = self._vocabulary.initials()
        straight = np.zeros(len(rows))
        if surname:
            same = _among(surname, family) | _among(surname, family2)
            # Joined, two tokens may be the same as one, which then begins as they do.
            same |= compound & (initials[family] == ord(name.surname[0][0]))
            straight += np.where(family != NO_TOKEN, np.where(same, ceiling.surname[0], ceiling.surname[1]), 0.0)
        if given:
            straight += np.where(call != NO_TOKEN, np.where(call == given[0], ceiling.given[0], ceiling.given[1]), 0.0)
            if len(name.given) > 1:
                same = _among(given[1:], call2)
                straight += np.where(several, np.where(same, ceiling.middle[0], max(0.0, ceiling.middle[1])), 0.0)
        if not (surname and given):
            return straight
        same_one = _among(given, family) | _among(given, family2)
        same_one |= compound & (initials[family] == ord(name.given[0][0]))
        same_two = _among(surname, call) | _among(surname, call2)
        same_two |= several & (initials[call] == ord(name.surname[0][0]))
        turned = np.where(same_one, ceiling.as_surname[0], ceiling.as_surname[1]) + ceiling.cost
        turned += np.where(same_two, ceiling.surname[0], ceiling.surname[1])
        return np.maximum(straight, turned)

    def _name_bits(self, rows: Rows) -> Floats:
        """The most that the first names of these rows can be worth beside any name asked for."""
        columns = rows[:, Column.SURNAME : Column.GIVEN2 + 1].astype(np.int64)
        if len(columns) < _MANY:  # then the few tokens that come twice are sooner compared twice
            unique, places = columns.reshape(-1), np.arange(columns.size).reshape(columns.shape)
        else:
            unique, places = np.unique(columns, return_inverse=True)
            places = places.reshape(columns.shape)
        best = np.full(len(rows), -np.inf)
        for name, ceiling in zip(self._person.names, self._names, strict=True):
            best = np.maximum(best, self._one_name(name, ceiling, columns, unique, places))
        return best

    def _one_name(self, name: Name, ceiling: NameCeiling, columns: Numbers, unique: Numbers, places: Numbers) -> Floats:
        surname, given = _with_joined(name.surname), _with_joined(name.given)
        tokens = self._tokens(unique)
        alike = self._alike((*surname, *given), tokens)
        equal = self._equal((*surname, *given), unique)
        family, family2, call, call2 = places.T
        compound, several = columns[:, 1] != NO_TOKEN, columns[:, 3] != NO_TOKEN
        same_s, close_s = _any(equal[: len(surname)]), _any(alike[: len(surname)])
        same_g, close_g = _any(equal[len(surname) :]), _any(alike[len(surname) :])
        straight = np.zeros(len(columns))
        if surname:
            close = close_s[family] | close_s[family2]
            # A compound name may also be compared joined, which is no token of its own here.
            same = same_s[family] | same_s[family2] | (compound & close)
            straight += np.where(columns[:, 0] != NO_TOKEN, _graded(ceiling.surname, same, close | compound), 0.0)
        if given:
            first, first_alike = equal[len(surname)], alike[len(surname)]
            # Somebody may be down with a middle name alone, or with two names as one.
            crossed = first_alike[call2] | (close_g[call] if len(given) > 1 else same_g[call])
            joined = np.array([token[:1] == given[0][0] for token in tokens])[call] & (several ^ (len(given) > 1))
            close = first_alike[call] | crossed | joined
            straight += np.where(columns[:, 2] != NO_TOKEN, _graded(ceiling.given, first[call], close), 0.0)
            if len(given) > 1:
                middle = _graded(ceiling.middle, same_g[call2], close_g[call2])
                straight += np.where(several, np.where(crossed, np.maximum(middle, 0.0), middle), 0.0)
        if not (surname and given):
            return straight
        # given names asked for beside surnames on record, and the other way round
        close_one = close_g[family] | close_g[family2] | compound
        close_two = close_s[call] | close_s[call2] | several
        both = close_one & close_two
        if not both.any():
            return straight
        same_one = same_g[family] | same_g[family2] | (compound & (close_g[family] | close_g[family2]))
        same_two = same_s[call] | same_s[call2] | (several & (close_s[call] | close_s[call2]))
        turned = (
            np.where(same_one, ceiling.as_surname[0], ceiling.as_surname[1])
            + np.where(same_two, ceiling.surname[0], ceiling.surname[1])
            + ceiling.cost
        )
        return np.where(both, np.maximum(straight, turned), straight)

    def _tokens(self, unique: Numbers) -> list[str]:
        tokens = self._vocabulary.tokens
        return [tokens[number] for number in unique.tolist()]

    def _equal(self, asked: tuple[str, ...], unique: Numbers) -> Bools:
        numbers = [self._vocabulary.known(token) for token in asked]
        found: Bools = np.array(numbers)[:, None] == unique
        return found

    def _alike(self, asked: tuple[str, ...], tokens: list[str]) -> Bools:
        """For each token asked for and each of `unique`: whether they might be at any level but "differs"."""
        likeness = process.cdist(asked, tokens, scorer=JaroWinkler.similarity, dtype=np.float32)
        slips = process.cdist(asked, tokens, scorer=OSA.distance, dtype=np.uint8, score_cutoff=2)
        alike: Bools = (likeness >= _NEVER_ALIKE) | (slips <= 2)
        initials = [place for place, token in enumerate(tokens) if len(token) == 1]
        for row, token in zip(alike, asked, strict=True):
            beside = forms_beside(token)
            if len(beside) > 1:
                row |= np.array([other in beside for other in tokens])
            for place in initials if len(token) > 1 else range(len(tokens)):
                row[place] |= tokens[place][:1] == token[0]
        return alike


def _among(numbers: list[int], column: NDArray[np.integer[Any]]) -> Bools:
    """Like np.isin, for a few numbers: at a tenth of its price."""
    found: Bools = column == numbers[0]
    for number in numbers[1:]:
        found |= column == number
    return found


def _any(rows: Bools) -> Bools:
    """Whether any row is true, by column."""
    if len(rows) == 1:
        one: Bools = rows[0]
        return one
    found: Bools = np.logical_or.reduce(rows, axis=0)
    return found


def _graded(grades: tuple[float, float, float], same: Bools, close: Bools) -> Floats:
    return np.where(same, grades[0], np.where(close, grades[1], grades[2]))


def _with_joined(tokens: tuple[str, ...]) -> tuple[str, ...]:
    return (*tokens, "".join(tokens)) if len(tokens) > 1 else tokens
