"""Many records filed at once: the rows and keys of `Records.put` and `keys.filed_under`, made in columns.

A test holds both ways to the same entries. Filing millions one by one would take several times as long.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
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
    features,
    filed_under,
    issued_by,
    salt,
)
from services.matcher.domain.identity.normalise import Prepared
from services.matcher.domain.identity.postings import Entries, entries
from services.matcher.domain.identity.records import Records
from services.matcher.domain.identity.rows import SSN4_SHIFT, Column, Flag
from services.matcher.domain.identity.vocabulary import Vocabulary

__all__ = ["file_all"]

_CHUNK: Final = 16_384
_WHOLE: Final = int(Flag.WHOLE)
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


def file_all(records: Records, vocabulary: Vocabulary, people: Iterable[tuple[str, Prepared]]) -> Entries:
    """Put people, each id once, into empty records; their entries, sorted."""
    hashed = _Features(vocabulary)
    whole = np.empty(0, np.uint64)
    chunk = _Chunk()

    def close(chunk: _Chunk) -> None:
        first = records.used
        records.settle(chunk.numbers)
        # Names that are joined bring new tokens, so the rows are read before tokens are hashed.
        names, dates = _Names(records, first, vocabulary), _Dates(records, first)
        part = _distinct(np.concatenate([*chunk.keys(), *_name_keys(names, dates, hashed.hashes())]))
        whole.resize(len(whole) + len(part), refcheck=False)  # in place: there is never a second copy
        whole[-len(part) :] = part

    for record_id, person in people:
        # Nobody is kept waiting in a list: millions of small objects would keep the garbage collector busy.
        number, flags = records.stage(record_id, person)
        chunk.add(record_id, person, number, flags)
        if len(chunk.numbers) == _CHUNK:
            close(chunk)
            chunk = _Chunk()
    if chunk.numbers:
        close(chunk)
    records.trim()
    whole.sort()
    return whole


class _Chunk:
    """Records and identifiers of some people; and all the keys of those few whose rows do not show them whole."""

    def __init__(self) -> None:
        self.numbers = array("q")
        self._crcs = array("Q")
        self._identified, self._issuers, self._values = array("q"), array("Q"), array("Q")
        self._odd, self._odd_keys = array("q"), array("Q")

    def add(self, record_id: str, person: Prepared, number: int, flags: int) -> None:
        self.numbers.append(number)
        self._crcs.append(crc32(record_id.encode()))
        if flags & _WHOLE:
            keys = filed_under(person)
            self._odd_keys.extend(keys)
            self._odd.extend([number] * len(keys))
            return
        for kind, issuer, value in person.ids:
            if kind != "ssn4":
                self._identified.append(number)
                self._issuers.append(issued_by(kind, issuer))
                self._values.append(crc32(value.encode()))

    def keys(self) -> Iterator[Entries]:
        """Entries of all of them."""
        yield entries(mix(_seed(RECORD), _column(self._crcs)), _numbers(self.numbers))
        yield entries(mix(_column(self._issuers), _column(self._values)), _numbers(self._identified))
        yield entries(_column(self._odd_keys), _numbers(self._odd))


def _distinct(keys: Entries) -> Entries:
    """np.unique, which hashes nowadays, at ten times the time of sorting numbers."""
    keys.sort()
    return keys[np.concatenate(([True], keys[1:] != keys[:-1]))]


class _Names:
    """The names of rows from `first` on: a line for each surname token (joined ones too) and given name of each.

    of: the number of the record. surname, given: tokens, 0 for none.
    """

    def __init__(self, records: Records, first: int, vocabulary: Vocabulary) -> None:
        rows = records.rows[first : records.used]
        own = np.arange(first, records.used)
        # A second name's row comes right after its record's.
        second = ~records.alive[first : records.used]
        of = np.where(second, own - 1, own)
        whole = (records.rows[of, Column.FLAGS] & Flag.WHOLE) != 0
        lines = np.flatnonzero(~whole)
        rows, of = rows[lines], of[lines]
        surname, surname2, given, given2 = (
            rows[:, column].astype(np.int64)
            for column in (Column.SURNAME, Column.SURNAME2, Column.GIVEN, Column.GIVEN2)
        )
        named = (surname != 0) | (given != 0)
        compound = np.flatnonzero(surname2)
        tokens = vocabulary.tokens
        joined = [
            vocabulary.number(tokens[one] + tokens[two])
            for one, two in zip(surname[compound].tolist(), surname2[compound].tolist(), strict=True)
        ]
        of_line = np.concatenate((np.flatnonzero(named), compound, compound))
        surnames = np.concatenate((surname[named], surname2[compound], np.array(joined, np.int64)))
        # The second given name counts where the first is an initial.
        calls = given[of_line]
        initial = np.array(
            [len(tokens[n]) == 1 and bool(m) for n, m in zip(given.tolist(), given2.tolist(), strict=True)]
        )
        extra = np.flatnonzero(initial[of_line])
        self.of = np.concatenate((of[of_line], of[of_line[extra]]))
        self.surname = np.concatenate((surnames, surnames[extra]))
        self.given = np.concatenate((calls, given2[of_line[extra]]))


class _Dates:
    """The birth dates and SSN4s of rows from `first` on."""

    def __init__(self, records: Records, first: int) -> None:
        self.first = first
        self._rows = records.rows[first : records.used]
        digits = self._rows[:, Column.BIRTH : Column.BIRTH2 + 1].astype(np.int64)
        value = np.zeros_like(digits)
        for place in range(7, -1, -1):
            value = value * 10 + (digits >> 4 * place & 0xF)
        self._values = value

    def part(self, part: DatePart, which: int) -> tuple[Entries, NDArray[np.bool_]]:
        """The part of the first or second date of each row, as keys._cut has it, and whether it is known."""
        values = self._values[:, which]
        match part:
            case DatePart.DAY:
                return values.astype(np.uint64), values % 100 != 0
            case DatePart.MONTH_DAY:
                return (values % 10_000).astype(np.uint64), values % 100 != 0
            case DatePart.MONTH:
                return (values // 100).astype(np.uint64), values // 100 % 100 != 0
            case DatePart.YEAR:
                return (values // 10_000).astype(np.uint64), values != 0

    def ssn4_keys(self, which: int) -> Entries:
        """Entries by SSN4 and year."""
        years, known = self.part(DatePart.YEAR, which)
        flags = self._rows[:, Column.FLAGS]
        lines = np.flatnonzero((flags >> SSN4_SHIFT != 0) & (flags & Flag.WHOLE == 0) & known)
        digits = (flags[lines] >> SSN4_SHIFT).astype(np.uint64)
        four = sum((digits >> np.uint64(4 * place) & np.uint64(0xF)) * np.uint64(10**place) for place in range(4))
        return entries(mix(mix(_seed(SSN4_YEAR), np.asarray(four, np.uint64)), years[lines]), lines + self.first)


def _name_keys(names: _Names, dates: _Dates, hashes: NDArray[np.uint64]) -> Iterator[Entries]:
    """Entries of names and dates, pass by pass."""
    for which in (0, 1):
        yield dates.ssn4_keys(which)
    at = names.of - dates.first
    for kind in PASSES:
        seeds = np.full(len(names.of), _seed(kind))
        able = np.ones(len(names.of), np.bool_)
        if kind.surname is not None:
            seeds, able = mix(seeds, hashes[names.surname, kind.surname]), able & (names.surname != 0)
        if kind.given is not None:
            seeds, able = mix(seeds, hashes[names.given, kind.given]), able & (names.given != 0)
        if kind.date is None:
            yield entries(seeds[able], names.of[able])
            continue
        for which in (0, 1):
            parts, known = dates.part(kind.date, which)
            lines = np.flatnonzero(able & known[at])
            yield entries(mix(seeds[lines], parts[at[lines]]), names.of[lines])


def _seed(kind: Pass) -> np.uint64:
    return np.uint64(salt(kind))


def _column(values: array[int]) -> Entries:
    return np.frombuffer(values, np.uint64)


def _numbers(values: array[int]) -> Numbers:
    return np.frombuffer(values, np.int64)
