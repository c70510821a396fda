"""What holds an identity down, whatever the two records say of each other: rules of DOMAIN.md."""

from __future__ import annotations

from typing import Final

import msgspec

from contracts.types.common import Tier
from contracts.types.conflict import Identity
from contracts.types.detainer import Detainer, DetainerType
from contracts.types.person import Person

__all__ = ["CITIZENSHIP", "capped"]

CITIZENSHIP: Final = "US citizenship claimed, immigration detainer (rule 21)"


def capped(identity: Identity, detainer: Detainer, in_custody: Person | None) -> Identity:
    """The identity of a pair, with its tier held down where a rule says so and a veto that names the rule.

    Rule 21: on an immigration detainer, a claim of US citizenship on either side sends the hit to a person, whatever
    the evidence. The evidence and the probability stay as they are, for that person to see.
    """
    if detainer.type is not DetainerType.IMMIGRATION or identity.tier is Tier.NONE:
        return identity
    sides = (detainer.person, in_custody)
    if not any(person is not None and person.us_citizenship_claimed for person in sides):
        return identity
    return msgspec.structs.replace(identity, tier=Tier.POSSIBLE, vetoes=[*identity.vetoes, CITIZENSHIP])
