"""What several facts of one booking say of who it is, put together (rules 2, 3, 21)."""

from __future__ import annotations

import msgspec

from contracts.types.person import Identifier, Person
from services.matcher.domain.identity.normalise import bare

__all__ = ["Merges", "merged"]


class Merges:
    """Which identifiers are one, as the facts of a booking say, the newest last. However they are spelled."""

    def __init__(self) -> None:
        self._links: dict[frozenset[object], tuple[bool, Identifier, Identifier]] = {}

    def say(self, one: Identifier, other: Identifier, stands: bool) -> None:
        """That the two are one, or that this was wrong. Which of them was absorbed does not matter."""
        self._links[frozenset((_bare(one), _bare(other)))] = (stands, one, other)

    def linked(self, person: Person | None) -> Person | None:
        """The person with every identifier that merges join to one of theirs (rule 3)."""
        links = [(one, other) for stands, one, other in self._links.values() if stands]
        if person is None or not links:
            return person
        known = {_bare(identifier) for identifier in person.identifiers}
        added: list[Identifier] = []
        grown = True
        while grown:
            grown = False
            for one, other in (*links, *((b, a) for a, b in links)):
                if _bare(one) in known and _bare(other) not in known:
                    known.add(_bare(other))
                    added.append(other)
                    grown = True
        return msgspec.structs.replace(person, identifiers=[*person.identifiers, *added]) if added else person


def _bare(identifier: Identifier) -> object:
    """The identifier without its decoration; as it is where it is no good one."""
    return bare(identifier) or (identifier.kind, identifier.issuer, identifier.value)


def merged(old: Person | None, new: Person) -> Person:
    """Newest first, and nothing forgotten (rule 2), but for identifiers: a corrected one replaces its kind.

    A claim of US citizenship stays once it is made, until the fact that made it is voided: what says nothing of it, or
    was written by somebody who did not ask, must not let an immigration detainer past the reviewer (rule 21).
    """
    if old is None:
        return new
    replaced = {(i.kind, i.issuer) for i in new.identifiers}
    kept: list[Identifier] = [i for i in old.identifiers if (i.kind, i.issuer) not in replaced]
    return Person(
        names=[*new.names, *(n for n in old.names if n not in new.names)],
        birth_dates=[*new.birth_dates, *(d for d in old.birth_dates if d not in new.birth_dates)],
        sex=new.sex or old.sex,
        identifiers=[*new.identifiers, *kept],
        us_citizenship_claimed=_claimed(old.us_citizenship_claimed, new.us_citizenship_claimed),
    )


def _claimed(old: bool | None, new: bool | None) -> bool | None:
    if old is None or new is None:
        return new if old is None else old
    return old or new
