"""Facilities, agencies and the sources that speak for them. Their codes are made up; none is a real ORI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from contracts.types.detainer import DetainerType
from contracts.types.registry import Agency, AgencyCategory, Facility, RegistryRecord, Source
from services.platform.registry import hash_key, new_key

__all__ = ["AGENCIES", "HARTFORD", "ICE_BOSTON", "PLACES", "Credentials", "Office", "Place", "credentials"]


@dataclass(frozen=True, slots=True)
class Place:
    """A jail. operator: the agency whose local ids its records carry."""

    code: str
    name: str
    state: str
    time_zone: str
    operator: str

    @property
    def source(self) -> str:
        return f"jail-{self.code.lower()}"

    def record(self) -> Facility:
        return Facility(
            id=self.code, name=self.name, state=self.state, time_zone=self.time_zone, operated_by=self.operator
        )


@dataclass(frozen=True, slots=True)
class Office:
    """An agency that lodges detainers. types: of the detainers that it lodges."""

    code: str
    name: str
    category: AgencyCategory
    types: tuple[DetainerType, ...]

    @property
    def source(self) -> str:
        return f"agency-{self.code.lower()}"

    def record(self) -> Agency:
        return Agency(id=self.code, name=self.name, category=self.category)


HARTFORD = Place("CTHRTFD00", "Hartford Correctional Center", "CT", "America/New_York", "CTDOC0000")
PLACES = (
    HARTFORD,
    Place("CTBRDGP00", "Bridgeport Correctional Center", "CT", "America/New_York", "CTDOC0000"),
    Place("MASUFFK00", "Suffolk County Jail", "MA", "America/New_York", "MASUFFK00"),
    Place("OHFRANK00", "Franklin County Jail", "OH", "America/New_York", "OHFRANK00"),
    Place("TNWILLM00", "Williamson County Jail", "TN", "America/Chicago", "TNWILLM00"),
    Place("TXWILLM00", "Williamson County Jail", "TX", "America/Chicago", "TXWILLM00"),
    Place("AZMARIC00", "Maricopa County Jail", "AZ", "America/Phoenix", "AZMARIC00"),
    Place("CAFRSNO00", "Fresno County Jail", "CA", "America/Los_Angeles", "CAFRSNO00"),
)
"""Williamson is a county in two of these states, and each has a jail of that name (rule 4)."""

ICE_BOSTON = Office("ICEBOSTN0", "ICE/ERO Boston", AgencyCategory.ICE_ERO, (DetainerType.IMMIGRATION,))
AGENCIES = (
    ICE_BOSTON,
    Office("ICEDALLS0", "ICE/ERO Dallas", AgencyCategory.ICE_ERO, (DetainerType.IMMIGRATION,)),
    Office(
        "USMSCT000",
        "US Marshals, Connecticut",
        AgencyCategory.US_MARSHALS,
        (DetainerType.FEDERAL_WARRANT, DetainerType.WRIT),
    ),
    Office(
        "MAWARR000",
        "Massachusetts Warrants",
        AgencyCategory.STATE_WARRANTS,
        (DetainerType.OUT_OF_STATE_WARRANT, DetainerType.IAD),
    ),
    Office("TXTRAVS00", "Travis County Sheriff", AgencyCategory.SHERIFF, (DetainerType.IN_STATE_WARRANT,)),
    Office("CTPAROL00", "Connecticut Parole", AgencyCategory.PAROLE_PROBATION, (DetainerType.PAROLE_VIOLATION,)),
    Office("OHPROBN00", "Ohio Probation", AgencyCategory.PAROLE_PROBATION, (DetainerType.PROBATION_VIOLATION,)),
    Office("TNCORRS00", "Tennessee Corrections", AgencyCategory.CORRECTIONS, (DetainerType.OTHER_STATE_CORRECTIONS,)),
    Office("USBOP0000", "Bureau of Prisons", AgencyCategory.CORRECTIONS, (DetainerType.FEDERAL_INSTITUTION,)),
    Office("USARMY000", "Army Provost Marshal", AgencyCategory.MILITARY, (DetainerType.MILITARY,)),
)


@dataclass(frozen=True, slots=True)
class Credentials:
    """Freshly made API keys by source id, and the registry records that know their hashes only."""

    keys: Mapping[str, str]
    records: Sequence[RegistryRecord]


def credentials(places: Sequence[Place] = PLACES, agencies: Sequence[Office] = AGENCIES) -> Credentials:
    """One source with a key of its own for each jail and each agency."""
    keys = {name: new_key() for name in (*(p.source for p in places), *(a.source for a in agencies))}
    sources = [
        *(Source(id=p.source, key_sha256=[hash_key(keys[p.source])], facilities=[p.code]) for p in places),
        *(Source(id=a.source, key_sha256=[hash_key(keys[a.source])], agency=a.code) for a in agencies),
    ]
    return Credentials(keys, [*(p.record() for p in places), *(a.record() for a in agencies), *sources])
