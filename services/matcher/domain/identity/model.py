"""The parameters that turn agreement into bits: a small versioned file, and its hash in every decision (G7)."""

from __future__ import annotations

import hashlib
from functools import cached_property
from math import log2
from typing import Final

import msgspec
from msgspec import Struct

__all__ = ["LEVELS", "Model", "decode", "encode"]

LEVELS: Final[dict[str, tuple[str, ...]]] = {
    "surname": ("exact", "part", "near", "lookalike", "sounds", "turned", "differs"),
    "given": (
        "exact", "nickname", "near", "lookalike", "crossed", "initial", "sounds", "crossed_initial", "turned",
        "differs",
    ),
    "middle": ("exact", "near", "initial", "differs"),
    "birth_date": ("exact", "swapped", "one_digit", "partial", "two_parts", "two_digits", "year", "differs"),
    "sex": ("agrees", "differs"),
    "ssn4": ("agrees", "near", "differs"),
    "agency_local": ("agrees", "near", "differs"),
    "a_number": ("agrees", "near", "differs"),
    "sid": ("agrees", "near", "differs"),
    "ucn": ("agrees", "near", "differs"),
}  # fmt: skip
"""Levels of each field, from the strongest agreement to disagreement. A field that either side lacks has no level."""

_KIN: Final = {
    "surname": (0.7, 0.05, 0.02, 0.005, 0.005, 0.001, 0.219),
    "birth_date": (0.02, 0.001, 0.003, 0.002, 0.006, 0.02, 0.04, 0.908),
}
"""Judgement: most of a family have one surname; twins are one in fifty brothers and sisters."""


class Model(Struct, frozen=True, kw_only=True, dict=True):
    """Fellegi-Sunter parameters.

    m, u: field -> probability of each of LEVELS[field] among matches, and among non-matches.
    surname_frequency, given_frequency: share of people with a name; one not listed is taken as `rare`.
    common_births: YYYYMMDD, or MMDD -> how many times as common as another date it is. Papers made out without a known
    day say 1 January.
    prior_bits: log2 odds that a pair is a match before anything is compared.
    kin, kin_bits: m for two people of one family, of the fields in which families differ from strangers; and log2 of
    how many of a person's family are on file for each record of the person. namesakes: the share of them that was
    named after the person, or the person after them.
    slope, offset_bits: calibration; log2 odds = slope * bits + offset_bits.
    """

    version: str
    m: dict[str, list[float]]
    u: dict[str, list[float]]
    surname_frequency: dict[str, float]
    given_frequency: dict[str, float]
    rare: float
    common_births: dict[str, float] = {}
    prior_bits: float
    kin: dict[str, list[float]] = msgspec.field(default_factory=lambda: {k: list(v) for k, v in _KIN.items()})
    kin_bits: float = 1.0
    namesakes: float = 0.02
    slope: float = 1.0
    offset_bits: float = 0.0
    possible: float = 0.5
    probable: float = 0.9995

    @cached_property
    def digest(self) -> str:
        """What names this model in a decision."""
        return hashlib.sha256(encode(self)).hexdigest()[:16]

    @cached_property
    def bits(self) -> dict[str, dict[str, float]]:
        """field -> level -> log2(m / u), before term frequencies."""
        return {
            field: {level: log2(m / u) for level, m, u in zip(levels, self.m[field], self.u[field], strict=True)}
            for field, levels in LEVELS.items()
        }

    @cached_property
    def kin_gain(self) -> dict[str, dict[str, float]]:
        """field -> level -> log2(kin / m): how much likelier this is in a family than for one person."""
        return {
            field: {level: log2(k / m) for level, k, m in zip(LEVELS[field], shares, self.m[field], strict=True)}
            for field, shares in self.kin.items()
        }

    @cached_property
    def initial_gain(self) -> dict[str, float]:
        """letter -> bits by which agreeing in it as an initial says more (Q) or less (J) than agreeing in any."""
        shares: dict[str, float] = {}
        for name, share in self.given_frequency.items():
            shares[name[0]] = shares.get(name[0], 0.0) + share
        total = sum(shares.values())
        if total < 0.5:
            return {}
        usual = sum((share / total) ** 2 for share in shares.values())
        return {letter: log2(usual / max(0.002, share / total)) for letter, share in shares.items()}

    @cached_property
    def least_bits(self) -> float:
        """Bits below which a pair's probability is below `possible`."""
        return (log2(self.possible / (1 - self.possible)) - self.offset_bits) / self.slope - self.prior_bits - 1e-6

    def probability(self, bits: float) -> float:
        """The calibrated probability of a pair whose fields amount to `bits`, the prior not among them."""
        odds = self.slope * (bits + self.prior_bits) + self.offset_bits
        if odds > 60:
            return 1.0
        return float(1 - 1 / (1 + 2.0 ** max(odds, -60.0)))


def encode(model: Model) -> bytes:
    """The bytes of the model's file: the same model, the same bytes."""
    return msgspec.json.format(msgspec.json.encode(model, order="deterministic"), indent=1)


def decode(raw: bytes) -> Model:
    """The model of a file. Raises msgspec.ValidationError, or ValueError where a field lacks its levels."""
    model = msgspec.json.decode(raw, type=Model)
    for field, levels in LEVELS.items():
        tables = (model.m, model.u, model.kin) if field in _KIN else (model.m, model.u)
        for table in tables:
            if len(table.get(field, ())) != len(levels) or min(table[field]) <= 0:
                raise ValueError(f"{field}: a positive share is needed for each of {levels}")
    return model
