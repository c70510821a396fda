"""What a life consists of: what is sent, and what must come of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from contracts.ids import conflict_id, detainer_id, episode_id, review_id
from contracts.types.common import Tier
from contracts.types.conflict import CustodyStatus, RetractionReason, Stage
from contracts.types.custody import CustodyEvent
from contracts.types.detainer import DetainerCommand
from deploy.demo.world.people import Link
from deploy.demo.world.places import Office, Place

__all__ = ["Booking", "Expected", "Lodged", "Post"]


@dataclass(frozen=True, slots=True)
class Post:
    """Something that is sent to ingest. at: when, in the story. life: whose; a life is sent in order.

    event_id: of a custody event, its CloudEvents id; a detainer command has none.
    """

    at: datetime
    life: int
    source: str
    body: CustodyEvent | DetainerCommand
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class Expected:
    """Where a (detainer, booking) pair must end.

    stage None or RETRACTED: nothing stands in the end. Which of the two depends on whether anything was told before
    the ground fell away, so on the order of arrival; that a told one is retracted is checked against what was told.
    status: of the custody, where the stage alone does not say it; a trip to court, which makes no version, is none.
    """

    plot: str
    agency: str
    detainer_id: str
    episode_id: str
    tier: Tier
    stage: Stage | None
    closed_because: str | None = None
    retraction: RetractionReason | None = None
    status: CustodyStatus | None = None
    time_to_custody_s: float | None = None

    @property
    def conflict_id(self) -> str:
        return conflict_id(self.detainer_id, self.episode_id)

    @property
    def review_id(self) -> str:
        return review_id(self.detainer_id, self.episode_id)

    @property
    def stands(self) -> bool:
        return self.stage not in (None, Stage.RETRACTED)

    @property
    def is_told(self) -> bool:
        """A conflict stands in the end, and notices have told of it."""
        return self.stands and self.tier in (Tier.CONFIRMED, Tier.PROBABLE)

    @property
    def is_asked(self) -> bool:
        """A review is open in the end."""
        return self.stands and self.stage is not Stage.CLOSED and self.tier is Tier.POSSIBLE


@dataclass(frozen=True, slots=True)
class Booking:
    place: Place
    number: str

    @property
    def episode_id(self) -> str:
        return episode_id(self.place.code, self.number)


@dataclass(frozen=True, slots=True)
class Lodged:
    """A detainer. local: operator whose local id it knows the person by, where that is all it knows."""

    office: Office
    reference: str
    link: Link
    local: str

    @property
    def detainer_id(self) -> str:
        return detainer_id(self.office.code, self.reference)

    def tier(self, booking: Booking) -> Tier:
        """How sure the system may be that this booking is of the detainer's person.

        A local id says something at the jails of its own operator; anywhere else the name is all there is.
        """
        match self.link:
            case Link.SID | Link.UCN:
                return Tier.CONFIRMED
            case Link.A_NUMBER | Link.A_NUMBER_OTHER_SEX | Link.SSN4_MISSPELT:
                return Tier.PROBABLE
            case Link.AGENCY_LOCAL:
                return Tier.PROBABLE if booking.place.operator == self.local else Tier.POSSIBLE
            case _:
                return Tier.POSSIBLE
