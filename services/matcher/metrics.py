"""The matcher's metrics, each defined once."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from services.platform.metrics import AGE_BUCKETS_S

__all__ = ["AGE", "CONFLICTS", "DETAINERS", "EPISODES", "INPUTS", "RESTORE", "REVIEWS", "TRANSACTION"]

INPUTS: Final = Counter("sallyport_matcher_inputs_total", "Inputs judged, by kind.", ["kind"])
CONFLICTS: Final = Counter("sallyport_matcher_conflicts_total", "Conflict versions published, by stage.", ["stage"])
REVIEWS: Final = Counter("sallyport_matcher_reviews_total", "Review versions published, by status.", ["status"])
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
DETAINERS: Final = Gauge("sallyport_matcher_detainers", "Detainers held.")
