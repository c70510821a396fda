"""Field types shared by the contracts. Limits are the contract's: a value outside them is refused at the edge."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta, Struct

Code = Annotated[
    str,
    Meta(
        pattern=r"^[A-Z0-9][A-Z0-9-]{1,31}$",
        description="ORI (nine characters) or code of a facility or agency; never a name (rule 4).",
    ),
]
Instant = Annotated[
    datetime,
    Meta(tz=True, description="RFC 3339 with an offset (rule 14)."),
]
BookingNumber = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        description="Unique only with its facility. NIEM j:BookingAgencyRecordIdentification.",
    ),
]
AgencyReference = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        description="The agency's own number of the detainer; unique within the agency.",
    ),
]
Sequence = Annotated[
    int,
    Meta(ge=0, le=2**53 - 1, description="Orders facts of one source that carry the same occurred_at (rule 8)."),
]
Text = Annotated[str, Meta(max_length=500)]
ShortText = Annotated[str, Meta(max_length=200)]
EventId = Annotated[str, Meta(min_length=1, max_length=128, description="CloudEvents id; unique within its source.")]
SourceId = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9][a-z0-9._-]{1,63}$",
        description="Id of a registered source, as in its registry record.",
    ),
]
Version = Annotated[int, Meta(ge=1)]


class Contract(Struct, frozen=True, omit_defaults=True):
    """Base of every record on a topic: immutable, and an absent field stays absent when written again."""


class Tier(StrEnum):
    """How sure it is that two records are one person (DESIGN.md, "Identity")."""

    CONFIRMED = "CONFIRMED"
    PROBABLE = "PROBABLE"
    POSSIBLE = "POSSIBLE"
    NONE = "NONE"


DEFAULT_SEQUENCE: Final = 0
