"""Whom the tests speak for, what they send, and Kafka as kafka-python sees it. Every person is made up."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from contracts.types.registry import Agency, AgencyCategory, Facility, RegistryRecord, RosterMapping, Source
from deploy.demo.observe import read_whole
from services.platform.registry import hash_key

JAIL = "CTTEST099"
OTHER_JAIL = "MATEST099"
NYC = "NYTEST099"
AGENCY = "ICETEST99"
JAIL_KEY = "sallyport_test_jail_key_0000000000000000000"
NYC_KEY = "sallyport_test_nyc_key_00000000000000000000"
AGENCY_KEY = "sallyport_test_agency_key_00000000000000000"

NYC_MAPPING = RosterMapping(
    booking_number=["inmateid", "admitted_dt"],
    booked_at="admitted_dt",
    agency_local="inmateid",
    sex="gender",
    charge_code="top_charge",
)
JAIL_MAPPING = RosterMapping(
    booking_number=["booking"],
    booked_at="booked",
    surname="last",
    given="first",
    birth_date="dob",
    sex="sex",
    charge_description="charge",
)
RECORDS: list[RegistryRecord] = [
    Agency(id=AGENCY, name="Test Agency", category=AgencyCategory.ICE_ERO),
    Facility(id=JAIL, name="Test Jail", state="CT", time_zone="America/New_York", roster=JAIL_MAPPING),
    Facility(id=OTHER_JAIL, name="Other Jail", state="MA", time_zone="America/New_York"),
    Facility(id=NYC, name="Test City Jail", state="NY", time_zone="America/New_York", roster=NYC_MAPPING),
    Source(id="test-jail", key_sha256=[hash_key(JAIL_KEY)], facilities=[JAIL]),
    Source(id="test-nyc", key_sha256=[hash_key(NYC_KEY)], facilities=[NYC]),
    Source(id="test-agency", key_sha256=[hash_key(AGENCY_KEY)], agency=AGENCY),
]


def bearer(key: str, content_type: str = "application/cloudevents+json") -> dict[str, str]:
    return {"Authorization": f"Bearer {key}", "Content-Type": content_type}


def booked(booking: str, event_id: str | None = None, **data: Any) -> dict[str, Any]:
    """A structured CloudEvent: somebody is booked."""
    return {
        "specversion": "1.0",
        "id": event_id or f"evt-{booking}",
        "source": "test-jail",
        "type": "sallyport.custody.booked.v1",
        "data": {
            "facility": JAIL,
            "booking_number": booking,
            "occurred_at": "2023-02-01T08:00:00-05:00",
            "person": {"names": [{"surname": "Sample", "given": "Ann"}], "birth_dates": ["1990-01-01"]},
            **data,
        },
    }


def lodge(reference: str, **fields: Any) -> dict[str, Any]:
    return {
        "action": "lodge",
        "agency": AGENCY,
        "agency_reference": reference,
        "occurred_at": "2023-01-01T09:00:00-05:00",
        "type": "immigration",
        "intent": "HOLD",
        "person": {"names": [{"surname": "Sample", "given": "Ann"}]},
        **fields,
    }


class Topic:
    """A topic read by kafka-python, committed records only."""

    def __init__(self, bootstrap: str, name: str) -> None:
        self.name = name
        self._bootstrap = bootstrap

    def records(self) -> list[Any]:
        """All that is in the topic now, from its beginning."""
        return read_whole(self._bootstrap, [self.name])

    def grows(self) -> Callable[[], None]:
        """Look at the end of the log now; what is returned waits until there is more, committed or not."""
        consumer = KafkaConsumer(bootstrap_servers=self._bootstrap, isolation_level="read_uncommitted")
        partitions = [TopicPartition(self.name, p) for p in consumer.partitions_for_topic(self.name) or ()]
        before = consumer.end_offsets(partitions)

        def wait() -> None:
            deadline = time.monotonic() + 60
            try:
                while consumer.end_offsets(partitions) == before:
                    if time.monotonic() > deadline:
                        raise TimeoutError(f"nothing is written to {self.name}")
            finally:
                consumer.close()

        return wait

    def values(self) -> list[dict[str, Any]]:
        return [json.loads(r.value) for r in self.records() if r.value is not None]


def header(record: Any, name: str) -> str:
    return str(dict(record.headers)[name].decode())
