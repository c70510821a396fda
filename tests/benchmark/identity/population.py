"""A made-up population: people as an agency has them on file, in any number, the same for the same seed.

Person n of a seed is always the same one, whichever range it is asked for in. Seeds whose last digits differ share no
identifier: their people are strangers to each other. Rates are judgement where `names.py` does not measure them, and
stand beside each other here, so that they can be argued with.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Final, NamedTuple

import numpy as np
from numpy.random import Generator, SeedSequence
from numpy.typing import NDArray

from contracts.types.person import Identifier, IdentifierKind, NameKind, Person, PersonName, Sex
from tests.benchmark.identity.names import Drawn, NameTables
from tests.benchmark.identity.origins import ORIGINS, Origin

__all__ = ["LARGEST", "RATES", "Made", "Rates", "made", "people"]

LARGEST: Final = 10_000_000
"""Identifiers are unique among this many people of a seed."""
_BLOCK: Final = 4096
_TODAY: Final = date(2026, 6, 1)
_AGES: Final = ((18, 25, 0.15), (25, 35, 0.32), (35, 45, 0.27), (45, 55, 0.15), (55, 65, 0.08), (65, 80, 0.03))
"""From this age, to before that one, this share: about what American jails report."""
_STATE_LIST: Final = (
    "TX CA FL NY GA PA IL OH NC AZ VA TN MI LA NJ WA IN MO AL CO SC MD WI KY OK MA MN OR NV AR MS CT UT KS NM"
)
_STATES: Final = tuple(_STATE_LIST.split())
_SUFFIXES: Final = ("JR", "III", "SR", "II", "IV")
_SUFFIX_SHARES: Final = (0.6, 0.15, 0.13, 0.1, 0.02)
_SPAN: Final = 100_000_000
_SPREAD: Final = 61_803_399
"""No common factor with _SPAN, so that multiplying by it sends each number below _SPAN to another one."""


class Rates(NamedTuple):
    """How often a person on file has each thing."""

    female: float = 0.14
    middle: float = 0.5
    middle_is_initial: float = 0.5
    suffix_of_men: float = 0.045
    double_surname_of_hispanics: float = 0.45
    hyphen_in_double: float = 0.25
    article_of_arabs: float = 0.15
    alias: float = 0.1
    maiden_of_aliases: float = 0.7
    second_birth_date: float = 0.02
    ssn4: float = 0.5
    sid: float = 0.5
    ucn: float = 0.3
    agency_local: float = 0.4


RATES: Final = Rates()


class Made(NamedTuple):
    """A person, which one of the seed it is, and the origin of the surname."""

    number: int
    origin: Origin
    person: Person


def people(tables: NameTables, seed: int, count: int, start: int = 0) -> Iterator[Person]:
    """People `start` up to `start + count` of a seed."""
    return (one.person for one in made(tables, seed, count, start))


def made(tables: NameTables, seed: int, count: int, start: int = 0, rates: Rates = RATES) -> Iterator[Made]:
    """The same with number and origin. Raises ValueError beyond LARGEST."""
    if start < 0 or start + count > LARGEST:
        raise ValueError(f"people 0 to {LARGEST} of a seed can be had")
    end = start + count
    while start < end:
        block, skip = divmod(start, _BLOCK)
        stop = min(end, (block + 1) * _BLOCK)
        # Every block is made whole, and cut afterwards: who is in it depends on nothing else.
        yield from _block(tables, seed, block, rates)[skip : skip + stop - start]
        start = stop


def _names(
    rng: Generator, drawn: dict[Origin, Drawn], origins: NDArray[np.int64], rare: NDArray[np.bool_]
) -> NDArray[np.object_]:
    """A name for each origin; where `rare`, one that is put together of two seldom ones."""
    u, v = rng.random(len(origins)), rng.random(len(origins))
    out = np.empty(len(origins), dtype=object)
    for number, origin in enumerate(Origin):
        mask = origins == number
        out[mask] = drawn[origin].draw(u[mask])
        odd = np.flatnonzero(mask & rare)
        names = drawn[origin].names
        # Rare surnames have a few bearers each: some six million of them, the first ones more often.
        ranks = (6_000_000 * v[odd] ** 1.5).astype(np.int64)
        heads, tails = names[(ranks * 7_919) % len(names)], names[(ranks * 104_729 + ranks // len(names)) % len(names)]
        for at, head, tail in zip(odd.tolist(), heads.tolist(), tails.tolist(), strict=True):
            out[at] = head[: (len(head) + 1) // 2] + tail[len(tail) // 2 :]
    return out


def _givens(
    rng: Generator, tables: NameTables, origins: NDArray[np.int64], female: NDArray[np.bool_]
) -> NDArray[np.object_]:
    u = rng.random(len(origins))
    out = np.empty(len(origins), dtype=object)
    for number, origin in enumerate(Origin):
        for sex in (False, True):
            mask = (origins == number) & (female == sex)
            out[mask] = tables.givens[origin, sex].draw(u[mask])
    return out


def _births(rng: Generator, origins: NDArray[np.int64]) -> list[str]:
    """Birth dates by the ages of jails. Some origins have many on 1 January: papers made out without a known day."""
    shares = np.cumsum([share for _, _, share in _AGES])
    band = np.searchsorted(shares / shares[-1], rng.random(len(origins)), "right").clip(max=len(_AGES) - 1)
    low, high = (np.array([age[k] for age in _AGES])[band] * 365.25 for k in (0, 1))
    days = (low + rng.random(len(origins)) * (high - low)).astype(np.int64)
    new_year = rng.random(len(origins)) < np.array([ORIGINS[origin].new_year for origin in Origin])[origins]
    dates = [_DATES[n] for n in days.tolist()]
    return [born[:4] + "-01-01" if first else born for born, first in zip(dates, new_year.tolist(), strict=True)]


_DATES: Final = [(_TODAY - timedelta(days=n)).isoformat() for n in range(int(80 * 365.25) + 2)]


def _other_birth(born: str, how: float) -> str:
    """A second birth date, as people give it to another agency: another day, month or year."""
    year, month, day = int(born[:4]), int(born[5:7]), int(born[8:])
    if how < 0.4:
        return f"{year + (1 if how < 0.2 else -1)}{born[4:]}"
    if how < 0.7:
        return f"{year}-{month:02}-{day % 28 + 1:02}"
    return f"{year}-{month % 12 + 1:02}-{min(day, 28):02}"


def _unique(seed: int, numbers: NDArray[np.int64], kind: int) -> NDArray[np.int64]:
    """Eight digits for each number: no two alike for the ten seeds with different last digits."""
    spread: NDArray[np.int64] = (((seed % 10) * LARGEST + numbers) * _SPREAD + kind * 1_234_567) % _SPAN
    return spread


def _block(tables: NameTables, seed: int, block: int, rates: Rates) -> list[Made]:
    rng = Generator(np.random.PCG64(SeedSequence([seed, block])))
    size = _BLOCK
    upto = np.cumsum([ORIGINS[origin].share for origin in Origin])
    origins = np.searchsorted(upto / upto[-1], rng.random(size), "right").clip(max=len(Origin) - 1)
    female = rng.random(size) < rates.female
    of = [(origin, tables.surnames[origin]) for origin in Origin]
    rare = rng.random(size) < np.array([ORIGINS[origin].rare for origin in Origin])[origins]
    first = _names(rng, dict(of), origins, rare)
    second = _names(rng, dict(of), origins, rare)
    given, middle, other = (_givens(rng, tables, origins, female) for _ in range(3))
    births = _births(rng, origins)
    chance = rng.random((14, size))
    hispanic = origins == list(Origin).index(Origin.HISPANIC)
    arabic = origins == list(Origin).index(Origin.ARABIC)
    vietnamese = origins == list(Origin).index(Origin.VIETNAMESE)
    double = hispanic & (chance[0] < rates.double_surname_of_hispanics)
    article = arabic & (chance[0] < rates.article_of_arabs)
    suffixed = ~female & (chance[2] < rates.suffix_of_men)
    suffix = np.searchsorted(np.cumsum(_SUFFIX_SHARES), chance[2] / rates.suffix_of_men, "right")
    numbers = np.arange(block * _BLOCK, block * _BLOCK + size)
    alien = chance[10] < np.array([ORIGINS[origin].a_number for origin in Origin])[origins]
    states = (len(_STATES) * chance[11] ** 2).astype(np.int64)
    columns = [
        column.tolist()
        for column in (
            numbers, origins, female, first, second, given, middle, other, double, article, vietnamese, suffixed,
            suffix, chance[1], chance[3], chance[4], chance[5], chance[6] < rates.ssn4, chance[7] < rates.sid,
            chance[8] < rates.ucn, chance[9] < rates.agency_local, alien, states, (chance[12] * 9_998).astype(np.int64),
            (chance[13] * 8).astype(np.int64), *(_unique(seed, numbers, kind) for kind in range(4)),
        )
    ]  # fmt: skip
    kinds = list(Origin)
    made_here: list[Made] = []
    for (
        number, origin, woman, surname, extra, called, between, pseudonym, two, with_article, viet, junior, which,
        joined, has_middle, has_alias, has_date, has_ssn4, has_sid, has_ucn, has_local, has_a, state, ssn4, office,
        sid, ucn, a_number, local, born,
    ) in zip(*columns, births, strict=True):  # fmt: skip
        plain = surname
        if two:
            surname = f"{surname}{'-' if joined < rates.hyphen_in_double else ' '}{extra}"
        elif with_article:
            surname = f"{'AL' if joined < 0.6 else 'EL'}{'-' if joined < 0.3 else ' '}{surname}"
        second_name = None
        if has_middle < rates.middle:
            second_name = ("THI" if woman else "VAN") if viet else between
            if has_middle < rates.middle * rates.middle_is_initial:
                second_name = second_name[0]
        names = [
            PersonName(surname=surname, given=called, middle=second_name, suffix=_SUFFIXES[which] if junior else None)
        ]
        if has_alias < rates.alias:
            if woman and has_alias < rates.alias * rates.maiden_of_aliases:
                names.append(PersonName(surname=extra, given=called, middle=second_name, kind=NameKind.MAIDEN))
            elif has_alias < rates.alias * 0.5:
                names.append(PersonName(surname=extra, given=called, kind=NameKind.ALIAS))
            else:
                names.append(PersonName(surname=plain, given=pseudonym, kind=NameKind.ALIAS))
        ids: list[Identifier] = []
        if has_ssn4:
            ids.append(Identifier(kind=IdentifierKind.SSN4, value=f"{ssn4 + 1:04d}"))
        if has_sid:
            ids.append(Identifier(kind=IdentifierKind.SID, value=f"{sid:08d}", issuer=_STATES[state]))
        if has_ucn:
            digits = f"{ucn:08d}"
            ids.append(Identifier(kind=IdentifierKind.UCN, value=f"{digits[:6]}{_LETTERS[state]}{digits[6:]}"))
        if has_a:
            ids.append(Identifier(kind=IdentifierKind.A_NUMBER, value=f"A2{a_number:08d}"))
        if has_local:
            ori = f"{_STATES[state]}{office:03d}0000"
            ids.append(Identifier(kind=IdentifierKind.AGENCY_LOCAL, value=f"{local:08d}", issuer=ori))
        made_here.append(
            Made(
                number,
                kinds[origin],
                Person(
                    names=names,
                    birth_dates=(
                        [born] if has_date >= rates.second_birth_date
                        else [born, _other_birth(born, has_date / rates.second_birth_date)]
                    ),
                    sex=Sex.FEMALE if woman else Sex.MALE,
                    identifiers=ids,
                ),
            )
        )  # fmt: skip
    return made_here


_LETTERS: Final = [a + b for a in "ABCDEFGHJK" for b in "ABCDT"]
