"""People who do not exist. Names are put together from syllables, so that no list of real people can meet them, and
so that a search for them in logs (G8) finds nothing by chance."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum

from contracts.types.person import Identifier, IdentifierKind, NameKind, Person, PersonName, Sex
from deploy.demo.world.places import Place

__all__ = ["Human", "Link", "Population"]


def _words(text: str) -> list[str]:
    return text.split()


_GIVEN = {
    Sex.MALE: _words(
        "Alvarin Bramok Corvel Dantiro Eskander Fenwith Galdric Hestovan Ilmario Jorveth Kelmont Lothavan Marevic "
        "Nolvaro Osvandir Perrigan Quorlan Ruvendo Selvatik Tormodan Ulverin Vashtiro Wendrak Zorimand"
    ),
    Sex.FEMALE: _words(
        "Aldessa Brinovia Calistra Delmira Evrandel Fiorwen Gwendris Halvessa Isolmara Jessavine Kaltira Lirenda "
        "Morvessa Nadrielle Orsolva Pellandra Quintessel Rosvanna Silmarel Tavindra Umbrella-Rose Velmora Wynessa "
        "Zefirella"
    ),
}
_SURNAME_HEADS = _words(
    "Ashen Bracken Cinder Dapple Elder Fallow Garrow Hollen Ivern Jasper Kestrel Larken Mossen Nettle Orchen Pebble "
    "Quillen Ravenel Sorrel Tarnish Umberl Vellum Wicken Yarrow Zandel"
)
_SURNAME_TAILS = _words(
    "wickett holtzen merebank slaydel burrowes thornley gatesby fieldrake marshley crestow haverly downeke fordyne "
    "stavely torvane quistan"
)
_ACCENTS = str.maketrans({"a": "á", "e": "é", "o": "ö"})
_DISGUISE_SHARE = 0.15


class Link(StrEnum):
    """What a detainer knows of its person, and so how sure the system may be (DESIGN.md, "Identity")."""

    SID = "sid"
    UCN = "ucn"
    A_NUMBER = "a_number"
    AGENCY_LOCAL = "agency_local"
    NAME = "name"
    NAMESAKE = "namesake"
    A_NUMBER_OTHER_SEX = "a_number_other_sex"


@dataclass(slots=True)
class Human:
    """One person: what is true of them, whoever has recorded how much of it. sids: state -> number."""

    surname: str
    given: str
    born: date
    sex: Sex
    ucn: str
    a_number: str
    sids: dict[str, str] = field(default_factory=dict)
    locals: dict[str, str] = field(default_factory=dict)

    def names(self) -> list[PersonName]:
        return [PersonName(surname=self.surname, given=self.given)]

    def secrets(self) -> set[str]:
        """Strings that must never be in a log, key or header (G8)."""
        numbers = {self.ucn, self.a_number, *self.sids.values(), *self.locals.values()}
        return {self.surname, self.given, self.born.isoformat(), *numbers}


class Population:
    """Draws people by a generator of random numbers; no two share name and birth date, or any number.

    run: makes the numbers of this run differ from those of another, on a cluster that both use.
    """

    def __init__(self, rng: random.Random, run: int = 0) -> None:
        self._rng = rng
        self._drawn: set[tuple[str, str, date]] = set()
        self._count = run * 10_000_000
        self.everyone: list[Human] = []

    def draw(self) -> Human:
        rng = self._rng
        while True:
            sex = rng.choice((Sex.MALE, Sex.MALE, Sex.MALE, Sex.FEMALE))
            given, head, tail = rng.choice(_GIVEN[sex]), rng.choice(_SURNAME_HEADS), rng.choice(_SURNAME_TAILS)
            born = date(1955, 1, 1) + timedelta(days=rng.randrange(50 * 365))
            if (head + tail, given, born) not in self._drawn:
                break
        self._drawn.add((head + tail, given, born))
        human = Human(head + tail, given, born, sex, ucn=f"{self._number()}XQ{rng.randrange(10)}", a_number="")
        human.a_number = f"A{self._number():09d}"
        self.everyone.append(human)
        return human

    def booked_at(self, human: Human, place: Place, *, nameless: bool = False, numbers: bool = True) -> Person:
        """The person as this jail records them; it takes fingerprints, so it knows SID and UCN, unless not `numbers`.

        nameless: the person gave a name that is not theirs.
        """
        human.sids.setdefault(place.state, f"{self._number():09d}")
        human.locals.setdefault(place.operator, f"L{self._number():09d}")
        identifiers = [
            *(Identifier(kind=IdentifierKind.SID, value=v, issuer=state) for state, v in sorted(human.sids.items())),
            Identifier(kind=IdentifierKind.UCN, value=human.ucn),
            Identifier(kind=IdentifierKind.A_NUMBER, value=human.a_number),
            Identifier(kind=IdentifierKind.AGENCY_LOCAL, value=human.locals[place.operator], issuer=place.operator),
        ]
        names = human.names()
        if nameless:
            names = [PersonName(surname="Unnamedson", given="Nobodius")]
        return Person(
            names=names,
            birth_dates=[human.born.isoformat()],
            sex=human.sex,
            identifiers=identifiers if numbers else [],
        )

    def wanted(self, human: Human, link: Link, place: Place) -> Person:
        """The person as an agency describes them that knows `link` of them, in its own spelling."""
        human.sids.setdefault(place.state, f"{self._number():09d}")
        human.locals.setdefault(place.operator, f"L{self._number():09d}")
        sex = human.sex
        identifiers: list[Identifier] = []
        match link:
            case Link.SID:
                identifiers = [self._sid(place.state, human.sids[place.state])]
            case Link.UCN:
                identifiers = [Identifier(kind=IdentifierKind.UCN, value=human.ucn.lower())]
            case Link.A_NUMBER | Link.A_NUMBER_OTHER_SEX:
                bare = human.a_number.removeprefix("A")
                value = self._rng.choice((human.a_number, bare, f"A{bare[:3]}-{bare[3:6]}-{bare[6:]}"))
                identifiers = [Identifier(kind=IdentifierKind.A_NUMBER, value=value)]
                if link is Link.A_NUMBER_OTHER_SEX:
                    sex = Sex.FEMALE if human.sex is Sex.MALE else Sex.MALE
            case Link.AGENCY_LOCAL:
                identifiers = [
                    Identifier(
                        kind=IdentifierKind.AGENCY_LOCAL, value=human.locals[place.operator], issuer=place.operator
                    )
                ]
            case Link.NAMESAKE:  # same name and birth date, other fingerprints (rule 1)
                other = f"{self._number():09d}"
                identifiers = [Identifier(kind=IdentifierKind.SID, value=other, issuer=place.state)]
            case Link.NAME:
                pass
        return Person(
            names=self._spelling(human), birth_dates=[human.born.isoformat()], sex=sex, identifiers=identifiers
        )

    def _spelling(self, human: Human) -> list[PersonName]:
        if self._rng.random() >= _DISGUISE_SHARE:
            return human.names()
        alias = self._alias_of(human)
        return [
            PersonName(surname=alias.surname, given=alias.given),
            PersonName(
                surname=human.surname.translate(_ACCENTS).upper(), given=human.given.upper(), kind=NameKind.ALIAS
            ),
        ]

    def _alias_of(self, human: Human) -> Human:
        """Somebody with another name. Nobody else has that name together with the birth date of `human`."""
        while True:
            alias = self.draw()
            key = (alias.surname, alias.given, human.born)
            if key not in self._drawn:
                self._drawn.add(key)
                return alias

    def _sid(self, state: str, number: str) -> Identifier:
        value = self._rng.choice((number, number.lstrip("0"), f"{state}{number}"))
        return Identifier(kind=IdentifierKind.SID, value=value, issuer=state)

    def _number(self) -> int:
        """Eight digits, never the same twice; spread out, so that a search for one in a log (G8) finds no other."""
        self._count += 1
        return 10_000_000 + self._count * 48_271 % 89_999_999
