"""People of a history: invented, and such that it is never a matter of opinion who is who."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum

from contracts.types.common import Tier
from contracts.types.person import Identifier, IdentifierKind, Person, PersonName, Sex
from deploy.demo.world.people import Population

__all__ = ["Being", "Form", "People", "same_person"]


class Form(StrEnum):
    """How much a record knows of somebody."""

    SID = "their SID"
    FULL = "their SID and A-number"
    A_NUMBER = "their A-number"
    BARE = "name and birth date only"
    OTHER_SID = "another SID of the same state"
    ELSEWHERE = "a SID of another state"
    UNNAMED = "a name that is not theirs"


@dataclass(frozen=True)
class Being:
    """One person. other_sid: a number under which the state has filed them a second time (rule 3)."""

    surname: str
    given: str
    born: str
    sex: Sex
    state: str
    sid: str
    other_sid: str
    elsewhere_sid: str
    a_number: str
    false_name: tuple[str, str, str]

    def identifier(self, form: Form) -> Identifier:
        """The SID that this form of record carries."""
        value = {Form.OTHER_SID: self.other_sid, Form.ELSEWHERE: self.elsewhere_sid}.get(form, self.sid)
        issuer = ("CA" if self.state != "CA" else "NY") if form is Form.ELSEWHERE else self.state
        return Identifier(kind=IdentifierKind.SID, value=value, issuer=issuer)

    def as_recorded(self, form: Form, claims_citizenship: bool = False) -> Person:
        identifiers = []
        if form in (Form.SID, Form.FULL, Form.OTHER_SID, Form.ELSEWHERE):
            identifiers.append(self.identifier(form))
        if form in (Form.A_NUMBER, Form.FULL):
            identifiers.append(Identifier(kind=IdentifierKind.A_NUMBER, value=self.a_number))
        surname, given, born = (self.surname, self.given, self.born)
        if form is Form.UNNAMED:
            surname, given, born = self.false_name
        return Person(
            names=[PersonName(surname=surname, given=given)],
            birth_dates=[born],
            sex=self.sex,
            identifiers=identifiers,
            us_citizenship_claimed=claims_citizenship or None,
        )


class People:
    """Draws beings of one history: no two share a name or a number; namesakes share name and birth date."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._population = Population(rng)

    def draw(self, state: str) -> Being:
        human = self._population.draw()
        false = self._population.draw(sex=human.sex)
        return self._numbered(
            human.surname, human.given, human.born.isoformat(), human.sex, state,
            (false.surname, false.given, false.born.isoformat()),
        )  # fmt: skip

    def namesake(self, of: Being) -> Being:
        """Somebody else of the same name, birth date and state (Garcia v. County of Riverside)."""
        false = self._population.draw(sex=of.sex)
        names = (false.surname, false.given, false.born.isoformat())
        return self._numbered(of.surname, of.given, of.born, of.sex, of.state, names)

    def _numbered(
        self, surname: str, given: str, born: str, sex: Sex, state: str, false_name: tuple[str, str, str]
    ) -> Being:
        # Nine digits at random: two that a slip of the pen would make one are not to be expected.
        sid, other, elsewhere, a_number = (f"{self._rng.randrange(10**8, 10**9)}" for _ in range(4))
        return Being(surname, given, born, sex, state, sid, other, elsewhere, f"A{a_number}", false_name)


def same_person(held: Person, wanted: Person) -> Tier:
    """How sure it is, by design: what every history is drawn to, and the real engine has to agree with.

    A name with its birth date in common is at least POSSIBLE, and nothing else is; a SID in common confirms, an
    A-number alone makes it PROBABLE; two SIDs of one state, none in common, are a veto.
    """
    if not ({*held.names} & {*wanted.names} and {*held.birth_dates} & {*wanted.birth_dates}):
        return Tier.NONE
    ours, theirs = _sids(held), _sids(wanted)
    states = {state for state, _ in ours} & {state for state, _ in theirs}
    if any(not {sid for sid in ours if sid[0] == state} & theirs for state in states):
        return Tier.POSSIBLE
    if ours & theirs:
        return Tier.CONFIRMED
    numbers = [{i.value for i in p.identifiers if i.kind is IdentifierKind.A_NUMBER} for p in (held, wanted)]
    return Tier.PROBABLE if numbers[0] & numbers[1] else Tier.POSSIBLE


def _sids(person: Person) -> set[tuple[str | None, str]]:
    return {(i.issuer, i.value) for i in person.identifiers if i.kind is IdentifierKind.SID}
