"""Field types shared by the contracts. Limits are the contract's: a value outside them is refused at the edge."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta, Struct

Code = Annotated[
    str,
    Meta(
        pattern=r"^[A-Z0-9][A-Z0-9-]{1,31}\Z",
        description="ORI (nine characters) or code of a facility or agency; never a name (rule 4).",
    ),
]
# Patterns end in \Z and not in $: Python's $ also stands before a last newline, the $ of JSON Schema does not.
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
        pattern=r"^[a-z0-9][a-z0-9._-]{1,63}\Z",
        description="Id of a registered source, as in its registry record.",
    ),
]
Version = Annotated[int, Meta(ge=1)]


class Contract(Struct, frozen=True, omit_defaults=True, gc=False):
    """Base of every record on a topic: immutable, and an absent field stays absent when written again."""


FIRST_YEAR: Final = 1900
LAST_YEAR: Final = 2999


def within_years(**instants: datetime | None) -> None:
    """Refuse an instant of an input that lies outside the years 1900 to 2999; None is no instant.

    A sentinel such as 9999-12-31T23:59:59-05:00 has no spelling in UTC, and would fail in every later place that
    writes one: in a header, in the database of the notifier.

    Raises:
        ValueError: names the field and not its value; msgspec makes a ValidationError of it.
    """
    for name, instant in instants.items():
        if instant is not None and not FIRST_YEAR <= instant.year <= LAST_YEAR:
            raise ValueError(f"{name}: the year must lie between {FIRST_YEAR} and {LAST_YEAR}")


class Tier(StrEnum):
    """How sure it is that two records are one person (DESIGN.md, "Identity")."""

    CONFIRMED = "CONFIRMED"
    PROBABLE = "PROBABLE"
    POSSIBLE = "POSSIBLE"
    NONE = "NONE"


DEFAULT_SEQUENCE: Final = 0
