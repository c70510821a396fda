"""A person as a source describes them. Every name and birth date is kept, all are searched (rule 2)."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from contracts.types.common import Contract

__all__ = ["Identifier", "IdentifierKind", "NameKind", "Person", "PersonName", "Sex"]


class NameKind(StrEnum):
    PRIMARY = "primary"
    ALIAS = "alias"
    MAIDEN = "maiden"


class Sex(StrEnum):
    MALE = "M"
    FEMALE = "F"
    OTHER = "X"
    UNKNOWN = "U"


class IdentifierKind(StrEnum):
    """SID and UCN rest on fingerprints; the others do not, and never confirm an identity by themselves."""

    SID = "sid"
    UCN = "ucn"
    A_NUMBER = "a_number"
    SSN4 = "ssn4"
    AGENCY_LOCAL = "agency_local"


NamePart = Annotated[str, Meta(min_length=1, max_length=100)]


class PersonName(Contract, kw_only=True, frozen=True):
    """NIEM nc:PersonName."""

    surname: NamePart
    given: NamePart | None = None
    middle: NamePart | None = None
    suffix: Annotated[str, Meta(min_length=1, max_length=20)] | None = None
    kind: NameKind = NameKind.PRIMARY


class Identifier(Contract, kw_only=True, frozen=True):
    """An identifier with who issued it.

    `issuer` is the two-letter state for a SID (a SID is unique only within its state) and the ORI of the agency
    for an agency_local id; the others have none.
    """

    kind: IdentifierKind
    value: Annotated[str, Meta(min_length=1, max_length=40)]
    issuer: Annotated[str, Meta(pattern=r"^[A-Z0-9][A-Z0-9-]{1,31}\Z")] | None = None


class Person(Contract, kw_only=True, frozen=True):
    """NIEM nc:Person. The first birth date is the primary one; all are searched.

    us_citizenship_claimed: the person, or somebody for them, says that they are a citizen of the United States. On an
    immigration detainer that sends the hit to a person, whatever else is true (rule 21). Absent: nobody has said.
    """

    names: Annotated[list[PersonName], Meta(max_length=50)] = []
    birth_dates: Annotated[
        list[Annotated[str, Meta(pattern=r"^[0-9]{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12][0-9]|3[01]))?)?\Z")]],
        Meta(max_length=20, description="YYYY-MM-DD, or YYYY-MM or YYYY where that is all that is known."),
    ] = []
    sex: Sex | None = None
    identifiers: Annotated[list[Identifier], Meta(max_length=50)] = []
    us_citizenship_claimed: bool | None = None
