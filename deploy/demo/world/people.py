"""People who do not exist. Names are put together from syllables, so that no list of real people can meet them, and
so that a search for them in logs (G8) finds nothing by chance."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum

from contracts.types.person import Identifier, IdentifierKind, NameKind, Person, PersonName, Sex
from deploy.demo.world.places import Place

__all__ = ["Claim", "Human", "Link", "Population"]


def _words(text: str) -> list[str]:
    return text.split()


_GIVEN_HEADS = {
    Sex.MALE: _words(
        "Alvar Bram Corvel Dantir Eskand Fenwith Galdr Hestov Ilmar Jorveth Kelmont Lothav Marev Nolvar Osvand Perrig "
        "Quorl Ruvend Selvat Tormod Ulver Vashtir Wendr Zorim"
    ),
    Sex.FEMALE: _words(
        "Aldess Brinov Calistr Delmir Evrand Fiorw Gwendr Halvess Isolm Jessav Kaltir Lirend Morvess Nadriel Orsolv "
        "Pelland Quintess Rosvann Silmar Tavindr Umbrell Velmor Wyness Zefir"
    ),
}
_GIVEN_TAILS = {
    Sex.MALE: _words("in ok elo iro ander umund avo ewald igan oslav ulfo aric ethan obert yvind aximo"),
    Sex.FEMALE: _words("a ovia istra ine elle iwen ette essa omara avine ulira enda oria isabe unde yphre"),
}
_SURNAME_HEADS = _words(
    "Ashen Bracken Cinder Dapple Elder Fallow Garrow Hollen Ivern Jasper Kestrel Larken Mossen Nettle Orchen Pebble "
    "Quillen Ravenel Sorrel Tarnish Umberl Vellum Wicken Yarrow Zandel"
)
_SURNAME_MIDDLES = _words(
    "abbo bruska clemt doffi eckle furzo gommel hixi ippol jutta krevi lommo miggle norro oxtel pruvo quib ruskel "
    "stobbi tuffle uvvo vexi wump yttri zolko"
)
_SURNAME_TAILS = _words(
    "wickett holtzen merebank slaydel burrowes thornley gatesby fieldrake marshley crestow haverly downeke fordyne "
    "stavely torvane quistan"
)
_NICKNAMES: Mapping[Sex, Sequence[tuple[str, str]]] = {
    Sex.MALE: (("Alexander", "Xander"), ("Christopher", "Topher"), ("Lawrence", "Larry"), ("Leonard", "Lenny")),
    Sex.FEMALE: (("Abigail", "Abbie"), ("Elizabeth", "Betsy"), ("Katherine", "Kitty"), ("Margaret", "Peggy")),
}
"""What a clerk is told, and what friends say. No search of logs looks for them (G8): too many things are called so."""
_ACCENTS = str.maketrans({"a": "á", "e": "é", "o": "ö"})
_DISGUISE_SHARE = 0.15


class Claim(StrEnum):
    """What somebody says of themselves at booking."""

    TRUTH = "truth"
    FALSE_SURNAME = "false_surname"
    SOMEBODY_ELSE = "somebody_else"


class Link(StrEnum):
    """What a detainer knows of its person, and so how sure the system may be (DESIGN.md, "Identity")."""

    SID = "sid"
    UCN = "ucn"
    A_NUMBER = "a_number"
    AGENCY_LOCAL = "agency_local"
    NAME = "name"
    NAMESAKE = "namesake"
    A_NUMBER_OTHER_SEX = "a_number_other_sex"
    A_NUMBER_OF_ANOTHER = "a_number_of_another"
    SSN4_MISSPELT = "ssn4_misspelt"
    MISSPELT = "misspelt"
    NICKNAME = "nickname"
    DAY_AND_MONTH = "day_and_month"


@dataclass(slots=True)
class Human:
    """One person: what is true of them, whoever has recorded how much of it. sids: state -> number.

    called: what friends call them, where that is not the name that a clerk is told.
    """

    surname: str
    given: str
    born: date
    sex: Sex
    ucn: str
    a_number: str
    ssn4: str
    called: str = ""
    sids: dict[str, str] = field(default_factory=dict)
    locals: dict[str, str] = field(default_factory=dict)

    def names(self) -> list[PersonName]:
        return [PersonName(surname=self.surname, given=self.given)]

    def secrets(self) -> set[str]:
        """Strings that must never be in a log, key or header (G8), and that would not be there by chance.

        Four digits would, and so would a given name that has a nickname.
        """
        numbers = {self.ucn, self.a_number, *self.sids.values(), *self.locals.values()}
        given = set() if self.called else {self.given}
        return {self.surname, *given, self.born.isoformat(), *numbers}


class Population:
    """Draws people by a generator of random numbers, who are distinct to anybody who looks: no two share a surname, nor
    a given name and a year of birth, nor any number but the last four digits of a social security number.

    run: makes the numbers of this run differ from those of another, on a cluster that both use.
    """

    def __init__(self, rng: random.Random, run: int = 0) -> None:
        self._rng = rng
        self._surnames: set[str] = set()
        self._called: set[tuple[str, int]] = set()
        self._count = run * 10_000_000
        self.everyone: list[Human] = []

    def draw(self, *, sex: Sex | None = None, nicknamed: bool = False, swappable: bool = False) -> Human:
        """Somebody new. nicknamed: with a nickname that people know. swappable: day and month of birth could each be
        the other."""
        rng = self._rng
        sex = sex or rng.choice((Sex.MALE, Sex.MALE, Sex.MALE, Sex.FEMALE))
        while True:
            given, called = rng.choice(_GIVEN_HEADS[sex]) + rng.choice(_GIVEN_TAILS[sex]), ""
            if nicknamed:
                given, called = rng.choice(_NICKNAMES[sex])
            middles = rng.choices(_SURNAME_MIDDLES, k=rng.choice((0, 1, 1, 2)))
            surname = rng.choice(_SURNAME_HEADS) + "".join(middles) + rng.choice(_SURNAME_TAILS)
            born = date(1955, 1, 1) + timedelta(days=rng.randrange(50 * 365))
            if swappable and (born.day > 12 or born.day == born.month):
                continue
            if surname not in self._surnames and (given, born.year) not in self._called:
                break
        self._surnames.add(surname)
        self._called.add((given, born.year))
        human = Human(surname, given, born, sex, f"{self._number()}XQ{rng.randrange(10)}", "", "", called)
        human.a_number = f"A{self._number():09d}"
        human.ssn4 = f"{rng.randrange(1, 9999):04d}"
        self.everyone.append(human)
        return human

    def booked_at(self, human: Human, place: Place, *, claim: Claim = Claim.TRUTH, numbers: bool = True) -> Person:
        """The person as this jail records them; it takes fingerprints, so it knows SID and UCN, unless not `numbers`.

        claim: whether the name and birth date are theirs; the fingerprints are.
        """
        human.sids.setdefault(place.state, f"{self._number():09d}")
        human.locals.setdefault(place.operator, f"L{self._number():09d}")
        identifiers = [
            *(Identifier(kind=IdentifierKind.SID, value=v, issuer=state) for state, v in sorted(human.sids.items())),
            Identifier(kind=IdentifierKind.UCN, value=human.ucn),
            Identifier(kind=IdentifierKind.A_NUMBER, value=human.a_number),
            Identifier(kind=IdentifierKind.AGENCY_LOCAL, value=human.locals[place.operator], issuer=place.operator),
            Identifier(kind=IdentifierKind.SSN4, value=human.ssn4),
        ]
        names, born = human.names(), human.born.isoformat()
        if claim is Claim.FALSE_SURNAME:
            names = [PersonName(surname="Unnamedson", given=human.given)]
        elif claim is Claim.SOMEBODY_ELSE:
            names, born = [PersonName(surname="Unnamedson", given="Nobodius")], "1950-06-15"
        return Person(
            names=names,
            birth_dates=[born],
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
            case Link.A_NUMBER | Link.A_NUMBER_OTHER_SEX | Link.A_NUMBER_OF_ANOTHER:
                bare = human.a_number.removeprefix("A")
                value = self._rng.choice((human.a_number, bare, f"A{bare[:3]}-{bare[3:6]}-{bare[6:]}"))
                identifiers = [Identifier(kind=IdentifierKind.A_NUMBER, value=value)]
                if link is Link.A_NUMBER_OTHER_SEX:
                    sex = Sex.FEMALE if human.sex is Sex.MALE else Sex.MALE
                elif link is Link.A_NUMBER_OF_ANOTHER:  # a number copied from the wrong line
                    human = self.draw(sex=sex)
            case Link.AGENCY_LOCAL:
                identifiers = [
                    Identifier(
                        kind=IdentifierKind.AGENCY_LOCAL, value=human.locals[place.operator], issuer=place.operator
                    )
                ]
            case Link.NAMESAKE:  # same name and birth date, other fingerprints (rule 1)
                other = f"{self._number():09d}"
                identifiers = [Identifier(kind=IdentifierKind.SID, value=other, issuer=place.state)]
            case Link.SSN4_MISSPELT:
                identifiers = [Identifier(kind=IdentifierKind.SSN4, value=human.ssn4)]
            case Link.NAME | Link.MISSPELT | Link.NICKNAME | Link.DAY_AND_MONTH:
                pass
        born = human.born
        if link is Link.DAY_AND_MONTH:
            born = date(born.year, born.day, born.month)
        return Person(
            names=self._spelling(human, link), birth_dates=[born.isoformat()], sex=sex, identifiers=identifiers
        )

    def _spelling(self, human: Human, link: Link) -> list[PersonName]:
        match link:
            case Link.MISSPELT | Link.SSN4_MISSPELT:
                return [PersonName(surname=self._mistyped(human.surname), given=human.given)]
            case Link.NICKNAME:
                return [PersonName(surname=human.surname, given=human.called)]
        if self._rng.random() >= _DISGUISE_SHARE:
            return human.names()
        alias = self._alias_of(human)
        return [
            PersonName(surname=alias.surname, given=alias.given),
            PersonName(
                surname=human.surname.translate(_ACCENTS).upper(), given=human.given.upper(), kind=NameKind.ALIAS
            ),
        ]

    def _mistyped(self, name: str) -> str:
        """Two neighbouring letters the wrong way round, or one letter missing; never the first."""
        at = self._rng.choice([i for i in range(1, len(name) - 1) if name[i] != name[i + 1]])
        if self._rng.random() < 0.5:
            return name[:at] + name[at + 1] + name[at] + name[at + 2 :]
        return name[:at] + name[at + 1 :]

    def _alias_of(self, human: Human) -> Human:
        """Somebody with another name. Nobody else has that given name and was born in the year of `human`."""
        while True:
            alias = self.draw()
            key = (alias.given, human.born.year)
            if key not in self._called or alias.born.year == human.born.year:
                self._called.add(key)
                return alias

    def _sid(self, state: str, number: str) -> Identifier:
        value = self._rng.choice((number, number.lstrip("0"), f"{state}{number}"))
        return Identifier(kind=IdentifierKind.SID, value=value, issuer=state)

    def _number(self) -> int:
        """Eight digits, never the same twice; spread out, so that a search for one in a log (G8) finds no other."""
        self._count += 1
        return 10_000_000 + self._count * 48_271 % 89_999_999
