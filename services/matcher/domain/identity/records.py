"""What an index keeps of each record: a row of numbers, and encoded what the row has no room for.

The rows of many records are looked at at once, to rule strangers out (bound.py). Nearly everybody's names, dates, sex
and SSN4 fit in a row; who has more is encoded whole, and the row says what it does not show. Five million records have
to fit in the memory of a small server: some 250 bytes each, the keys among them.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Sequence
from enum import IntEnum, IntFlag
from functools import lru_cache
from typing import Any, Final, NamedTuple
from zlib import crc32

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from services.matcher.domain.identity.normalise import Id, Name, Prepared
from services.matcher.domain.identity.postings import MAX_RECORDS
from services.matcher.domain.identity.vocabulary import NO_TOKEN, Vocabulary

__all__ = ["KINDS", "MARKED", "SSN4_SHIFT", "Column", "Flag", "Records", "Stored", "birth_digits", "mark"]


class Column(IntEnum):
    """The columns of a row. Dates as in `birth_digits`, tokens as in the vocabulary.

    ALIAS: a row of its own with the second name, its columns SURNAME to GIVEN2 filled; 0 for none.
    MARKS: eight bits for each kind of `MARKED` (`mark`), 0 where there is no identifier of it or more than one.
    """

    BIRTH = 0
    BIRTH2 = 1
    FLAGS = 2
    SURNAME = 3
    SURNAME2 = 4
    GIVEN = 5
    GIVEN2 = 6
    ALIAS = 7
    MARKS = 8


class Flag(IntFlag):
    """MORE_…: there are names or dates that the row does not show. WHOLE: the person is encoded whole.

    The rest are kinds of identifiers that there are.

    The upper half of FLAGS is the SSN4, a digit in each four bits, where there is one only.
    """

    MALE = 1
    FEMALE = 2
    MORE_NAMES = 4
    MORE_BIRTHS = 8
    WHOLE = 512
    SSN4 = 16
    AGENCY_LOCAL = 32
    A_NUMBER = 64
    SID = 128
    UCN = 256


class Stored(NamedTuple):
    """A record as it was put in."""

    record_id: str
    person: Prepared


class _Brief(Struct, frozen=True, array_like=True, gc=False):
    """What the row does not hold: identifiers as (place in _KINDS, issuer, value), but for the SSN4 in the row."""

    record_id: str
    ids: tuple[tuple[int, str, str], ...]
    suffixes: tuple[str, ...]


class _Whole(Struct, frozen=True, array_like=True, gc=False):
    record_id: str
    person: Prepared


_ENCODER: Final = msgspec.msgpack.Encoder()
_BRIEF: Final = msgspec.msgpack.Decoder(_Brief)
_WHOLE: Final = msgspec.msgpack.Decoder(_Whole)
_LENGTH: Final = 3
"""Bytes before an encoded record that say how long it is."""
_SLOT: Final = 8
"""Bytes; encoded records take whole slots, so that what one leaves another can use."""
_PADDING: Final = [bytes(-length % _SLOT) for length in range(_SLOT)]
_SEX: Final = {"": 0, "M": int(Flag.MALE), "F": int(Flag.FEMALE)}
_KINDS: Final = ("ssn4", "agency_local", "a_number", "sid", "ucn")
_PLACE: Final = {kind: place for place, kind in enumerate(_KINDS)}
KINDS: Final = {kind: int(Flag[kind.upper()]) for kind in _KINDS}
"""The flag of each kind of identifier."""
MARKED: Final = ("agency_local", "a_number", "sid", "ucn")
_MARK_SHIFT: Final = {kind: 8 * place for place, kind in enumerate(MARKED)}
SSN4_SHIFT: Final = 16
_SSN4: Final = int(Flag.SSN4)
_SEXES: Final = ("", "M", "F")
_MORE_NAMES: Final = int(Flag.MORE_NAMES)
_MORE_BIRTHS: Final = int(Flag.MORE_BIRTHS)
_NOT_SHOWN: Final = int(Flag.WHOLE)
_WIDTH: Final = len(Column)
_FLAGS: Final = int(Column.FLAGS)

Row = tuple[int, int, int, int, int, int, int, int, int]


def mark(issuer: str, value: str) -> int:
    """Eight bits, which digits occur: at most two of them differ for two values of one issuer that are a slip apart."""
    bits = (
        ("0" in value) | ("1" in value) << 1 | ("2" in value) << 2 | ("3" in value) << 3
        | ("4" in value) << 4 | ("5" in value) << 5 | ("6" in value) << 6 | ("7" in value) << 7
    )  # fmt: skip
    return bits ^ _issuer(issuer)


@lru_cache(maxsize=1 << 12)
def _issuer(issuer: str) -> int:
    return crc32(issuer.encode()) & 0xFF


@lru_cache(maxsize=1 << 16)
def birth_digits(birth: str) -> int:
    """YYYYMMDD with a digit in each four bits, zeros for what is not known: two dates differ where their bits do."""
    return int(birth[:8].ljust(8, "0"), 16)


@lru_cache(maxsize=1 << 16)
def _birth(digits: int) -> str:
    """What `birth_digits` was made from, where that was a date or part of one."""
    birth = f"{digits:08x}"
    return birth if digits & 0xFF else birth[:6] if digits & 0xFF00 else birth[:4]


@lru_cache(maxsize=1 << 16)
def _digits(birth: str) -> tuple[int, bool]:
    """`birth_digits`, and whether they tell all that there is to tell."""
    digits = birth_digits(birth)
    return digits, _birth(digits) == birth


class Records:
    """Records by number. Numbers of removed ones are given out again when the owner says so (`reuse`).

    rows: a row of Column for each number, and for second names. alive: by number.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._known = vocabulary.numbers.get
        self.rows = np.zeros((64, _WIDTH), np.uint32)
        self.alive = np.zeros(64, np.bool_)
        self._places = np.zeros(64, np.uint32)
        self._used = 1  # number 0 stands for "no alias"
        self._free: list[int] = []
        self._blob = bytearray()
        self._staged_rows, self._staged_places = array("I"), array("I")
        self._slots: defaultdict[int, list[int]] = defaultdict(list)
        self.count = 0

    @property
    def used(self) -> int:
        """Numbers ever given out."""
        return self._used

    def put(self, record_id: str, person: Prepared) -> int:
        """Keep a record under a number that is free."""
        number = self._new_number()
        alias = self._new_number() if len(person.names) > 1 else 0
        row, second = self._digest(person, alias)
        self.rows[number] = row
        if second is not None:
            self.rows[alias] = second
        self._places[number] = self._write(_encoded(record_id, person, row[_FLAGS]))
        self.alive[number] = True
        self.count += 1
        return number

    def stage(self, record_id: str, person: Prepared) -> tuple[int, int]:
        """`put` for one of many, where no number was given back yet; its number and FLAGS. Ends with `settle`."""
        number = self._used + len(self._staged_places)
        row, second = self._digest(person, number + 1)
        self._staged_rows.extend(row)
        self._staged_places.append(self._write(_encoded(record_id, person, row[_FLAGS])))
        if second is not None:
            self._staged_rows.extend(second)
            self._staged_places.append(0)
        return number, row[_FLAGS]

    def settle(self, numbers: Sequence[int]) -> None:
        """Take over what was staged. numbers: those that `stage` gave."""
        first, places = self._used, self._staged_places
        end = first + len(places)
        self._make_room(end)
        self.rows[first:end] = np.frombuffer(self._staged_rows, np.uint32).reshape(-1, _WIDTH)
        self._places[first:end] = places
        self.alive[numbers] = True
        self._used = end
        self.count += len(numbers)
        self._staged_rows, self._staged_places = array("I"), array("I")

    def _digest(self, person: Prepared, alias: int) -> tuple[Row, Row | None]:
        """The row of a person, and that of the second name, which goes under the number `alias`."""
        names, births = person.names, person.births
        flags = _SEX[person.sex]
        marks = 0
        for kind, issuer, value in person.ids:
            flag = KINDS[kind]
            if flag == _SSN4:
                if flags & _SSN4:
                    flags = flags & ((1 << SSN4_SHIFT) - 1) | _NOT_SHOWN
                else:
                    flags |= int(value, 16) << SSN4_SHIFT
            elif flags & flag:
                marks &= ~(0xFF << _MARK_SHIFT[kind])
            else:
                marks |= mark(issuer, value) << _MARK_SHIFT[kind]
            flags |= flag
        first = second = call = middle = 0
        other: Row | None = None
        if names:
            first, second, call, middle, more = self._tokens(names[0])
            if len(names) > 1:
                one, two, three, four, beyond = self._tokens(names[1])
                other = (0, 0, 0, one, two, three, four, 0, 0)
                more = more or beyond or len(names) > 2
            if more:
                flags |= _MORE_NAMES | _NOT_SHOWN
        birth = birth2 = 0
        if births:
            birth, shown = _digits(births[0])
            if len(births) > 1:
                birth2, shown2 = _digits(births[1])
                shown = shown and shown2 and len(births) == 2
                if len(births) > 2:
                    flags |= _MORE_BIRTHS
            if not shown:
                flags |= _NOT_SHOWN
        if other is None:
            alias = 0
        return (birth, birth2, flags, first, second, call, middle, alias, marks), other

    def _tokens(self, name: Name) -> tuple[int, int, int, int, bool]:
        """Two surname tokens, two given names, and whether there are more."""
        surname, given = name
        known, number = self._known, self._vocabulary.number
        more = False
        first = second = call = middle = NO_TOKEN
        if surname:
            first = known(surname[0]) or number(surname[0])
            if len(surname) > 1:
                second = known(surname[1]) or number(surname[1])
                more = len(surname) > 2
        if given:
            call = known(given[0]) or number(given[0])
            if len(given) > 1:
                middle = known(given[1]) or number(given[1])
                more = more or len(given) > 2
        return first, second, call, middle, more

    def get(self, number: int) -> Stored:
        """The record of a number that is alive."""
        row = self.rows[number].tolist()
        start = int(self._places[number]) * _SLOT
        body = start + _LENGTH
        length = int.from_bytes(self._blob[start:body], "little")
        encoded = self._blob[body : body + length]
        flags = row[_FLAGS]
        if flags & _NOT_SHOWN:
            whole = _WHOLE.decode(encoded)
            return Stored(whole.record_id, whole.person)
        brief = _BRIEF.decode(encoded)
        ids = [Id(_KINDS[kind], issuer, value) for kind, issuer, value in brief.ids]
        if flags >> SSN4_SHIFT:
            ids.append(Id("ssn4", "", f"{flags >> SSN4_SHIFT:04x}"))
            ids.sort()
        person = Prepared(
            names=self._names(row),
            births=tuple([_birth(digits) for digits in row[: Column.FLAGS] if digits]),
            sex=_SEXES[flags & 3],
            ids=tuple(ids),
            suffixes=brief.suffixes,
        )
        return Stored(brief.record_id, person)

    def _names(self, row: list[int]) -> tuple[Name, ...]:
        tokens = self._vocabulary.tokens
        surname, surname2, given, given2, alias = row[Column.SURNAME : Column.MARKS]
        if not surname and not given:
            return ()
        name = Name(
            (tokens[surname], tokens[surname2]) if surname2 else (tokens[surname],) if surname else (),
            (tokens[given], tokens[given2]) if given2 else (tokens[given],) if given else (),
        )
        return (name, *self._names([*self.rows[alias].tolist()[: Column.ALIAS], 0])) if alias else (name,)

    def remove(self, number: int) -> list[int]:
        """Forget a record; the numbers that are not to be given out until nothing leads to them any more."""
        self.alive[number] = False
        self.count -= 1
        place = int(self._places[number])
        length = int.from_bytes(self._blob[place * _SLOT : place * _SLOT + _LENGTH], "little")
        self._slots[_slots(length)].append(place)
        alias = int(self.rows[number, Column.ALIAS])
        return [number, alias] if alias else [number]

    def reuse(self, numbers: list[int]) -> None:
        """These numbers may be given out again."""
        self._free += numbers

    def columns(self) -> list[NDArray[Any]]:
        """All that there is, for a snapshot. Views: they must be gone before the next change."""
        used = self._used
        return [self.rows[:used], self.alive[:used], self._places[:used], np.frombuffer(self._blob, np.uint8)]

    def restore(self, columns: Sequence[NDArray[Any]], tokens: NDArray[np.uint32]) -> list[int]:
        """Take over what `columns` gave; the numbers of removed records, which entries may still lead to.

        tokens: the numbers that tokens have here, by those they had there.
        """
        rows, alive, places, blob = columns
        used = len(rows)
        self._make_room(used)
        self.rows[:used], self.alive[:used], self._places[:used] = rows, alive, places
        if (tokens != np.arange(len(tokens))).any():
            for column in (Column.SURNAME, Column.SURNAME2, Column.GIVEN, Column.GIVEN2):
                self.rows[:used, column] = tokens[self.rows[:used, column]]
        self._used, self._free = used, []
        self._blob = bytearray(blob.data)
        self._slots = defaultdict(list)
        self.count = int(np.count_nonzero(alive))
        return self._unused()

    def _new_number(self) -> int:
        if self._free:
            return self._free.pop()
        number = self._used
        self._make_room(number + 1)
        self._used += 1
        return number

    def _unused(self) -> list[int]:
        """Numbers that neither a record nor its second name has."""
        taken = self.alive[: self._used].copy()
        taken[self.rows[: self._used][taken][:, Column.ALIAS]] = True
        taken[0] = True
        return [int(number) for number in np.flatnonzero(~taken)]

    def _make_room(self, wanted: int) -> None:
        """Room for numbers below `wanted`. In place: the system moves pages, not bytes."""
        if wanted <= len(self.rows):
            return
        if wanted > MAX_RECORDS:
            raise OverflowError(f"an index holds at most {MAX_RECORDS:,} names")
        count = wanted + max(1024, wanted // 8)
        self.rows.resize((count, _WIDTH), refcheck=False)
        self.alive.resize(count, refcheck=False)
        self._places.resize(count, refcheck=False)

    def _write(self, encoded: bytes) -> int:
        whole = len(encoded).to_bytes(_LENGTH, "little") + encoded
        whole += _PADDING[len(whole) % _SLOT]
        free = self._slots.get(len(whole) // _SLOT) if self._slots else None
        if free:
            place = free.pop()
            self._blob[place * _SLOT : place * _SLOT + len(whole)] = whole
            return place
        place = len(self._blob) // _SLOT
        self._blob += whole
        return place

    def trim(self) -> None:
        """Give back the room that growing took in advance."""
        self.rows.resize((self._used, _WIDTH), refcheck=False)
        self.alive.resize(self._used, refcheck=False)
        self._places.resize(self._used, refcheck=False)


def _encoded(record_id: str, person: Prepared, flags: int) -> bytes:
    if flags & _NOT_SHOWN:
        return _ENCODER.encode(_Whole(record_id, person))
    shown = flags >> SSN4_SHIFT
    ids = tuple([(_PLACE[kind], issuer, value) for kind, issuer, value in person.ids if not (shown and kind == "ssn4")])
    return _ENCODER.encode(_Brief(record_id, ids, person.suffixes))


def _slots(length: int) -> int:
    return -(-(length + _LENGTH) // _SLOT)
