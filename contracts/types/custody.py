"""Custody events: what a jail says happened to one booking. One type for each kind, told apart by `kind`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, TypeAlias

from msgspec import Meta

from contracts.types.common import (
    BookingNumber,
    Code,
    Contract,
    EventId,
    Instant,
    Sequence,
    ShortText,
    SourceId,
    within_years,
)
from contracts.types.person import Identifier, Person

__all__ = [
    "Booked",
    "Charge",
    "CustodyEvent",
    "Died",
    "ElsewherePlace",
    "Escaped",
    "HeldElsewhere",
    "Merged",
    "ReleaseCancelled",
    "ReleaseReason",
    "ReleaseScheduled",
    "Released",
    "Returned",
    "Transferred",
    "Unmerged",
    "Updated",
    "Voided",
]


class ReleaseReason(StrEnum):
    """Why custody ends. A facility maps its own codes to these in its registry record."""

    BOND = "bond"
    OWN_RECOGNIZANCE = "own_recognizance"
    CASE_DISMISSED = "case_dismissed"
    ACQUITTAL = "acquittal"
    EXPIRATION_OF_SENTENCE = "expiration_of_sentence"
    PROBATION = "probation"
    PAROLE = "parole"
    TO_AGENCY = "to_agency"
    TRANSFER = "transfer"
    COURT = "court"
    HOSPITAL = "hospital"
    TEMPORARY_ABSENCE = "temporary_absence"
    ESCAPE = "escape"
    DEATH = "death"
    ERROR = "error"
    UNKNOWN = "unknown"


class ElsewherePlace(StrEnum):
    COURT = "court"
    HOSPITAL = "hospital"
    TEMPORARY_ABSENCE = "temporary_absence"
    OTHER = "other"


class Charge(Contract, kw_only=True, frozen=True):
    """NIEM j:Charge. Jails bury holds in the description (rule 13), so it is kept as it came."""

    code: ShortText | None = None
    description: ShortText | None = None


Charges = Annotated[list[Charge], Meta(max_length=100)]


class _CustodyEvent(Contract, tag_field="kind", kw_only=True, frozen=True):
    facility: Code
    booking_number: BookingNumber
    occurred_at: Instant
    sequence: Sequence = 0

    def __post_init__(self) -> None:
        within_years(occurred_at=self.occurred_at)


class Booked(_CustodyEvent, tag="booked", kw_only=True, frozen=True):
    """Admission to custody."""

    person: Person
    charges: Charges = []


class Updated(_CustodyEvent, tag="updated", kw_only=True, frozen=True):
    """What is known of the person or the charges has changed; a field that is absent has not."""

    person: Person | None = None
    charges: Charges | None = None


class ReleaseScheduled(_CustodyEvent, tag="release_scheduled", kw_only=True, frozen=True):
    """Custody will end at `scheduled_for`. A later one replaces an earlier one."""

    scheduled_for: Instant
    reason: ReleaseReason = ReleaseReason.UNKNOWN
    released_to: (
        Annotated[Code, Meta(description="Agency that will take custody. NIEM nc:ReleaseRecipient.")] | None
    ) = None

    def __post_init__(self) -> None:
        within_years(occurred_at=self.occurred_at, scheduled_for=self.scheduled_for)


class ReleaseCancelled(_CustodyEvent, tag="release_cancelled", kw_only=True, frozen=True):
    """The scheduled release will not take place (rule 9)."""


class Released(_CustodyEvent, tag="released", kw_only=True, frozen=True):
    """Custody has ended.

    `inferred` says that nobody reported it: the person was absent from a roster, which is of lower confidence
    and may be taken back by a later snapshot (rule 10).
    """

    reason: ReleaseReason = ReleaseReason.UNKNOWN
    released_to: Annotated[Code, Meta(description="Agency that took custody. NIEM nc:ReleaseRecipient.")] | None = None
    inferred: bool = False


class Transferred(_CustodyEvent, tag="transferred", kw_only=True, frozen=True):
    """Moved to another facility, which books the person anew; the detainers follow (rule 5)."""

    to_facility: Code


class HeldElsewhere(_CustodyEvent, tag="held_elsewhere", kw_only=True, frozen=True):
    """At court, in hospital or on a temporary absence: still in custody (rule 6)."""

    place: ElsewherePlace = ElsewherePlace.OTHER


class Returned(_CustodyEvent, tag="returned", kw_only=True, frozen=True):
    """Back in the facility, after an absence, an escape, or a release that was inferred wrongly."""


class Escaped(_CustodyEvent, tag="escaped", kw_only=True, frozen=True):
    """Left custody without leave; not a release to the community (rule 6)."""


class Died(_CustodyEvent, tag="died", kw_only=True, frozen=True):
    """Death in custody; it ends everything (rule 6)."""


class Merged(_CustodyEvent, tag="merged", kw_only=True, frozen=True):
    """Two records of one person were found to be one: identifier `absorbed` lives on as `surviving` (rule 3).

    Both are of one kind and issuer. From then on the person of this booking has both, whichever was reported.
    """

    absorbed: Identifier
    surviving: Identifier


class Unmerged(_CustodyEvent, tag="unmerged", kw_only=True, frozen=True):
    """The merge of these two identifiers was wrong and is taken back (rule 3)."""

    absorbed: Identifier
    surviving: Identifier


class Voided(_CustodyEvent, tag="voided", kw_only=True, frozen=True):
    """Takes back one named event of the same booking (rule 8)."""

    voids_event: EventId
    voids_source: (
        Annotated[SourceId, Meta(description="Source of the event; absent: the source of this one.")] | None
    ) = None
    note: ShortText | None = None


CustodyEvent: TypeAlias = (
    Booked
    | Updated
    | ReleaseScheduled
    | ReleaseCancelled
    | Released
    | Transferred
    | HeldElsewhere
    | Returned
    | Escaped
    | Died
    | Merged
    | Unmerged
    | Voided
)
