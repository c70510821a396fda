"""Metrics of ingest. No label grows without bound, none names a person (G8)."""

from __future__ import annotations

from functools import cache
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from services.ingest.domain.refusal import CODES
from services.platform.metrics import AGE_BUCKETS_S, REJECTS

__all__ = [
    "ACK",
    "DETAINERS",
    "DETAINER_COMMANDS",
    "EVENTS",
    "FACILITY_EVENTS",
    "REFUSED",
    "ROSTERS",
    "ROSTER_EVENTS",
    "ROSTER_SECONDS",
    "SOURCE_REJECTS",
    "events",
    "facility_events",
]

EVENTS: Final = Counter("sallyport_ingest_events_total", "Custody events, by kind and outcome.", ["kind", "outcome"])


@cache
def events(kind: str, outcome: str) -> Counter:
    """The count of one kind and outcome; looking its labels up for each event costs more than counting."""
    return EVENTS.labels(kind, outcome)


FACILITY_EVENTS: Final = Counter(
    "sallyport_ingest_facility_events_total",
    "Custody events taken, by facility: one of the registry, so there are as many as that has.",
    ["facility"],
)


@cache
def facility_events(facility: str) -> Counter:
    """The count of one facility, which the registry knows."""
    return FACILITY_EVENTS.labels(facility)


for _code in CODES:  # from 0 on: a roster's rows are refused at one blow, and the first sample shows as no increase
    REJECTS.labels(_code)
SOURCE_REJECTS: Final = Counter(
    "sallyport_ingest_source_rejects_total",
    "Input of an authenticated source that was kept in rejects.v1, by source: one of the registry.",
    ["source"],
)
REFUSED: Final = Counter(
    "sallyport_ingest_refused_total",
    "Requests refused before anything of them was kept: not authenticated, too large, broker away.",
    ["code"],
)
DETAINER_COMMANDS: Final = Counter(
    "sallyport_ingest_detainer_commands_total", "Commands to detainers, by outcome.", ["action", "outcome"]
)
DETAINERS: Final = Gauge("sallyport_ingest_detainers", "Detainers held, open and ended.")
ROSTERS: Final = Counter("sallyport_ingest_rosters_total", "Roster snapshots, by outcome.", ["outcome"])
ROSTER_EVENTS: Final = Counter("sallyport_ingest_roster_events_total", "What rosters led to.", ["kind"])
ROSTER_SECONDS: Final = Histogram(
    "sallyport_ingest_roster_seconds", "Comparing and committing one snapshot.", buckets=AGE_BUCKETS_S
)
ACK: Final = Histogram(
    "sallyport_ingest_ack_seconds", "From handing records to Kafka to their acknowledgement.", buckets=AGE_BUCKETS_S
)
