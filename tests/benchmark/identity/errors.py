"""Clerical noise: a person as another agency would have typed them, and what went wrong on the way.

Each kind of error is a function from a person to another one, or to None where it cannot happen to this person (nobody
drops a second surname that is not there). `RATES` says how often each is tried. Names and rates are what the error
rates by kind are reported under.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from random import Random
from typing import Final, NamedTuple

from msgspec.structs import replace

from contracts.types.person import Identifier, IdentifierKind, NameKind, Person, PersonName, Sex
from tests.benchmark.identity.spellings import ACCENTED, KEYS, NICKNAMES, SOUNDS, TRANSLITERATIONS

__all__ = ["ERRORS", "RATES", "Kind", "Mistyped", "mistype"]


class Kind(StrEnum):
    """What went wrong, in the order in which it is tried."""

    ALIAS = "alias"
    MAIDEN = "maiden_name"
    MARRIED = "married_since"
    OTHER_NAMES_ABSENT = "other_names_absent"
    SURNAME_DROPPED = "second_surname_dropped"
    SURNAME_ORDER = "surname_order_exchanged"
    SPELLING = "accent_particle_hyphen"
    TRANSLITERATION = "transliteration"
    NICKNAME = "nickname"
    INITIAL = "initial_only"
    MIDDLE_ABSENT = "middle_absent"
    SUFFIX_ABSENT = "suffix_absent"
    SOUND_SURNAME = "phonetic_surname"
    SOUND_GIVEN = "phonetic_given"
    TYPO_SURNAME = "typo_surname"
    TYPO_GIVEN = "typo_given"
    NAMES_SWAPPED = "given_family_swapped"
    DAY_MONTH = "day_month_swapped"
    DATE_DIGIT = "date_digit"
    DATE_YEAR = "date_year"
    DATE_PARTIAL = "date_partial"
    DATE_ABSENT = "date_absent"
    SEX_ABSENT = "sex_absent"
    SEX_WRONG = "sex_wrong"
    LOCAL_ID_ABSENT = "local_identifier_absent"
    SOME_IDS_ABSENT = "some_identifiers_absent"
    IDS_ABSENT = "all_identifiers_absent"
    SID_TYPO = "sid_typo"


RATES: Final[Mapping[Kind, float]] = {
    Kind.ALIAS: 0.2,
    Kind.MAIDEN: 0.3,
    Kind.MARRIED: 0.02,
    Kind.OTHER_NAMES_ABSENT: 0.6,
    Kind.SURNAME_DROPPED: 0.3,
    Kind.SURNAME_ORDER: 0.05,
    Kind.SPELLING: 0.15,
    Kind.TRANSLITERATION: 0.25,
    Kind.NICKNAME: 0.1,
    Kind.INITIAL: 0.01,
    Kind.MIDDLE_ABSENT: 0.35,
    Kind.SUFFIX_ABSENT: 0.4,
    Kind.SOUND_SURNAME: 0.025,
    Kind.SOUND_GIVEN: 0.02,
    Kind.TYPO_SURNAME: 0.03,
    Kind.TYPO_GIVEN: 0.02,
    Kind.NAMES_SWAPPED: 0.01,
    Kind.DAY_MONTH: 0.01,
    Kind.DATE_DIGIT: 0.02,
    Kind.DATE_YEAR: 0.01,
    Kind.DATE_PARTIAL: 0.01,
    Kind.DATE_ABSENT: 0.01,
    Kind.SEX_ABSENT: 0.03,
    Kind.SEX_WRONG: 0.003,
    Kind.LOCAL_ID_ABSENT: 0.8,  # another agency has a number of its own
    Kind.SOME_IDS_ABSENT: 0.5,
    Kind.IDS_ABSENT: 0.25,
    Kind.SID_TYPO: 0.02,
}
"""Share of the people to whom it can happen. Judgement: no agency's error rates are known to us."""

_Error = Callable[[Person, Random], Person | None]


class Mistyped(NamedTuple):
    """The person as typed, and every kind of error that happened."""

    person: Person
    kinds: frozenset[Kind]


def mistype(person: Person, rng: Random, rates: Mapping[Kind, float] = RATES) -> Mistyped:
    """The person as another agency has them. Depends on the state of `rng` and on nothing else."""
    kinds: set[Kind] = set()
    for kind, error in ERRORS.items():
        if rng.random() < rates.get(kind, 0.0):
            changed = error(person, rng)
            if changed is not None and changed != person:
                person = changed
                kinds.add(kind)
    return Mistyped(person, frozenset(kinds))


