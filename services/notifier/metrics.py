"""The notifier's metrics, each defined once."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from services.platform.metrics import AGE_BUCKETS_S

__all__ = ["AGE", "ATTEMPT", "CONFLICTS", "DECISIONS", "DELIVERIES", "DUE", "IN_FLIGHT", "OLDEST", "REVIEWS"]

CONFLICTS: Final = Counter("sallyport_notifier_conflicts_total", "Conflict versions taken in, by stage.", ["stage"])
REVIEWS: Final = Counter("sallyport_notifier_reviews_total", "Review versions taken in, by status.", ["status"])
DECISIONS: Final = Counter(
    "sallyport_notifier_decisions_total", "Reviewers' decisions that Kafka has taken, by decision.", ["decision"]
)
DELIVERIES: Final = Counter(
    "sallyport_notifier_deliveries_total", "Attempts that ended, by channel and outcome.", ["channel", "outcome"]
)
IN_FLIGHT: Final = Gauge("sallyport_notifier_in_flight", "Attempts under way, by channel.", ["channel"])
DUE: Final = Gauge("sallyport_notifier_due", "Deliveries whose time has come and that wait, by channel.", ["channel"])
OLDEST: Final = Gauge(
    "sallyport_notifier_oldest_due_seconds", "How long the oldest of them has been waiting, by channel.", ["channel"]
)
ATTEMPT: Final = Histogram(
    "sallyport_notifier_attempt_seconds", "Length of one attempt.", ["channel"], buckets=AGE_BUCKETS_S
)
AGE: Final = Histogram(
    "sallyport_event_to_delivery_seconds",
    "From the acceptance of the input by ingest to its notice taken by the recipient, by stage.",
    ["stage"],
    buckets=AGE_BUCKETS_S,
)
