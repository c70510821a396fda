"""A person reduced to what is compared: folded tokens, digits of dates, identifiers without their decoration."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final, NamedTuple

import jellyfish
from anyascii import anyascii
from msgspec import Struct

from contracts.types.person import Identifier, IdentifierKind, Person, Sex

__all__ = ["Id", "Name", "Prepared", "bare", "phonetic", "prepare", "swapped_day_month"]

_SUFFIXES: Final = {
    "JR": "2", "JUNIOR": "2", "II": "2", "2ND": "2", "SR": "1", "SENIOR": "1", "I": "1", "III": "3", "3RD": "3",
    "IV": "4", "4TH": "4",
}  # fmt: skip
"""Jr and II are one generation, Sr and I another: records use either for the same man."""
_PARTICLES_TEXT: Final = "DE DEL LA LAS LOS DA DAS DO DOS DI DU VAN VON DER DEN TER AL EL BIN IBN BINT ABU BEN Y E AF"
_PARTICLES: Final = frozenset(_PARTICLES_TEXT.split())
_NOBODY_TEXT: Final = (
    "UNKNOWN UNK UNKN UNIDENTIFIED LNU FNU MNU NMN NMI NLN NFN REFUSED TBD XX XXX XXXX INFANT ADULT OCCUPANT "
    "HOUSEHOLD HOUSEHOLDER INMATE DETAINEE APELLIDO NOMBRE"
)
_NOBODY: Final = frozenset(_NOBODY_TEXT.split())
"""Words that stand where a name is not known (LNU: last name unknown; NMN: no middle name)."""
_NOT_GIVEN_TEXT: Final = (
    "BABY BOY GIRL NEWBORN CHILD KID MINOR MALE FEMALE MR MRS MS MISS MISTER SIR GENTLEMAN WOMAN SENOR SENORA PERSON "
    "HUSBAND WIFE SPOUSE DAUGHTER BROTHER SISTER MOTHER FATHER MOM DAD UNCLE AUNT NEPHEW NIECE COUSIN GRANDSON "
    "GRANDDAUGHTER GRANDCHILD HIJO HIJA FRIEND ROOMMATE RESIDENT INMATE DETAINEE RESPONDENT NAME NONE NOT PROVIDED "
    "REPORTED"
)
_NOT_GIVEN: Final = _NOBODY | frozenset(_NOT_GIVEN_TEXT.split())
"""Among given names these are nobody's."""
_TOGETHER: Final = _NOT_GIVEN | {"NO", "GIVEN", "MAN", "LADY", "SON", "OF", "THE", "HOUSE"}
"""These are somebody's by themselves (NO, SON and MAN are names), and nobody's together (NO NAME, FEMALE CHILD)."""
_MARKS_OF_SEX: Final = frozenset({("VAN",), ("THI",)})
"""Vietnamese middle names that say no more than man or woman."""
_SPLIT = re.compile(r"[^A-Z0-9]+")
_NOT_ALNUM = re.compile(r"[^A-Z0-9]")
_NOT_DIGIT = re.compile(r"[^0-9]")
_MALE: Final = Sex.MALE
_FEMALE: Final = Sex.FEMALE
_SSN4: Final = IdentifierKind.SSN4
_SID: Final = IdentifierKind.SID
_UCN: Final = IdentifierKind.UCN
_A_NUMBER: Final = IdentifierKind.A_NUMBER
_SPELLINGS: Final = 1 << 14
"""Names of several words that are remembered as they were typed."""


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


def _tokens(text: str) -> tuple[str, ...]:
    """Upper-case ASCII tokens. An apostrophe joins (O'BRIEN), every other mark parts."""
    if not text.isascii():
        text = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
        text = anyascii(text)
    text = text.upper().replace("'", "").replace("`", "")
    if text == "N/A":
        return ()
    return tuple(token for token in _SPLIT.split(text) if token)


@lru_cache(maxsize=1 << 15)
def phonetic(token: str) -> str:
    """Metaphone, or the token itself where that has nothing to say (digits, single vowels)."""
    return jellyfish.metaphone(token)[:6].replace(" ", "") or token


def swapped_day_month(birth: str) -> str | None:
    """The date with day and month exchanged, where that is another possible date."""
    if len(birth) != 8 or birth[4:6] == birth[6:8] or birth[6:8] > "12":
        return None
    return birth[:4] + birth[6:8] + birth[4:6]


def _known(tokens: tuple[str, ...], nobody: frozenset[str]) -> tuple[str, ...]:
    """The tokens, or none where they only say that the name is not known (NO NAME, CHILD 1, CHILD A)."""
    lettered = bool(tokens) and tokens[0] in nobody
    for token in tokens:
        if token not in nobody and not token.isdigit() and not (lettered and len(token) == 1):
            return tokens
    return ()


