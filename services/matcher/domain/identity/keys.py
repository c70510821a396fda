"""Blocking: the keys under which a person is filed, and those under which one is looked for.

`PASSES` is the table of them, a kind of key a line; everything else here reads it. Records are filed plainly; a search
adds variants (day and month exchanged, given name and surname exchanged), so that each is paid for once a search and
never in memory. Both directions of the join find the same pairs: exchanging is its own inverse.

A key is a number of 64 bits, the same in every process: an index sorts them (postings.py), and makes those of many
records at once with the same arithmetic in columns (bulk.py).
"""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache
from typing import Final, NamedTuple
from zlib import crc32

from services.matcher.domain.identity.nicknames import canonical
from services.matcher.domain.identity.normalise import Id, Prepared, phonetic, swapped_day_month

__all__ = [
    "IDENTIFIER",
    "PASSES",
    "RECORD",
    "SAME_NAME",
    "SSN4_YEAR",
    "DatePart",
    "Feature",
    "Pass",
    "called",
    "features",
    "filed_under",
    "identifier_key",
    "issued_by",
    "looked_under",
    "mix",
    "record_key",
    "salt",
    "tokens_of",
]


class Feature(IntEnum):
    """What of a token a key is made of; the place in what `features` gives."""

    WHOLE = 0
    SOUND = 1
    CALL = 2
    CALL_SOUND = 3
    INITIAL = 4
    PREFIX3 = 5
    PREFIX4 = 6


class DatePart(IntEnum):
    """What of a birth date a key is made of."""

    DAY = 0
    YEAR = 1
    MONTH = 2
    MONTH_DAY = 3


class Pass(NamedTuple):
    """A kind of key. surname, given, date: what it is made of, None where it does without.

    cap: a block of more records than this is not looked at, 0 for no such limit. It is for passes whose blocks grow
    with the index without bound: a share of such a block would be a lottery, and what many people have in common tells
    nobody apart by itself. A search says when it left out one of SAME_NAME.
    """

    name: str
    surname: Feature | None
    given: Feature | None
    date: DatePart | None
    cap: int = 0


SAME_NAME: Final = "name"
PASSES: Final = (
    Pass("birth+surname", Feature.SOUND, None, DatePart.DAY),
    Pass("birth+given", None, Feature.CALL_SOUND, DatePart.DAY),
    Pass("birth+initials", Feature.INITIAL, Feature.INITIAL, DatePart.DAY),
    Pass("names+year", Feature.SOUND, Feature.CALL, DatePart.YEAR),
    Pass("names+day", Feature.SOUND, Feature.CALL, DatePart.MONTH_DAY),
    Pass("prefix", Feature.PREFIX4, Feature.INITIAL, DatePart.MONTH),
    # What is left of either name agrees by its first letter only: worth a look where few share it and the birth date.
    Pass("birth+initial", Feature.INITIAL, None, DatePart.DAY, cap=4),
    Pass("birth+initial", None, Feature.INITIAL, DatePart.DAY, cap=4),
    # The birth date missing or wrong: only what is rare enough to tell people apart by itself is worth a look.
    Pass(SAME_NAME, Feature.SOUND, Feature.CALL_SOUND, None, cap=200),
    Pass("name+prefixes", Feature.PREFIX3, Feature.PREFIX3, None, cap=40),
    Pass("surname", Feature.WHOLE, None, None, cap=50),
    Pass("given", None, Feature.WHOLE, None, cap=50),
)
IDENTIFIER: Final = Pass("identifier", None, None, None)
SSN4_YEAR: Final = Pass("ssn4+year", None, None, DatePart.YEAR)
RECORD: Final = Pass("record", None, None, None)
_ALL: Final = (*PASSES, IDENTIFIER, SSN4_YEAR, RECORD)

_MASK: Final = (1 << 64) - 1
_SOUNDED: Final = 1
"""Where the hashes of sounds start, which are words of another kind than spellings."""
_MULTIPLIER: Final = 0x9E3779B97F4A7C15


def _hash(text: str) -> int:
    """32 bits: two tokens that share them share a block, and the weighing tells them apart."""
    return crc32(text.encode())


_SALTS: Final = {kind: _hash(f"{number}:{kind.name}") for number, kind in enumerate(_ALL)}

_SALTED: Final = [(_SALTS[kind], kind) for kind in PASSES]


def mix(seed: int, part: int) -> int:
    """Work one part into a key. `bulk.mix` does the same to columns."""
    mixed = ((seed ^ part) * _MULTIPLIER) & _MASK
    return mixed ^ (mixed >> 29)


def salt(kind: Pass) -> int:
    """What the keys of a pass start from, so that no two passes share a block."""
    return _SALTS[kind]


