"""The matcher's metrics, each defined once."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from services.platform.metrics import AGE_BUCKETS_S

__all__ = [
    "AGE",
    "BREAKERS",
    "BREAKERS_WAITING",
    "CONFLICTS",
    "DETAINERS",
    "EPISODES",
    "FEED_GAP",
    "FEED_HEARD",
    "FEED_IN_CUSTODY",
    "FEED_SILENT",
    "HELD",
    "IDENTITY_CANDIDATES",
    "IDENTITY_NOBODY",
    "IDENTITY_SEARCH",
    "IDENTITY_TRUNCATED",
    "INDEX_BYTES",
    "INDEX_RECORDS",
    "INPUTS",
    "MODEL",
    "PARTITIONS",
    "RESTORE",
    "REVIEWS",
    "SILENT",
    "TRANSACTION",
]

INPUTS: Final = Counter("sallyport_matcher_inputs_total", "Inputs judged, by kind.", ["kind"])
CONFLICTS: Final = Counter("sallyport_matcher_conflicts_total", "Conflict versions published, by stage.", ["stage"])
REVIEWS: Final = Counter("sallyport_matcher_reviews_total", "Review versions published, by status.", ["status"])
BREAKERS: Final = Counter("sallyport_matcher_breakers_total", "Feeds stopped by a breaker (rule 19).")
SILENT: Final = Counter(
    "sallyport_matcher_feed_changes_total", "Feeds that fell silent, or are heard again, by which.", ["state"]
)
AGE: Final = Histogram(
    "sallyport_matcher_conflict_age_seconds",
    "From the acceptance of the input to the commit of the conflict version that it led to.",
    buckets=AGE_BUCKETS_S,
)
TRANSACTION: Final = Histogram(
    "sallyport_matcher_transaction_seconds", "Judging and committing one transaction.", buckets=AGE_BUCKETS_S
)
RESTORE: Final = Histogram(
    "sallyport_matcher_restore_seconds", "Bringing back one partition's state.", buckets=AGE_BUCKETS_S
)
EPISODES: Final = Gauge("sallyport_matcher_episodes", "Custody episodes held.", ["partition"])
HELD: Final = Gauge(
    "sallyport_matcher_conflicts_held", "Conflicts whose next version waits for an operator (rule 19).", ["partition"]
)
DETAINERS: Final = Gauge("sallyport_matcher_detainers", "Detainers held.")
PARTITIONS: Final = Gauge(
    "sallyport_matcher_partitions", "Partitions of custody.events.v1 that this instance owns, by state.", ["state"]
)
BREAKERS_WAITING: Final = Gauge(
    "sallyport_matcher_breakers_waiting",
    "Breakers that wait for an operator, by facility (rule 19). Every instance knows all of them.",
    ["facility"],
)
FEED_HEARD: Final = Gauge(
    "sallyport_feed_last_heard_timestamp_seconds",
    "When a facility was last heard of, in seconds from 1970, to the minute. Each facility is one instance's.",
    ["facility"],
)
FEED_SILENT: Final = Gauge("sallyport_feed_silent", "1 while a facility is silent for longer than usual.", ["facility"])
FEED_GAP: Final = Gauge(
    "sallyport_feed_usual_gap_seconds", "Nine of ten gaps between a facility's messages are no longer.", ["facility"]
)
FEED_IN_CUSTODY: Final = Gauge("sallyport_feed_in_custody", "People in custody, by what was told.", ["facility"])
INDEX_RECORDS: Final = Gauge(
    "sallyport_matcher_index_records", "People in the identity indexes, by side: detainers or episodes.", ["side"]
)
INDEX_BYTES: Final = Gauge(
    "sallyport_matcher_index_bytes", "Memory of the arrays and encoded records of those indexes.", ["side"]
)
MODEL: Final = Gauge("sallyport_matcher_identity_model_info", "1; the hash of the identity model in use.", ["model"])
IDENTITY_SEARCH: Final = Histogram(
    "sallyport_matcher_identity_search_seconds",
    "One search of an identity index: detainers by a person in custody, or episodes by the person of a detainer.",
    buckets=(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 1.0),
)
IDENTITY_CANDIDATES: Final = Counter(
    "sallyport_matcher_identity_candidates_total", "Records that a search found, by tier.", ["tier"]
)
IDENTITY_NOBODY: Final = Counter(
    "sallyport_matcher_identity_nobody_total", "Searches that found nobody: every record came to the tier NONE."
)
IDENTITY_TRUNCATED: Final = Counter(
    "sallyport_matcher_identity_truncated_total",
    "Searches that found somebody, and left out a block of one name that was too large to be looked at.",
)
