"""A person reduced to what is compared: folded tokens, digits of dates, identifiers without their decoration."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final, NamedTuple

import jellyfish
from anyascii import anyascii
from msgspec import Struct

from contracts.types.person import Identifier, IdentifierKind, Person, PersonName, Sex

__all__ = ["Id", "Name", "Prepared", "phonetic", "prepare", "swapped_day_month"]

_SUFFIXES: Final = {
    "JR": "2", "JUNIOR": "2", "II": "2", "2ND": "2", "SR": "1", "SENIOR": "1", "I": "1", "III": "3", "3RD": "3",
    "IV": "4", "4TH": "4",
}  # fmt: skip
"""Jr and II are one generation, Sr and I another: records use either for the same man."""
_PARTICLES_TEXT: Final = "DE DEL LA LAS LOS DA DAS DO DOS DI DU VAN VON DER DEN TER AL EL BIN IBN BINT ABU BEN Y E AF"
_PARTICLES: Final = frozenset(_PARTICLES_TEXT.split())
_SPLIT = re.compile(r"[^A-Z0-9]+")
_NOT_ALNUM = re.compile(r"[^A-Z0-9]")


class Name(NamedTuple):
    """One name. Surname tokens are without particles; given tokens are given and middle names in order."""

    surname: tuple[str, ...]
    given: tuple[str, ...]


class Id(NamedTuple):
    """A normalised identifier; the issuer is empty where the kind has none."""

    kind: str
    issuer: str
    value: str


class Prepared(Struct, frozen=True, gc=False, array_like=True):
    """What an index keeps of a person, and what is searched with.

    births: YYYYMMDD, or YYYYMM or YYYY where that is all that is known. sex: M, F, or empty where it says nothing.
    suffixes: generations, as digits.
    """

    names: tuple[Name, ...] = ()
    births: tuple[str, ...] = ()
    sex: str = ""
    ids: tuple[Id, ...] = ()
    suffixes: tuple[str, ...] = ()


@lru_cache(maxsize=1 << 16)
def _tokens(text: str) -> tuple[str, ...]:
    """Upper-case ASCII tokens. An apostrophe joins (O'BRIEN), every other mark parts."""
    if not text.isascii():
        text = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
        text = anyascii(text)
    text = text.upper().replace("'", "").replace("`", "")
    return tuple(token for token in _SPLIT.split(text) if token)


@lru_cache(maxsize=1 << 17)
def phonetic(token: str) -> str:
    """Metaphone, or the token itself where that has nothing to say (digits, single vowels)."""
    return jellyfish.metaphone(token)[:6].replace(" ", "") or token


def swapped_day_month(birth: str) -> str | None:
    """The date with day and month exchanged, where that is another possible date."""
    if len(birth) != 8 or birth[4:6] == birth[6:8] or birth[6:8] > "12":
        return None
    return birth[:4] + birth[6:8] + birth[4:6]


def _name(name: PersonName) -> tuple[Name, str]:
    surname = list(_tokens(name.surname))
    suffix = ""
    # A suffix is often typed into the surname; a lone "I" or "V" there is a name.
    while len(surname) > 1 and len(surname[-1]) > 1 and surname[-1] in _SUFFIXES:
        suffix = _SUFFIXES[surname.pop()]
    if name.suffix:
        suffix = next((_SUFFIXES[token] for token in _tokens(name.suffix) if token in _SUFFIXES), suffix)
    parts = [token for token in surname if token not in _PARTICLES] or surname
    given = [*_tokens(name.given or ""), *_tokens(name.middle or "")]
    while len(given) > 1 and len(given[-1]) > 1 and given[-1] in _SUFFIXES:
        suffix = suffix or _SUFFIXES[given[-1]]
        given.pop()
    return Name(tuple(parts), tuple(given)), suffix


def _identifier(identifier: Identifier) -> Id | None:
    """None where the value identifies nobody: empty, all zeros, or without the issuer that it needs."""
    value = _NOT_ALNUM.sub("", identifier.value.upper())
    issuer = identifier.issuer or ""
    match identifier.kind:
        case IdentifierKind.SID:
            # Some systems write the state before the number, with or without naming it as the issuer.
            if not issuer and value[:2].isalpha():
                issuer = value[:2]
            value = value.removeprefix(issuer).lstrip("0")
            return Id("sid", issuer, value) if value and issuer else None
        case IdentifierKind.UCN:
            return Id("ucn", "", value) if value.strip("0") else None
        case IdentifierKind.A_NUMBER:
            value = value.removeprefix("A").lstrip("0")
            return Id("a_number", "", value) if value.isdigit() else None
        case IdentifierKind.AGENCY_LOCAL:
            return Id("agency_local", issuer, value) if value and issuer else None
        case IdentifierKind.SSN4:
            # 0000 is never issued, and 9999 is what forms are filled with.
            usable = len(value) == 4 and value.isdigit() and value not in ("0000", "9999")
            return Id("ssn4", "", value) if usable else None


def prepare(person: Person) -> Prepared:
    """Normalise once; what comes back is compared and indexed many times."""
    names: dict[Name, None] = {}
    suffixes: set[str] = set()
    for name in person.names:
        parts, suffix = _name(name)
        if parts.surname or parts.given:
            names[parts] = None
        if suffix:
            suffixes.add(suffix)
    births = dict.fromkeys(date.replace("-", "") for date in person.birth_dates)
    ids = {found for identifier in person.identifiers if (found := _identifier(identifier)) is not None}
    return Prepared(
        names=tuple(names),
        births=tuple(births),
        sex=str(person.sex.value) if person.sex in (Sex.MALE, Sex.FEMALE) else "",
        ids=tuple(sorted(ids)),
        suffixes=tuple(sorted(suffixes)),
    )
