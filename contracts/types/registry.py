"""Registry records: the agencies, facilities and sources that Sallyport knows. Key: `kind:id`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from contracts.types.common import Code, Contract, ShortText, SourceId
from contracts.types.custody import ReleaseReason

__all__ = [
    "Agency",
    "AgencyCategory",
    "Facility",
    "RegistryRecord",
    "RosterMapping",
    "Source",
    "TimeZoneName",
    "registry_key",
]

TimeZoneName = Annotated[
    str, Meta(pattern=r"^[A-Za-z_]+(/[A-Za-z0-9_+-]+)*\Z", description="IANA name, such as America/New_York.")
]
Column = Annotated[str, Meta(min_length=1, max_length=100)]


class AgencyCategory(StrEnum):
    SHERIFF = "sheriff"
    POLICE = "police"
    STATE_WARRANTS = "state_warrants"
    US_MARSHALS = "us_marshals"
    PAROLE_PROBATION = "parole_probation"
    CORRECTIONS = "corrections"
    ICE_ERO = "ice_ero"
    MILITARY = "military"
    COURT = "court"
    OTHER = "other"


class RosterMapping(Contract, kw_only=True, frozen=True):
    """How the columns of a facility's roster file become custody events.

    `booking_number` names one or more columns; several are joined by "/" where one alone is not unique
    (New York City: the inmate id and the admission time). Times without an offset are the facility's local time.
    """

    booking_number: Annotated[list[Column], Meta(min_length=1, max_length=4)]
    booked_at: Column | None = None
    datetime_format: Annotated[str, Meta(description="strptime format of times; absent: ISO 8601.")] | None = None
    delimiter: Annotated[str, Meta(min_length=1, max_length=1)] = ","
    surname: Column | None = None
    given: Column | None = None
    middle: Column | None = None
    birth_date: Column | None = None
    birth_date_format: str | None = None
    sex: Column | None = None
    sex_codes: Annotated[dict[str, Literal["M", "F", "X", "U"]], Meta(description="The facility's own codes.")] = {}
    sid: Column | None = None
    sid_state: Annotated[str, Meta(pattern=r"^[A-Z]{2}\Z")] | None = None
    ucn: Column | None = None
    a_number: Column | None = None
    agency_local: Annotated[Column, Meta(description="The facility's permanent id of the person.")] | None = None
    charge_code: Column | None = None
    charge_description: Column | None = None
    min_rows_ratio: Annotated[
        float,
        Meta(
            ge=0.0,
            le=1.0,
            description="A snapshot with fewer rows than this share of the last one is stopped as half-sent (rule 10).",
        ),
    ] = 0.7


class Agency(Contract, tag_field="kind", tag="agency", kw_only=True, frozen=True):
    id: Code
    name: ShortText
    category: AgencyCategory
    active: bool = True


class Facility(Contract, tag_field="kind", tag="facility", kw_only=True, frozen=True):
    """A jail or prison. NIEM j:BookingDetentionFacility."""

    id: Code
    name: ShortText
    state: Annotated[str, Meta(pattern=r"^[A-Z]{2}\Z")]
    time_zone: TimeZoneName
    operated_by: (
        Annotated[
            Code,
            Meta(description="ORI of the agency whose local ids its records carry; absent: the facility itself."),
        ]
        | None
    ) = None
    roster: RosterMapping | None = None
    release_reason_codes: Annotated[dict[str, ReleaseReason], Meta(description="The facility's own codes.")] = {}
    active: bool = True


class Source(Contract, tag_field="kind", tag="source", kw_only=True, frozen=True):
    """Who may speak to Sallyport, and for whom. Only the SHA-256 of an API key is kept, in hexadecimal.

    Two hashes at once allow a key to be rotated without a gap. `facilities`: may publish their custody events
    and rosters. `agency`: may lodge its detainers, and reads its notices and subscriptions. `reviewer`: reads every
    review and decides.
    """

    id: SourceId
    key_sha256: Annotated[list[Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]], Meta(max_length=4)]
    facilities: Annotated[list[Code], Meta(max_length=2000)] = []
    agency: Code | None = None
    reviewer: bool = False
    active: bool = True


RegistryRecord: TypeAlias = Agency | Facility | Source


def registry_key(record: RegistryRecord) -> str:
    """The key of a record on registry.v1."""
    return f"{type(record).__struct_config__.tag}:{record.id}"
