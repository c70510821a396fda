"""Blocking: the keys under which a person is filed, and those under which one is looked for.

A pass is a kind of key. Records are filed plainly; a search adds variants (day and month exchanged, given name and
surname exchanged), so that each is paid for once a search and never in memory.
"""

from __future__ import annotations

from typing import Final

from services.matcher.domain.identity.nicknames import canonical
from services.matcher.domain.identity.normalise import Name, Prepared, phonetic, swapped_day_month

__all__ = ["CAP", "CAPPED", "WIDEST", "filed_under", "looked_under"]

CAP: Final = 200
"""Records looked at from one block of the name-only pass."""
WIDEST: Final = 20 * CAP
"""A block of that pass with more records than this is not looked at: a share of it would be a lottery."""
CAPPED: Final = "name"
"""The pass whose blocks grow with the index without bound; a search says when it was cut."""


def _name_keys(
    surnames: tuple[str, ...], givens: tuple[str, ...], births: tuple[str, ...], ssn4: list[str]
) -> set[str]:
    keys: set[str] = set()
    sounds = {phonetic(token) for token in surnames}
    if len(surnames) > 1:
        sounds.add(phonetic("".join(surnames)))
    first = givens[:1] if len(givens) < 2 or len(givens[0]) > 1 else givens[:2]
    calls = {canonical(token) for token in first}
    for birth in births:
        year = birth[:4]
        keys.update([f"ssn4:{four}:{year}" for four in ssn4])
        if len(birth) == 8:
            keys.update([f"birth+surname:{birth}:{sound}" for sound in sounds])
            keys.update([f"birth+given:{birth}:{phonetic(call)}" for call in calls])
            keys.update([f"birth+initial:{birth}:s{token[0]}" for token in surnames])
            keys.update([f"birth+initial:{birth}:g{g[0]}" for g in first])
        if len(birth) >= 6:
            keys.update([f"prefix:{birth[:6]}:{token[:4]}:{g[0]}" for token in surnames for g in first])
        for sound in sounds:
            keys.update([f"names+year:{sound}:{call}:{year}" for call in calls])
            if len(birth) == 8:
                keys.update([f"names+day:{sound}:{call}:{birth[4:]}" for call in calls])
    for sound in sounds:
        keys.update([f"name:{sound}:{phonetic(call)}" for call in calls])
    # Spelling that the sounds do not forgive, where the birth date is missing or wrong.
    for token in surnames:
        keys.update([f"name:p{token[:3]}:{g[:3]}" for g in first])
        keys.update([f"name:s{token}:{g[0]}" for g in first])
        keys.update([f"name:g{token[0]}:{g}" for g in first])
    return keys


def filed_under(person: Prepared) -> set[str]:
    """`pass:rest` keys of a record."""
    ssn4 = [i.value for i in person.ids if i.kind == "ssn4"]
    keys = {f"identifier:{i.kind}:{i.issuer}:{i.value}" for i in person.ids if i.kind != "ssn4"}
    for name in person.names:
        keys |= _name_keys(name.surname, name.given, person.births, ssn4)
    return keys


def looked_under(person: Prepared) -> list[str]:
    """Keys to look under, sorted so that a search is the same every time."""
    exchanged = tuple(other for birth in person.births if (other := swapped_day_month(birth)) is not None)
    births = person.births + exchanged
    keys = filed_under(Prepared(names=person.names, births=births, ids=person.ids))
    turned = tuple(Name(name.given, name.surname) for name in person.names if name.given and name.surname)
    keys |= filed_under(Prepared(names=turned, births=person.births))
    return sorted(keys)
