"""Detainers: the record on detainers.v1, and the commands by which an agency changes it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, TypeAlias

from msgspec import Meta

from contracts.types.common import AgencyReference, Code, Contract, Instant, Sequence, ShortText, within_years
from contracts.types.person import Person

__all__ = [
    "Amend",
    "CustodyAssumed",
    "Decline",
    "Detainer",
    "DetainerCommand",
    "DetainerState",
    "DetainerType",
    "Intent",
    "Lift",
    "Lodge",
    "Supersede",
    "Withdraw",
]


class DetainerType(StrEnum):
    OUT_OF_STATE_WARRANT = "out_of_state_warrant"
    IN_STATE_WARRANT = "in_state_warrant"
    FEDERAL_WARRANT = "federal_warrant"
    IAD = "iad"
    IMMIGRATION = "immigration"
    PAROLE_VIOLATION = "parole_violation"
    PROBATION_VIOLATION = "probation_violation"
    FEDERAL_INSTITUTION = "federal_institution"
    OTHER_STATE_CORRECTIONS = "other_state_corrections"
    MILITARY = "military"
    WRIT = "writ"


class Intent(StrEnum):
    """What the agency asks for: to hold the person, or only to be told before release."""

    HOLD = "HOLD"
    NOTIFY_ONLY = "NOTIFY_ONLY"


class DetainerState(StrEnum):
    RECEIVED = "received"
    ACTIVE = "active"
    SUPERSEDED = "superseded"
    LIFTED = "lifted"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    DECLINED = "declined"
    CUSTODY_ASSUMED = "custody_assumed"
    CLOSED = "closed"


class Detainer(Contract, kw_only=True, frozen=True):
    """One version of a detainer, whole. NIEM j:DetainerNotificationRequest.

    The newest by (occurred_at, sequence) is the detainer as it stands. `accepted_at` is when ingest took this
    version, and the start of its end-to-end age. Once `expires_at` has passed it is over, whatever `state` says.
    """

    detainer_id: Annotated[str, Meta(pattern=r"^det_[a-z2-7]{24}\Z")]
    agency: Code
    agency_reference: AgencyReference
    type: DetainerType
    intent: Intent
    state: DetainerState
    person: Person
    lodged_at: Instant
    occurred_at: Instant
    accepted_at: Instant
    sequence: Sequence = 0
    expires_at: Instant | None = None
    ended_at: Instant | None = None
    end_reason: ShortText | None = None
    superseded_by: AgencyReference | None = None


class _Command(Contract, tag_field="action", kw_only=True, frozen=True):
    agency: Code
    agency_reference: AgencyReference
    occurred_at: Instant
    sequence: Sequence = 0

    def __post_init__(self) -> None:
        within_years(occurred_at=self.occurred_at)


class _Full(_Command, kw_only=True, frozen=True):
    type: DetainerType
    intent: Intent
    person: Person
    expires_at: Instant | None = None

    def __post_init__(self) -> None:
        within_years(occurred_at=self.occurred_at, expires_at=self.expires_at)


class Lodge(_Full, tag="lodge", kw_only=True, frozen=True):
    """A new detainer; `occurred_at` is when it was lodged."""


class Amend(_Full, tag="amend", kw_only=True, frozen=True):
    """The detainer as it stands from `occurred_at` on, whole; what the amendment leaves out is gone."""


class Lift(_Command, tag="lift", kw_only=True, frozen=True):
    """The agency no longer wants the person held or told of. NIEM im:DetainerLiftReason."""

    reason: ShortText | None = None


class Withdraw(_Command, tag="withdraw", kw_only=True, frozen=True):
    """The detainer should not have been lodged, or not on this person."""

    reason: ShortText | None = None


class CustodyAssumed(_Command, tag="custody_assumed", kw_only=True, frozen=True):
    """The lodging agency has the person in its custody since `occurred_at`; open conflicts close."""


class Decline(_Command, tag="decline", kw_only=True, frozen=True):
    """The facility has answered that it does not honour the detainer; the agency's record says so."""

    reason: ShortText | None = None


class Supersede(_Command, tag="supersede", kw_only=True, frozen=True):
    """Another detainer of the agency takes this one's place: `by` is its reference (a new form I-247A, say)."""

    by: AgencyReference


DetainerCommand: TypeAlias = Lodge | Amend | Lift | Withdraw | CustodyAssumed | Decline | Supersede