def _surname(text: str) -> tuple[tuple[str, ...], str]:
    """Tokens without particles, and the generation that was typed behind them."""
    if text.isascii() and text.isalpha():  # one word, as nearly all are
        token = text.upper()
        return ((token,) if token not in _NOBODY else ()), ""
    return _surname_of_words(text)


@lru_cache(maxsize=_SPELLINGS)
def _surname_of_words(text: str) -> tuple[tuple[str, ...], str]:
    tokens = _tokens(text)
    suffix = ""
    # A lone "I" or "V" is a name.
    while len(tokens) > 1 and len(tokens[-1]) > 1 and tokens[-1] in _SUFFIXES:
        suffix = _SUFFIXES[tokens[-1]]
        tokens = tokens[:-1]
    parts = tuple(token for token in tokens if token not in _PARTICLES) or tokens
    return _known(parts, _NOBODY if len(tokens) == 1 else _TOGETHER), suffix


def _given(text: str) -> tuple[tuple[str, ...], str]:
    """Tokens of given or middle names, and the generation that was typed behind them."""
    if text.isascii() and text.isalpha():
        token = text.upper()
        return ((token,) if token not in _NOT_GIVEN else ()), ""
    return _given_of_words(text)


@lru_cache(maxsize=_SPELLINGS)
def _given_of_words(text: str) -> tuple[tuple[str, ...], str]:
    tokens = _tokens(text)
    suffix = ""
    while len(tokens) > 1 and len(tokens[-1]) > 1 and tokens[-1] in _SUFFIXES:
        suffix = _SUFFIXES[tokens[-1]]
        tokens = tokens[:-1]
    # An initial "E" is no particle, and neither is what a name begins with.
    named = tuple(token for n, token in enumerate(tokens) if not n or len(token) == 1 or token not in _PARTICLES)
    return _known(named, _NOT_GIVEN if len(tokens) == 1 else _TOGETHER), suffix


@lru_cache(maxsize=1 << 10)
def _suffix(text: str) -> str:
    return next((_SUFFIXES[token] for token in _tokens(text) if token in _SUFFIXES), "")


@lru_cache(maxsize=1 << 16)
def _digits(date: str) -> str:
    """YYYYMMDD or what is known of it. A letter where a digit belongs (a scan read 0 as O) becomes one wrong digit."""
    return _NOT_DIGIT.sub("0", date.replace("-", ""))


def bare(identifier: Identifier) -> Id | None:
    """None where the value identifies nobody: empty, all zeros, or without the issuer that it needs."""
    kind, value, issuer = identifier.kind, identifier.value, identifier.issuer or ""
    if not value.isdigit() or not value.isascii():
        value = _NOT_ALNUM.sub("", value.upper())
    if kind is _SSN4:
        # 0000 is never issued, and 9999 is what forms are filled with.
        usable = len(value) == 4 and value.isdigit() and value not in ("0000", "9999")
        return Id("ssn4", "", value) if usable else None
    if kind is _SID:
        # Some systems write the state before the number, with or without naming it as the issuer.
        if not issuer and value[:2].isalpha():
            issuer = value[:2]
        value = value.removeprefix(issuer).lstrip("0")
        return Id("sid", issuer, value) if value and issuer else None
    if kind is _UCN:
        return Id("ucn", "", value) if value.strip("0") else None
    if kind is _A_NUMBER:
        value = value.removeprefix("A").lstrip("0")
        return Id("a_number", "", value) if value.isdigit() else None
    return Id("agency_local", issuer, value) if value and issuer else None


def prepare(person: Person) -> Prepared:
    """Normalise once; what comes back is compared and indexed many times.

    Bulk loads spend half their time here: every string is looked up in a cache of its spelling, and the common case
    (one name, one date) makes no container that it does not return.
    """
    names: tuple[Name, ...] = ()
    suffixes: tuple[str, ...] = ()
    for name in person.names:
        surname, suffix = _surname(name.surname)
        given: tuple[str, ...] = ()
        if name.given:
            given, typed = _given(name.given)
            suffix = suffix or typed
        if name.middle:
            middle, typed = _given(name.middle)
            if middle not in _MARKS_OF_SEX:
                given += middle
            suffix = suffix or typed
        if name.suffix:
            suffix = _suffix(name.suffix) or suffix
        if surname or given:
            made = Name(surname, given)
            if made not in names:
                names += (made,)
        if suffix and suffix not in suffixes:
            suffixes += (suffix,)
    births: tuple[str, ...] = ()
    for date in person.birth_dates:
        digits = _digits(date)
        if digits not in births:
            births += (digits,)
    ids: tuple[Id, ...] = ()
    for identifier in person.identifiers:
        found = bare(identifier)
        if found is not None and found not in ids:
            ids += (found,)
    sex = person.sex
    return Prepared(
        names,
        births,
        "M" if sex is _MALE else "F" if sex is _FEMALE else "",
        ids if len(ids) < 2 else tuple(sorted(ids)),
        suffixes if len(suffixes) < 2 else tuple(sorted(suffixes)),
    )
