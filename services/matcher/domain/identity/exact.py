"""Exact matching on normalised identifiers, and on surname, given name and birth date together.

CONFIRMED  a fingerprint-based identifier (SID of one state, UCN) agrees, and none disagrees
PROBABLE   an A-number or a local id of one agency agrees, and nothing contradicts it
POSSIBLE   surname, given name and birth date agree (rule 1), or an identifier agrees and something contradicts it
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from msgspec import Struct

from contracts.types.common import Tier
from contracts.types.conflict import Evidence, Identity
from contracts.types.person import Identifier, IdentifierKind, Person, Sex
from services.matcher.domain.identity.engine import Candidate, IdentityEngine, IdentityIndex

__all__ = ["ExactEngine", "ExactIndex", "ExactPerson"]

MODEL: Final = "exact/1"
_SID, _UCN, _A_NUMBER, _LOCAL, _NAME = "sid", "ucn", "a_number", "agency_local", "name_and_birth_date"
_FINGERPRINT: Final = frozenset({_SID, _UCN})
_NOT_ALNUM = re.compile(r"[^A-Z0-9]")

Key = str
"""`kind:issuer:value`, normalised. One string rather than a tuple: strings are no work for the garbage collector, and
an index holds millions."""


class ExactPerson(Struct, frozen=True, gc=False):
    """A person reduced to what is compared.

    keys: what the index is searched by. sids: state -> normalised SIDs. ucns: normalised UCNs.
    """

    keys: tuple[Key, ...]
    sids: dict[str, frozenset[str]]
    ucns: frozenset[str]
    surnames: frozenset[str]
    birth_dates: frozenset[str]
    sex: Sex | None


@lru_cache(maxsize=65536)
def _folded(name: str) -> str:
    """Upper case without accents, spaces or punctuation: O'Brien-Núñez and OBRIEN NUNEZ are one."""
    if not name.isascii():
        name = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
    folded = name.upper()
    return "".join(c for c in folded if c.isalnum())


def _identifier(identifier: Identifier) -> tuple[str, str, str] | None:
    """(kind, issuer, value) normalised; None where it identifies nobody by itself."""
    value = _NOT_ALNUM.sub("", identifier.value.upper())
    issuer = identifier.issuer or ""
    match identifier.kind:
        case IdentifierKind.SID:
            # Some systems write the state before the number, with or without naming it as the issuer.
            if not issuer and value[:2].isalpha():
                issuer = value[:2]
            value = value.removeprefix(issuer).lstrip("0")
            return (_SID, issuer, value) if value and issuer else None
        case IdentifierKind.UCN:
            return (_UCN, "", value) if value else None
        case IdentifierKind.A_NUMBER:
            value = value.removeprefix("A").lstrip("0")
            return (_A_NUMBER, "", value) if value.isdigit() else None
        case IdentifierKind.AGENCY_LOCAL:
            return (_LOCAL, issuer, value) if value and issuer else None
        case IdentifierKind.SSN4:
            return None


def prepare(person: Person) -> ExactPerson:
    keys: set[Key] = set()
    sids: dict[str, frozenset[str]] = {}
    ucns: set[str] = set()
    for identifier in person.identifiers:
        normalised = _identifier(identifier)
        if normalised is None:
            continue
        kind, issuer, value = normalised
        keys.add(f"{kind}:{issuer}:{value}")
        if kind == _SID:
            sids[issuer] = sids.get(issuer, frozenset()) | {value}
        elif kind == _UCN:
            ucns.add(value)
    surnames: set[str] = set()
    whole_dates = [date for date in person.birth_dates if len(date) == 10]
    for name in person.names:
        surname = _folded(name.surname)
        if not surname:
            continue
        surnames.add(surname)
        given = _folded(name.given) if name.given else ""
        if given:
            keys.update([f"{_NAME}:{surname}|{given}:{date}" for date in whole_dates])
    sex = person.sex if person.sex in (Sex.MALE, Sex.FEMALE) else None
    return ExactPerson(
        keys=tuple(sorted(keys)),
        sids=sids,
        ucns=frozenset(ucns),
        surnames=frozenset(surnames),
        birth_dates=frozenset(person.birth_dates),
        sex=sex,
    )


def _assess(a: ExactPerson, b: ExactPerson, agreeing: list[Key]) -> Identity:
    """The tier of two people who share at least one key, with its reasons."""
    kinds = {key.partition(":")[0] for key in agreeing}
    evidence = [Evidence(field=kind, outcome="agrees") for kind in sorted(kinds)]
    vetoes = [
        f"two SIDs of {state}"
        for state in sorted(a.sids.keys() & b.sids.keys())
        if a.sids[state].isdisjoint(b.sids[state])
    ]
    if a.ucns and b.ucns and a.ucns.isdisjoint(b.ucns):
        vetoes.append("two UCNs")
    contradictions: list[str] = []
    if a.sex and b.sex and a.sex is not b.sex:
        contradictions.append("sex")
    strangers = bool(a.surnames and b.surnames and a.surnames.isdisjoint(b.surnames)) and bool(
        a.birth_dates and b.birth_dates and a.birth_dates.isdisjoint(b.birth_dates)
    )
    if strangers:
        contradictions.append("surname and birth date")
    evidence += [Evidence(field=field, outcome="disagrees") for field in contradictions]
    if vetoes:
        tier = Tier.POSSIBLE
    elif kinds & _FINGERPRINT:
        tier = Tier.CONFIRMED
    elif kinds & {_A_NUMBER, _LOCAL} and not contradictions:
        tier = Tier.PROBABLE
    else:
        tier = Tier.POSSIBLE
    return Identity(tier=tier, model=MODEL, evidence=evidence, vetoes=vetoes)


class ExactIndex(IdentityIndex):
    """Two maps: key -> record ids, and record id -> person."""

    def __init__(self) -> None:
        self._people: dict[str, ExactPerson] = {}
        # Nearly every key belongs to one record, so the one-element case is kept without a container.
        self._by_key: dict[Key, str | set[str]] = {}

    def __len__(self) -> int:
        return len(self._people)

    def put(self, record_id: str, person: ExactPerson) -> None:
        known = self._people.get(record_id)
        if known == person:
            return
        if known is not None:
            self.remove(record_id)
        self._people[record_id] = person
        for key in person.keys:
            there = self._by_key.get(key)
            if there is None:
                self._by_key[key] = record_id
            elif isinstance(there, str):
                self._by_key[key] = {there, record_id}
            else:
                there.add(record_id)

    def remove(self, record_id: str) -> None:
        person = self._people.pop(record_id, None)
        for key in person.keys if person is not None else ():
            there = self._by_key[key]
            if isinstance(there, str):
                del self._by_key[key]
            else:
                there.discard(record_id)
                if len(there) == 1:
                    self._by_key[key] = next(iter(there))

    def search(self, person: ExactPerson) -> Iterable[Candidate]:
        found: dict[str, list[Key]] = {}
        for key in person.keys:
            there = self._by_key.get(key)
            if there is None:
                continue
            for record_id in (there,) if isinstance(there, str) else there:
                found.setdefault(record_id, []).append(key)
        return [
            Candidate(record_id, _assess(person, self._people[record_id], found[record_id]))
            for record_id in sorted(found)
        ]


class ExactEngine(IdentityEngine):
    """The engine of the walking skeleton."""

    @property
    def model(self) -> str:
        return MODEL

    def prepare(self, person: Person) -> ExactPerson:
        return prepare(person)

    def new_index(self) -> ExactIndex:
        return ExactIndex()
