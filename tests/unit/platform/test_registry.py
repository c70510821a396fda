"""Who may speak, and for whom. A key is known by its hash, may be rotated without a gap, and dies at once."""

from __future__ import annotations

import pytest

from contracts.types.registry import Agency, AgencyCategory, Facility, Source, registry_key
from services.platform.errors import Forbidden, Unauthenticated
from services.platform.registry import Registry, hash_key, new_key

OLD, NEW, OTHER = new_key(), new_key(), new_key()
FACILITY = Facility(id="CT0640099", name="Example", state="CT", time_zone="America/New_York")
AGENCY = Agency(id="CTICE0099", name="Example", category=AgencyCategory.ICE_ERO)


def source(*keys: str, name: str = "jms", active: bool = True, agency: str | None = None) -> Source:
    return Source(
        id=name,
        key_sha256=[hash_key(key) for key in keys],
        facilities=["CT0640099", "CT0999999"],
        agency=agency,
        active=active,
    )


@pytest.fixture
def registry() -> Registry:
    found = Registry()
    for record in (FACILITY, AGENCY, source(OLD), source(OTHER, name="ice-boston", agency="CTICE0099")):
        found.put(record)
    return found


def test_a_source_is_known_by_its_key(registry: Registry) -> None:
    assert registry.authenticate(f"Bearer {OLD}").id == "jms"
    assert registry.authenticate(f"bearer  {OTHER} ").id == "ice-boston"


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", f"Basic {OLD}", OLD, f"Bearer {OLD}x", "Bearer é"])
def test_whoever_shows_no_known_key_is_nobody(registry: Registry, header: str | None) -> None:
    with pytest.raises(Unauthenticated) as refused:
        registry.authenticate(header)
    assert OLD not in str(refused.value)


def test_the_hash_of_a_key_is_no_key(registry: Registry) -> None:
    with pytest.raises(Unauthenticated):
        registry.authenticate(f"Bearer {hash_key(OLD)}")


def test_a_key_is_rotated_without_a_gap(registry: Registry) -> None:
    registry.put(source(OLD, NEW))
    assert registry.authenticate(f"Bearer {OLD}").id == registry.authenticate(f"Bearer {NEW}").id == "jms"
    registry.put(source(NEW))
    assert registry.authenticate(f"Bearer {NEW}").id == "jms"
    with pytest.raises(Unauthenticated):
        registry.authenticate(f"Bearer {OLD}")


def test_a_source_that_is_not_active_is_nobody_and_can_come_back(registry: Registry) -> None:
    registry.put(source(OLD, active=False))
    with pytest.raises(Unauthenticated):
        registry.authenticate(f"Bearer {OLD}")
    registry.put(source(OLD))
    assert registry.authenticate(f"Bearer {OLD}").id == "jms"


def test_a_source_that_is_removed_takes_its_keys_along(registry: Registry) -> None:
    registry.remove("source:jms")
    registry.remove("source:never-seen")
    registry.remove("nonsense")
    with pytest.raises(Unauthenticated):
        registry.authenticate(f"Bearer {OLD}")
    assert registry.authenticate(f"Bearer {OTHER}").id == "ice-boston"


def test_a_key_that_two_sources_have_stays_with_the_one_that_keeps_it(registry: Registry) -> None:
    """An operator's slip: the key is moved from one source to the other, and the records come in that order."""
    registry.put(source(OLD, name="jms-2"))
    registry.put(source(NEW))
    assert registry.authenticate(f"Bearer {OLD}").id == "jms-2"


def test_a_source_speaks_for_its_facilities_and_no_other(registry: Registry) -> None:
    jms = registry.authenticate(f"Bearer {OLD}")
    assert registry.facility_for(jms, "CT0640099") == FACILITY
    said = set()
    for facility in ("CT0999999", "CT0000000"):  # its own but not registered; not its own
        with pytest.raises(Forbidden) as refused:
            registry.facility_for(jms, facility)
        said.add(str(refused.value))
    registry.put(Facility(id="CT0640099", name="Example", state="CT", time_zone="America/New_York", active=False))
    with pytest.raises(Forbidden) as refused:
        registry.facility_for(jms, "CT0640099")
    said.add(str(refused.value))
    assert len(said) == 1, "the answer tells which facilities exist"


def test_a_source_speaks_for_its_agency_and_no_other(registry: Registry) -> None:
    agency = registry.authenticate(f"Bearer {OTHER}")
    assert registry.agency_for(agency) == registry.agency_for(agency, "CTICE0099") == AGENCY
    with pytest.raises(Forbidden):
        registry.agency_for(agency, "CT0071099")
    with pytest.raises(Forbidden):
        registry.agency_for(registry.authenticate(f"Bearer {OLD}"))
    registry.remove(registry_key(AGENCY))
    with pytest.raises(Forbidden):
        registry.agency_for(agency)


def test_keys_do_not_repeat_and_are_long() -> None:
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(key.startswith("sallyport_") and len(key) > 50 for key in keys)


def test_only_a_source_that_is_registered_so_speaks_for_reviewers(registry: Registry) -> None:
    console = Source(id="console", key_sha256=[hash_key(NEW)], reviewer=True)
    assert registry.reviewer(console) is console
    with pytest.raises(Forbidden):
        registry.reviewer(source(OLD, agency="CTICE0099"))
