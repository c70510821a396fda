"""What several facts of one booking say of who it is, put together (rules 2, 3, 21)."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from contracts.types.person import Identifier, Person

__all__ = ["linked", "merged"]


def linked(person: Person | None, merges: Mapping[frozenset[Identifier], bool]) -> Person | None:
    """The person with every identifier that merges join to one of theirs (rule 3)."""
    links = [sorted(pair, key=_key) for pair, stands in merges.items() if stands and len(pair) > 1]
    if person is None or not links:
        return person
    known = {(i.kind, i.issuer, i.value) for i in person.identifiers}
    added: list[Identifier] = []
    grown = True
    while grown:
        grown = False
        for one, other in (*links, *((b, a) for a, b in links)):
            key = (other.kind, other.issuer, other.value)
            if (one.kind, one.issuer, one.value) in known and key not in known:
                known.add(key)
                added.append(other)
                grown = True
    return msgspec.structs.replace(person, identifiers=[*person.identifiers, *added]) if added else person


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


def _key(identifier: Identifier) -> tuple[str, str, str]:
    return (identifier.kind, identifier.issuer or "", identifier.value)
