"""What so many facilities need, computed from what a unit costs (docs/operate/sizing.md)."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

__all__ = ["Assumed", "Costs", "Need", "need"]

GIB = 1024**3
DAYS = 400
"""Retention of custody.events.v1 and conflicts.v1 (contracts/topics.yaml)."""
PUT_AWAY_DAYS = 90
"""`SALLYPORT_RETENTION_DAYS`: how long the matcher holds an episode after its end."""


@dataclass(frozen=True)
class Assumed:
    """What a facility is like.

    held: people in custody. admitted: bookings a day for each of them (BJS, 2023: 7.6 million in a year, 664,200 held).
    events: custody events of a stay. detainers: open ones for each person held, over all agencies; most of them are of
    people who are not held. kept: detainers on the topic for each open one, since an ended one stays. hit: share of
    stays with a detainer. versions: conflict versions of such a stay. channels: deliveries of a notice.
    busy: the busiest hour of a day against the mean. replicas: of every record on Kafka.
    """

    held: float = 250
    admitted: float = 7_600_000 / 365 / 664_200
    events: float = 4
    detainers: float = 2
    kept: float = 3
    hit: float = 0.05
    versions: float = 3
    channels: float = 1.2
    busy: float = 4
    replicas: int = 3


@dataclass(frozen=True)
class Costs:
    """Measured. Bytes on disk are of one replica; all seconds are of one core. Restoring is work of one core, too."""

    event_bytes: float
    state_bytes_per_event: float
    state_bytes_per_episode: float
    conflict_bytes: float
    detainer_bytes: float
    notice_event_bytes: float
    ledger_bytes_per_notice: float
    ingest_base_mib: float
    ingest_bytes_per_detainer: float
    matcher_base_mib: float
    matcher_bytes_per_detainer: float
    matcher_bytes_per_episode: float
    ingest_s_per_event: float
    matcher_s_per_event: float
    notifier_s_per_notice: float
    restore_s_per_episode: float
    read_s_per_detainer: float


@dataclass(frozen=True)
class Need:
    """For one size. Memory in MiB of one instance; cores busy in the busiest hour, over all instances."""

    facilities: int
    held: float
    events_a_day: float
    events_a_second: float
    notices_a_day: float
    detainers: float
    episodes: float
    kafka_gib: float
    ledger_gib_a_year: float
    ingest_mib: float
    matcher_mib: float
    ingest_cores: float
    matcher_cores: float
    notifier_cores: float
    restore_s: float
    matchers: int


def need(facilities: int, costs: Costs, assumed: Assumed, matchers: int = 2) -> Need:
    """What `facilities` of them need. matchers: instances; each must be able to hold what one more leaves behind, so
    that the episodes are counted as shared by one less."""
    held = facilities * assumed.held
    stays = held * assumed.admitted
    events = stays * assumed.events
    notices = stays * assumed.hit * assumed.versions
    detainers = held * assumed.detainers * assumed.kept
    episodes = held + stays * PUT_AWAY_DAYS
    peak = events / 86_400 * assumed.busy
    kept = DAYS * (
        events * costs.event_bytes
        + notices * costs.conflict_bytes
        + notices * assumed.channels * costs.notice_event_bytes
    )
    # Compacted topics: what stays, and as much again that waits for the cleaner.
    compacted = 2 * (episodes * costs.state_bytes_per_episode + detainers * costs.detainer_bytes)
    share = episodes / max(1, matchers - 1)
    return Need(
        facilities=facilities,
        held=held,
        events_a_day=events,
        events_a_second=peak,
        notices_a_day=notices,
        detainers=detainers,
        episodes=episodes,
        kafka_gib=assumed.replicas * (kept + compacted) / GIB,
        ledger_gib_a_year=365 * notices * assumed.channels * costs.ledger_bytes_per_notice / GIB,
        ingest_mib=costs.ingest_base_mib + detainers * costs.ingest_bytes_per_detainer / 2**20,
        matcher_mib=costs.matcher_base_mib
        + (detainers * costs.matcher_bytes_per_detainer + share * costs.matcher_bytes_per_episode) / 2**20,
        ingest_cores=peak * costs.ingest_s_per_event,
        matcher_cores=peak * costs.matcher_s_per_event,
        notifier_cores=peak / assumed.events * assumed.hit * assumed.versions * costs.notifier_s_per_notice,
        restore_s=ceil(share * costs.restore_s_per_episode + detainers * costs.read_s_per_detainer),
        matchers=matchers,
    )