def _named(person: Person, first: PersonName) -> Person:
    return replace(person, names=[first, *person.names[1:]])


def _other_name(kind: NameKind) -> _Error:
    """The other agency knows the person under another of the names only."""

    def error(person: Person, rng: Random) -> Person | None:
        others = [name for name in person.names[1:] if name.kind is kind]
        return replace(person, names=[replace(rng.choice(others), kind=NameKind.PRIMARY)]) if others else None

    return error


def _married(person: Person, rng: Random) -> Person | None:
    """A surname that neither record connects with the old one."""
    if person.sex is not Sex.FEMALE or not person.names:
        return None
    return replace(person, names=[replace(person.names[0], surname=rng.choice(_MARRIED_INTO))])


_MARRIED_INTO: Final = ("SMITH", "JOHNSON", "GARCIA", "BROWN", "LOPEZ", "NGUYEN", "PETERSON", "CASTILLO", "HARDIN")


def _other_names_absent(person: Person, rng: Random) -> Person | None:
    more = len(person.names) > 1 or len(person.birth_dates) > 1
    return replace(person, names=person.names[:1], birth_dates=person.birth_dates[:1]) if more else None


def _surnames(change: Callable[[list[str]], list[str]]) -> _Error:
    def error(person: Person, rng: Random) -> Person | None:
        parts = re.split(r"[ -]", person.names[0].surname) if person.names else []
        if len(parts) != 2 or len(parts[0]) < 3:
            return None
        return _named(person, replace(person.names[0], surname=" ".join(change(parts))))

    return error


def _spelling(person: Person, rng: Random) -> Person | None:
    """Accents put back, a hyphen made a space or nothing, a particle written apart."""
    if not person.names:
        return None
    surname = person.names[0].surname
    if "-" in surname:
        changed = surname.replace("-", rng.choice((" ", "")))
    elif " " in surname:
        changed = surname.replace(" ", rng.choice(("-", "")))
    elif found := re.match(r"(DELA|DEL|DE|VAN|MAC|MC|AL|EL|O)(?=[A-Z]{4})", surname):
        changed = f"{found[0]}{rng.choice((' ', '-', chr(39)))}{surname[found.end() :]}"
    else:
        places = [at for at, letter in enumerate(surname) if letter in ACCENTED]
        if not places:
            return None
        at = rng.choice(places)
        changed = surname[:at] + rng.choice(ACCENTED[surname[at]]) + surname[at + 1 :]
    return _named(person, replace(person.names[0], surname=changed))


def _given(change: Callable[[str, Random], str | None]) -> _Error:
    def error(person: Person, rng: Random) -> Person | None:
        if not person.names or person.names[0].given is None:
            return None
        changed = change(person.names[0].given, rng)
        return None if not changed else _named(person, replace(person.names[0], given=changed))

    return error


def _surname(change: Callable[[str, Random], str | None]) -> _Error:
    def error(person: Person, rng: Random) -> Person | None:
        changed = change(person.names[0].surname, rng) if person.names else None
        return None if not changed else _named(person, replace(person.names[0], surname=changed))

    return error


def _listed(table: Mapping[str, tuple[str, ...]]) -> Callable[[str, Random], str | None]:
    return lambda name, rng: rng.choice(table[name]) if name in table else None


def _transliterated(person: Person, rng: Random) -> Person | None:
    either = _given(_listed(TRANSLITERATIONS))(person, rng)
    return _surname(_listed(TRANSLITERATIONS))(either or person, rng) or either


def _sound(name: str, rng: Random) -> str | None:
    """Spelled as it sounds."""
    fitting = [(what, by) for what, by in SOUNDS if re.search(what, name)]
    if not fitting:
        return None
    what, by = rng.choice(fitting)
    return re.sub(what, by, name, count=1)


def typo(text: str, rng: Random) -> str | None:
    """One slip of the fingers: a letter inserted, left out, exchanged with its neighbour, or a key beside it hit."""
    if len(text) < 3:
        return None
    at = rng.randrange(1, len(text))  # first letters are seldom wrong
    match rng.randrange(4):
        case 0:
            return text[:at] + rng.choice(KEYS.get(text[at], text[at])) + text[at:]
        case 1:
            return text[:at] + text[at + 1 :]
        case 2:
            at = min(at, len(text) - 2)
            return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
        case _:
            return text[:at] + rng.choice(KEYS.get(text[at], "AEIO")) + text[at + 1 :]


