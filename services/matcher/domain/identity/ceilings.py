"""The most that anything can be worth by a model: what bounds are made of (bound.py).

Whoever adds a level to compare.py raises these; a test holds them against the weights.
"""

from __future__ import annotations

from math import log2
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.matcher.domain.identity.model import Model
from services.matcher.domain.identity.normalise import Name
from services.matcher.domain.identity.rows import KINDS

__all__ = ["COUNTS", "MONTH_DAYS", "YEARS", "Ceilings", "NameCeiling"]

COUNTS: Final = np.array([sum(bool(n >> shift & 0xF) for shift in (0, 4, 8, 12)) for n in range(1 << 16)], np.uint8)
"""How many groups of four bits are not zero."""
YEARS: Final = np.minimum(COUNTS, 3) << 2
MONTH_DAYS: Final = np.array(
    [min(count, 3) << 4 | (not n & 0xFF00) << 1 | (not n & 0xFF) for n, count in enumerate(COUNTS.tolist())], np.uint8
)
"""What two dates have in common by the bits that differ: digits of the year, then digits, month and day."""

Floats = NDArray[np.float64]


class NameCeiling(NamedTuple):
    """The most that parts of one name can be worth beside another name.

    Of surname, given and middle name, by how they compare: some token equal, some token alike, none. as_surname: of the
    given names taken for surnames, by the first two. cost: what taking them so costs.
    """

    surname: tuple[float, float, float]
    given: tuple[float, float, float]
    middle: tuple[float, float, float]
    as_surname: tuple[float, float]
    cost: float
    most: float


class Ceilings:
    """What the levels of a model are worth at most, as tables that columns can be looked up in."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.births = self._birth_table()
        # by surname and given name: the most of the levels between agreement and none
        self._alike = tuple(
            max(
                bits for level, bits in model.bits[field].items() if level not in ("exact", "part", "turned", "differs")
            )
            for field in ("surname", "given")
        )
        self._differs = tuple(model.bits[field]["differs"] for field in ("surname", "given"))
        self._cost = log2(model.m["surname"][-2] / model.m["surname"][0])
        agrees, differs = (model.bits["sex"][level] for level in ("agrees", "differs"))
        # by the sex asked for and the sex on record, each 0 (unknown), 1 or 2
        self.sexes = np.array([[0.0] * 4, [0.0, agrees, differs, 0.0], [0.0, differs, agrees, 0.0]])
        # Whoever shares an identifier is found by it, and not bounded: here it is one slip apart at best.
        self.slips = {kind: max(0.0, model.bits[kind]["near"]) for kind in KINDS if kind != "ssn4"}
        ssn4 = model.bits["ssn4"]
        self.ssn4_most = max(ssn4.values())
        # by how many digits differ, where two may be two exchanged
        near = max(ssn4["near"], ssn4["differs"])
        self.ssn4 = np.array([ssn4["agrees"], near, near, ssn4["differs"], ssn4["differs"]])

    def name(self, name: Name) -> NameCeiling:
        """The most that the weights of compare.py can make of a name."""
        model, middle_bits = self.model, self.model.bits["middle"]
        surname = given = middle = (0.0, 0.0, 0.0)
        as_surname, turned = (0.0, 0.0), 0.0
        if name.surname:
            surname = (self._same_surname(name.surname), self._alike[0], self._differs[0])
        if name.given:
            near = self._alike[1]
            frequency = model.given_frequency.get(name.given[0], model.rare)
            given = (max(near, log2(model.m["given"][0] / frequency)), near, self._differs[1])
            as_surname = (self._same_surname(name.given), self._alike[0])
        if len(name.given) > 1:
            letters = [model.initial_gain.get(token[0], 0.0) for token in name.given[1:]]
            near = max(middle_bits["near"], middle_bits["initial"] + max(0.0, *letters))
            middle = (max(near, middle_bits["exact"]), near, middle_bits["differs"])
        if name.surname and name.given:
            turned = surname[0] + as_surname[0] + self._cost
        straight = max(0.0, *surname) + max(0.0, *given) + max(0.0, *middle)
        return NameCeiling(surname, given, middle, as_surname, self._cost, max(straight, turned))

    def _same_surname(self, tokens: tuple[str, ...]) -> float:
        model = self.model
        rarest = min([model.surname_frequency.get(token, model.rare) for token in tokens])
        whole, part = (log2(model.m["surname"][level] / min(1.0, rarest)) for level in (0, 1))
        return max(whole, part, self._alike[0])

    def _birth_table(self) -> Floats:
        """Bits by YEARS | MONTH_DAYS of the digits that differ; as if two that do could be two exchanged."""
        bits = self.model.bits["birth_date"]
        rarest = max(0.0, -log2(min(self.model.common_births.values(), default=1.0)))
        table = np.empty(64)
        for code in range(64):
            of_year, of_rest, month, day = code >> 2 & 3, code >> 4, code >> 1 & 1, code & 1
            level = bits["year"] if not of_year else bits["differs"]
            if (not of_year) + month + day == 2:
                level = max(level, bits["two_parts"])
            if of_year + of_rest <= 2:
                level = max(level, bits["one_digit"], bits["two_digits"])
            if of_year + of_rest == 0:
                level = max(level, bits["exact"] + rarest)
            table[code] = level
        return table
