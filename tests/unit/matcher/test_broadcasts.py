"""What a record of registry.v1 is to the partitions: that a facility is in another time zone, or nothing."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import msgspec
import pytest
from aiokafka import ConsumerRecord

from contracts.types.registry import Agency, AgencyCategory, Facility, RegistryRecord, registry_key
from services.matcher.adapters.broadcasts import Broadcast, broadcasts
from services.matcher.domain.ground import Ground
from services.matcher.domain.inputs import PlaceInput
from services.platform.errors import ContractViolation
from tests.unit.matcher.people import AGENCY, FACILITY
from tests.unit.matcher.world import ENGINE


@pytest.fixture
def ground() -> Ground:
    return Ground(ENGINE)


@pytest.fixture
def registry(ground: Ground) -> Broadcast:
    return next(whole for whole in broadcasts(ground) if whole.name == "registry")


def written(offset: int, key: str, value: bytes | None) -> ConsumerRecord[bytes, bytes]:
    return ConsumerRecord("registry.v1", 0, offset, 0, 0, key.encode(), value, None, 0, 0, ())


def said(offset: int, record: RegistryRecord) -> ConsumerRecord[bytes, bytes]:
    return written(offset, registry_key(record), msgspec.json.encode(record))


def jail(zone: str) -> Facility:
    return Facility(id=FACILITY, name="Hartford", state="CT", time_zone=zone)


def test_a_partition_hears_of_a_zone_that_is_another(ground: Ground, registry: Broadcast) -> None:
    assert registry.taken(said(0, jail("America/New_York"))) == FACILITY
    assert registry.taken(said(1, jail("America/New_York"))) is None
    assert registry.taken(said(2, Agency(id=AGENCY, name="ERO", category=AgencyCategory.ICE_ERO))) is None
    assert registry.taken(said(3, jail("Pacific/Guam"))) == FACILITY
    assert ground.places.zone(FACILITY) == ZoneInfo("Pacific/Guam")
    assert registry.as_input(FACILITY) == PlaceInput(FACILITY)
    assert registry.since({0: 3}) == [FACILITY], "one that was away since is told at its restore"
    assert registry.since({0: 4}) == []


def test_a_facility_that_is_gone_is_in_the_default_zone(ground: Ground, registry: Broadcast) -> None:
    registry.taken(said(0, jail("America/New_York")))
    assert registry.taken(written(1, f"agency:{FACILITY}", None)) is None
    assert registry.taken(written(2, f"facility:{FACILITY}", None)) == FACILITY
    assert ground.places.zone(FACILITY) == ZoneInfo("UTC")


def test_a_record_that_cannot_be_read_is_refused(registry: Broadcast) -> None:
    with pytest.raises(ContractViolation) as refused:
        registry.taken(written(0, f"facility:{FACILITY}", b'{"kind":"facility"}'))
    assert refused.value.reason == "registry_record_unreadable"


def test_a_registry_that_was_made_anew_is_not_waited_for(registry: Broadcast) -> None:
    """Its files are put on a new topic, whose offsets begin at 0 (docs/operate/backup.md)."""
    assert not registry.awaited
