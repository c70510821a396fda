"""A person as a row of numbers: what strangers are ruled out by, many at once (bound.py)."""

from __future__ import annotations

from enum import IntEnum, IntFlag
from functools import lru_cache
from typing import Final
from zlib import crc32

from services.matcher.domain.identity.normalise import Name, Prepared
from services.matcher.domain.identity.vocabulary import NO_TOKEN, Vocabulary

__all__ = [
    "KINDS", "MARKED", "SEXES", "SSN4_SHIFT", "Column", "Flag", "Row", "birth_digits", "birth_of", "mark", "row_of",
]  # fmt: skip


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


SEXES: Final = {"": 0, "M": int(Flag.MALE), "F": int(Flag.FEMALE)}
KINDS: Final = {kind: int(Flag[kind.upper()]) for kind in ("ssn4", "agency_local", "a_number", "sid", "ucn")}
"""The flag of each kind of identifier."""
MARKED: Final = ("agency_local", "a_number", "sid", "ucn")
_MARK_SHIFT: Final = {kind: 8 * place for place, kind in enumerate(MARKED)}
SSN4_SHIFT: Final = 16
_SSN4: Final = int(Flag.SSN4)
_MORE_NAMES: Final = int(Flag.MORE_NAMES)
_MORE_BIRTHS: Final = int(Flag.MORE_BIRTHS)
_NOT_SHOWN: Final = int(Flag.WHOLE)

Row = tuple[int, int, int, int, int, int, int, int, int]


def row_of(person: Prepared, alias: int, vocabulary: Vocabulary) -> tuple[Row, Row | None]:
    """The row of a person, and that of the second name, which goes under the number `alias`."""
    names, births = person.names, person.births
    flags = SEXES[person.sex]
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
        first, second, call, middle, more = _tokens(names[0], vocabulary)
        if len(names) > 1:
            one, two, three, four, beyond = _tokens(names[1], vocabulary)
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


def _tokens(name: Name, vocabulary: Vocabulary) -> tuple[int, int, int, int, bool]:
    """Two surname tokens, two given names, and whether there are more."""
    surname, given = name
    known, number = vocabulary.numbers.get, vocabulary.number
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
def birth_of(digits: int) -> str:
    """What `birth_digits` was made from, where that was a date or part of one."""
    birth = f"{digits:08x}"
    return birth if digits & 0xFF else birth[:6] if digits & 0xFF00 else birth[:4]


@lru_cache(maxsize=1 << 16)
def _digits(birth: str) -> tuple[int, bool]:
    """`birth_digits`, and whether they tell all that there is to tell."""
    digits = birth_digits(birth)
    return digits, birth_of(digits) == birth