def features(token: str) -> tuple[int, ...]:
    """The hash of each Feature of a token. They are ASCII (normalise), so that bytes are cut as letters are."""
    whole, sound, call = token.encode(), phonetic(token).encode(), canonical(token)
    hashed, sounded = crc32(whole), crc32(sound, _SOUNDED)
    if call == token:
        called_as, called_sound = hashed, sounded
    else:
        called_as, called_sound = crc32(call.encode()), crc32(phonetic(call).encode(), _SOUNDED)
    return hashed, sounded, called_as, called_sound, whole[0], crc32(whole[:3], 3), crc32(whole[:4], 4)


_features: Final = lru_cache(maxsize=1 << 14)(features)


def tokens_of(surname: tuple[str, ...]) -> tuple[str, ...]:
    """The tokens that a surname is filed under: each by itself, and a compound one joined."""
    return surname if len(surname) < 2 else (*dict.fromkeys(surname), "".join(surname))


def called(given: tuple[str, ...]) -> tuple[str, ...]:
    """The given names that somebody may go by: the first, and the second too where the first is an initial."""
    return given[:1] if len(given) < 2 or len(given[0]) > 1 else given[:2]


@lru_cache(maxsize=4096)
def issued_by(kind: str, issuer: str) -> int:
    """What the keys of identifiers of one kind and issuer start from."""
    return mix(salt(IDENTIFIER), _hash(f"{kind}:{issuer}"))


def identifier_key(identifier: Id) -> int:
    """32 bits of the value are enough: an identifier that shares them brings a candidate which the weighing refuses."""
    return mix(issued_by(identifier.kind, identifier.issuer), crc32(identifier.value.encode()))


def record_key(record_id: str) -> int:
    """Where a record itself is found, to be replaced or removed."""
    return mix(salt(RECORD), crc32(record_id.encode()))


@lru_cache(maxsize=1 << 15)
def _cut(birth: str) -> tuple[int | None, ...]:
    """Each DatePart of YYYYMMDD, YYYYMM or YYYY; None where that part is not known."""
    known = len(birth)
    return (
        int(birth) if known == 8 else None,
        int(birth[:4]) if known >= 4 else None,
        int(birth[:6]) if known >= 6 else None,
        int(birth[4:]) if known == 8 else None,
    )


def _add_names(
    keys: dict[int, Pass], surname: tuple[str, ...], given: tuple[str, ...], births: list[tuple[int | None, ...]]
) -> None:
    """Add the keys of one name. It is run for every record and search: `mix` is written out, as it counts here."""
    family: list[tuple[int, ...] | None] = [_features(token) for token in tokens_of(surname)]
    calls: list[tuple[int, ...] | None] = [_features(token) for token in called(given)]
    for token in family or (None,):
        for call in calls or (None,):
            for x, kind in _SALTED:
                _, by_surname, by_given, part, _ = kind
                if by_surname is not None:
                    if token is None:
                        continue
                    x = ((x ^ token[by_surname]) * _MULTIPLIER) & _MASK
                    x ^= x >> 29
                if by_given is not None:
                    if call is None:
                        continue
                    x = ((x ^ call[by_given]) * _MULTIPLIER) & _MASK
                    x ^= x >> 29
                if part is None:
                    keys[x] = kind
                    continue
                for birth in births:
                    cut = birth[part]
                    if cut is not None:
                        y = ((x ^ cut) * _MULTIPLIER) & _MASK
                        keys[y ^ (y >> 29)] = kind


def _add_identifiers(keys: dict[int, Pass], person: Prepared) -> None:
    for identifier in person.ids:
        if identifier.kind != "ssn4":
            keys[identifier_key(identifier)] = IDENTIFIER
            continue
        four = mix(salt(SSN4_YEAR), int(identifier.value))
        for birth in person.births:
            year = _cut(birth)[DatePart.YEAR]
            if year is not None:
                keys[mix(four, year)] = SSN4_YEAR


def filed_under(person: Prepared) -> dict[int, Pass]:
    """The keys of a record, each with its pass."""
    keys: dict[int, Pass] = {}
    _add_identifiers(keys, person)
    births = [_cut(birth) for birth in person.births]
    for surname, given in person.names:
        _add_names(keys, surname, given, births)
    return keys


def looked_under(person: Prepared) -> dict[int, Pass]:
    """The keys to look under: those of the record, and of its variants."""
    keys: dict[int, Pass] = {}
    _add_identifiers(keys, person)
    births = [_cut(birth) for birth in person.births]
    exchanged = [_cut(other) for birth in person.births if (other := swapped_day_month(birth)) is not None]
    for surname, given in person.names:
        _add_names(keys, surname, given, births + exchanged)
        if given and surname:
            _add_names(keys, given, surname, births)
    return keys
