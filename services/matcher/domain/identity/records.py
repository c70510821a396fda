"""What an index keeps of each record: a row of numbers, and encoded what the row has no room for.

The rows of many records are looked at at once, to rule strangers out (bound.py). Nearly everybody's names, dates, sex
and SSN4 fit in a row; who has more is encoded whole, and the row says what it does not show. Five million records have
to fit in the memory of a small server: some 250 bytes each, the keys among them.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from services.matcher.domain.identity.normalise import Id, Name, Prepared
from services.matcher.domain.identity.postings import MAX_RECORDS
from services.matcher.domain.identity.rows import KINDS, SEXES, SSN4_SHIFT, Column, Flag, birth_of, row_of
from services.matcher.domain.identity.vocabulary import Vocabulary

__all__ = ["Records", "Stored"]


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
_KINDS: Final = tuple(KINDS)
_PLACE: Final = {kind: place for place, kind in enumerate(_KINDS)}
_SEXES: Final = tuple(SEXES)
_NOT_SHOWN: Final = int(Flag.WHOLE)
_WIDTH: Final = len(Column)
_FLAGS: Final = int(Column.FLAGS)


class Records:
    """Records by number. Numbers of removed ones are given out again when the owner says so (`reuse`).

    rows: a row of Column for each number, and for second names. alive: by number.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
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

    @property
    def size(self) -> int:
        """Bytes of the rows and of the encoded records."""
        return self.rows.nbytes + self.alive.nbytes + self._places.nbytes + len(self._blob)

    def put(self, record_id: str, person: Prepared) -> int:
        """Keep a record under a number that is free."""
        number = self._new_number()
        alias = self._new_number() if len(person.names) > 1 else 0
        row, second = row_of(person, alias, self._vocabulary)
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
        row, second = row_of(person, number + 1, self._vocabulary)
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
            births=tuple([birth_of(digits) for digits in row[: Column.FLAGS] if digits]),
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