def _without(part: str) -> _Error:
    def error(person: Person, rng: Random) -> Person | None:
        return replace(person, names=[replace(name, **{part: None}) for name in person.names])

    return error


def _swapped(person: Person, rng: Random) -> Person | None:
    name = person.names[0] if person.names else None
    if name is None or name.given is None or len(name.given) < 2:
        return None
    return _named(person, replace(name, surname=name.given, given=name.surname))


def _born(change: Callable[[str, Random], str | None]) -> _Error:
    def error(person: Person, rng: Random) -> Person | None:
        if not person.birth_dates or len(person.birth_dates[0]) != 10:
            return None
        changed = change(person.birth_dates[0], rng)
        return None if changed is None else replace(person, birth_dates=[changed, *person.birth_dates[1:]])

    return error


def _day_month(born: str, rng: Random) -> str | None:
    return f"{born[:4]}-{born[8:]}-{born[5:7]}" if born[8:] <= "12" else None


def _date_digit(born: str, rng: Random) -> str | None:
    """A wrong digit that leaves a date."""
    for _ in range(20):
        at = rng.choice((2, 3, 6, 8, 9))
        changed = born[:at] + rng.choice("0123456789") + born[at + 1 :]
        if changed != born and "01" <= changed[5:7] <= "12" and "01" <= changed[8:] <= "28":
            return changed
    return None


def _date_year(born: str, rng: Random) -> str | None:
    return f"{int(born[:4]) + rng.choice((-10, -2, -1, 1, 2, 10))}{born[4:]}"


def _ids(person: Person, keep: Callable[[Identifier], bool]) -> Person:
    return replace(person, identifiers=[i for i in person.identifiers if keep(i)])


def _sid_typo(person: Person, rng: Random) -> Person | None:
    sids = [i for i in person.identifiers if i.kind is IdentifierKind.SID]
    if not sids:
        return None
    value = sids[0].value
    at = rng.randrange(len(value))
    wrong = value[:at] + rng.choice([d for d in "0123456789" if d != value[at]]) + value[at + 1 :]
    return replace(person, identifiers=[replace(i, value=wrong) if i is sids[0] else i for i in person.identifiers])


ERRORS: Final[Mapping[Kind, _Error]] = {
    Kind.ALIAS: _other_name(NameKind.ALIAS),
    Kind.MAIDEN: _other_name(NameKind.MAIDEN),
    Kind.MARRIED: _married,
    Kind.OTHER_NAMES_ABSENT: _other_names_absent,
    Kind.SURNAME_DROPPED: _surnames(lambda parts: parts[:1]),
    Kind.SURNAME_ORDER: _surnames(lambda parts: parts[::-1]),
    Kind.SPELLING: _spelling,
    Kind.TRANSLITERATION: _transliterated,
    Kind.NICKNAME: _given(_listed(NICKNAMES)),
    Kind.INITIAL: _given(lambda name, rng: name[0]),
    Kind.MIDDLE_ABSENT: _without("middle"),
    Kind.SUFFIX_ABSENT: _without("suffix"),
    Kind.SOUND_SURNAME: _surname(_sound),
    Kind.SOUND_GIVEN: _given(_sound),
    Kind.TYPO_SURNAME: _surname(typo),
    Kind.TYPO_GIVEN: _given(typo),
    Kind.NAMES_SWAPPED: _swapped,
    Kind.DAY_MONTH: _born(_day_month),
    Kind.DATE_DIGIT: _born(_date_digit),
    Kind.DATE_YEAR: _born(_date_year),
    Kind.DATE_PARTIAL: _born(lambda born, rng: born[:7] if rng.random() < 0.4 else born[:4]),
    Kind.DATE_ABSENT: lambda person, rng: replace(person, birth_dates=[]),
    Kind.SEX_ABSENT: lambda person, rng: replace(person, sex=None),
    Kind.SEX_WRONG: lambda person, rng: replace(person, sex=Sex.MALE if person.sex is Sex.FEMALE else Sex.FEMALE),
    Kind.LOCAL_ID_ABSENT: lambda person, rng: _ids(person, lambda i: i.kind is not IdentifierKind.AGENCY_LOCAL),
    Kind.SOME_IDS_ABSENT: lambda person, rng: _ids(person, lambda _: rng.random() < 0.5),
    Kind.IDS_ABSENT: lambda person, rng: _ids(person, lambda _: False),
    Kind.SID_TYPO: _sid_typo,
}
