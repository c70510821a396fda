"""Many records filed at once: the rows and keys of `Records.put` and `keys.filed_under`, made in columns.

A test holds both ways to the same entries. Filing millions one by one would take several times as long.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from services.matcher.domain.identity.keys import (
    PASSES,
    RECORD,
    SSN4_YEAR,
    DatePart,
    Feature,
    Pass,
    called,
    features,
    issued_by,
    salt,
    tokens_of,
)
from services.matcher.domain.identity.normalise import Prepared
from services.matcher.domain.identity.postings import Entries, entries
from services.matcher.domain.identity.records import Records
from services.matcher.domain.identity.vocabulary import Vocabulary

__all__ = ["file_all"]

_CHUNK: Final = 100_000
_MULTIPLIER: Final = np.uint64(0x9E3779B97F4A7C15)
_SHIFT: Final = np.uint64(29)

Numbers = NDArray[np.int64]


def mix(seed: Entries | np.uint64, part: Entries) -> Entries:
    """keys.mix, in columns."""
    mixed = (part ^ seed) * _MULTIPLIER
    return mixed ^ (mixed >> _SHIFT)


class _Features:
    """keys.features by token number, for as long as a build takes."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._hashes = np.zeros((0, len(Feature)), np.uint64)
        self._known = 0

    def hashes(self) -> NDArray[np.uint64]:
        tokens = self._vocabulary.tokens
        if self._known < len(tokens):
            if len(self._hashes) < len(tokens):
                self._hashes.resize((len(tokens) + len(tokens) // 4, len(Feature)), refcheck=False)
            new = [features(token) for token in tokens[max(1, self._known) :]]
            if new:
                self._hashes[max(1, self._known) : len(tokens)] = new
            self._known = len(tokens)
        return self._hashes


class _Flat:
    """What the keys of a chunk of records are made of, as columns in the making: a value for each name and so on."""

    def __init__(self) -> None:
        self.records: list[int] = []
        self.record_crcs: list[int] = []
        # a line for each surname token and given name of each name
        self.named: list[int] = []
        self.surnames: list[int] = []
        self.givens: list[int] = []
        # a line for each birth date; digits say how much of it is known
        self.born: list[int] = []
        self.births: list[str] = []
        # a line for each identifier but SSN4, and for each SSN4
        self.identified: list[int] = []
        self.issuers: list[int] = []
        self.values: list[int] = []
        self.ssn4_of: list[int] = []
        self.ssn4s: list[int] = []


def file_all(records: Records, vocabulary: Vocabulary, people: Iterable[tuple[str, Prepared]]) -> Entries:
    """Put people, each id once, into empty records; their entries, sorted."""
    surnames: dict[tuple[str, ...], list[int]] = {}
    givens: dict[tuple[str, ...], list[int]] = {}
    hashed = _Features(vocabulary)
    whole = np.empty(0, np.uint64)
    stream = iter(people)
    while chunk := list(islice(stream, _CHUNK)):
        flat = _Flat()
        _flatten(flat, chunk, records, vocabulary, surnames, givens)
        part = _distinct(np.concatenate(list(_keys(flat, hashed.hashes()))))
        whole.resize(len(whole) + len(part), refcheck=False)  # in place: there is never a second copy
        whole[-len(part) :] = part
    whole.sort()
    return whole


def _distinct(keys: Entries) -> Entries:
    """np.unique, which hashes nowadays, at ten times the time of sorting numbers."""
    keys.sort()
    return keys[np.concatenate(([True], keys[1:] != keys[:-1]))]


def _flatten(
    flat: _Flat,
    chunk: list[tuple[str, Prepared]],
    records: Records,
    vocabulary: Vocabulary,
    surnames: dict[tuple[str, ...], list[int]],
    givens: dict[tuple[str, ...], list[int]],
) -> None:
    number_of = vocabulary.number
    for (record_id, person), number in zip(chunk, records.put_all(chunk), strict=True):
        flat.records.append(number)
        flat.record_crcs.append(crc32(record_id.encode()))
        for surname, given in person.names:
            family = surnames.get(surname)
            if family is None:
                family = surnames[surname] = [number_of(token) for token in tokens_of(surname)] or [0]
            calls = givens.get(given)
            if calls is None:
                calls = givens[given] = [number_of(token) for token in called(given)] or [0]
            for token in family:
                for call in calls:
                    flat.named.append(number)
                    flat.surnames.append(token)
                    flat.givens.append(call)
        for birth in person.births:
            flat.born.append(number)
            flat.births.append(birth)
        for kind, issuer, value in person.ids:
            if kind == "ssn4":
                flat.ssn4_of.append(number)
                flat.ssn4s.append(int(value))
            else:
                flat.identified.append(number)
                flat.issuers.append(issued_by(kind, issuer))
                flat.values.append(crc32(value.encode()))


def _keys(flat: _Flat, hashes: NDArray[np.uint64]) -> Iterator[Entries]:
    """Entries of a chunk, pass by pass."""
    yield entries(mix(_seed(RECORD), _column(flat.record_crcs)), _numbers(flat.records))
    if flat.identified:
        yield entries(mix(_column(flat.issuers), _column(flat.values)), _numbers(flat.identified))
    dates = _Dates(flat)
    if flat.ssn4_of:
        of = _numbers(flat.ssn4_of)
        lines, which = dates.beside(of)
        years, known = dates.part(DatePart.YEAR)
        fours = mix(_seed(SSN4_YEAR), _column(flat.ssn4s))
        keep = known[which]
        yield entries(mix(fours[lines[keep]], years[which[keep]]), of[lines[keep]])
    named, surnames, givens = _numbers(flat.named), _numbers(flat.surnames), _numbers(flat.givens)
    lines, which = dates.beside(named)
    for kind in PASSES:
        seeds, able = _names(kind, surnames, givens, hashes)
        if kind.date is None:
            yield entries(seeds[able], named[able])
        else:
            parts, known = dates.part(kind.date)
            keep = able[lines] & known[which]
            yield entries(mix(seeds[lines[keep]], parts[which[keep]]), named[lines[keep]])


def _names(
    kind: Pass, surnames: Numbers, givens: Numbers, hashes: NDArray[np.uint64]
) -> tuple[Entries, NDArray[np.bool_]]:
    """The keys of each line of names as far as names go, and whether the line has what the pass needs."""
    seeds = np.full(len(surnames), _seed(kind))
    able = np.ones(len(surnames), np.bool_)
    if kind.surname is not None:
        seeds, able = mix(seeds, hashes[surnames, kind.surname]), able & (surnames != 0)
    if kind.given is not None:
        seeds, able = mix(seeds, hashes[givens, kind.given]), able & (givens != 0)
    return seeds, able


class _Dates:
    """The birth dates of a chunk, in the order of its records."""

    def __init__(self, flat: _Flat) -> None:
        self._digits = np.array([len(birth) for birth in flat.births], np.int64)
        self._values = np.array([int(birth) for birth in flat.births], np.int64)
        self._of = _numbers(flat.born)

    def part(self, part: DatePart) -> tuple[Entries, NDArray[np.bool_]]:
        """keys._cut, in columns: the part of each date, and whether it is known."""
        values, digits = self._values, self._digits
        match part:
            case DatePart.DAY:
                return values.astype(np.uint64), digits == 8
            case DatePart.MONTH_DAY:
                return (values % 10_000).astype(np.uint64), digits == 8
            case DatePart.MONTH:
                return np.where(digits == 8, values // 100, values).astype(np.uint64), digits >= 6
            case DatePart.YEAR:
                scale = np.where(digits == 8, 10_000, np.where(digits == 6, 100, 1))
                return (values // scale).astype(np.uint64), digits >= 4

    def beside(self, numbers: Numbers) -> tuple[Numbers, Numbers]:
        """Each line of `numbers` (records, ascending) with each date of its record: places of lines, and of dates."""
        first = self._of.searchsorted(numbers)
        many = self._of.searchsorted(numbers, side="right") - first
        lines = np.repeat(np.arange(len(numbers)), many)
        within = np.arange(len(lines)) - np.repeat(np.cumsum(many) - many, many)
        return lines, first[lines] + within


def _seed(kind: Pass) -> np.uint64:
    return np.uint64(salt(kind))


def _column(values: list[int]) -> Entries:
    return np.array(values, np.uint64)


def _numbers(values: list[int]) -> Numbers:
    return np.array(values, np.int64)
