"""The notifier's metrics, each defined once."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from contracts.types.conflict import Stage
from services.platform.metrics import AGE_BUCKETS_S

__all__ = [
    "AGE",
    "ATTEMPT",
    "CONFLICTS",
    "DECISIONS",
    "DELIVERIES",
    "DUE",
    "ENDPOINT_ATTEMPTS",
    "ENDPOINT_FAILURES",
    "ENDPOINT_IN_FLIGHT",
    "ENDPOINT_OLDEST",
    "ENDPOINT_STATE",
    "ENDPOINT_WAITING",
    "GIVEN_UP",
    "IN_FLIGHT",
    "OLDEST",
    "RELEASES_OLDEST",
    "RELEASES_OPEN",
    "REVIEWS",
    "SECRETS",
]

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
    "From the acceptance of the input by ingest to its notice taken by the recipient, by stage. The first time only: "
    "not over the recipient's other endpoints, nor when it asks for a notice again. What time brings, or an operator's "
    "or reviewer's decision, counts from the moment that it was judged or decided.",
    ["stage"],
    buckets=AGE_BUCKETS_S,
)

# By endpoint. A subscription is not called `endpoint`, which Prometheus' operator takes. There are as many as agencies
# have; of a deleted one no gauge is left, and its counters go with the next restart.
_ENDPOINT: Final = ["agency", "subscription"]
ENDPOINT_ATTEMPTS: Final = Counter(
    "sallyport_notifier_endpoint_attempts_total",
    "Attempts of this instance that ended, by endpoint; outcome: delivered or failed.",
    [*_ENDPOINT, "outcome"],
)
# What follows is in the ledger, so that every instance says the same: take the maximum over instances.
ENDPOINT_STATE: Final = Gauge(
    "sallyport_notifier_endpoint_state",
    "1; the state of an endpoint: active, resting (its breaker is open), paused or disabled.",
    [*_ENDPOINT, "channel", "state"],
)
ENDPOINT_FAILURES: Final = Gauge(
    "sallyport_notifier_endpoint_failures_in_a_row",
    "Failures since the last success, for the breaker.",
    _ENDPOINT,
)
ENDPOINT_IN_FLIGHT: Final = Gauge(
    "sallyport_notifier_endpoint_in_flight", "Deliveries under way, of all instances.", _ENDPOINT
)
ENDPOINT_WAITING: Final = Gauge(
    "sallyport_notifier_endpoint_waiting", "Deliveries that wait for an attempt, whether or not it is due.", _ENDPOINT
)
ENDPOINT_OLDEST: Final = Gauge(
    "sallyport_notifier_endpoint_oldest_waiting_seconds",
    "For how long the oldest of them has been waiting, since it was made or asked for again.",
    _ENDPOINT,
)
RELEASES_OPEN: Final = Gauge(
    "sallyport_notifier_releases_open",
    "Release notices that are not acknowledged, nor overtaken by a newer version, by agency. status: pending (not "
    "taken yet) or, of the last week, delivered, failed (given up), no_subscription (nobody to tell).",
    ["agency", "status"],
)
RELEASES_OLDEST: Final = Gauge(
    "sallyport_notifier_releases_oldest_seconds",
    "The age of the oldest of them, since ingest accepted the input that led to it.",
    ["agency", "status"],
)
GIVEN_UP: Final = Counter(
    "sallyport_notifier_given_up_total", "Deliveries given up for good: attempts used up, or too old.", ["stage"]
)
for _stage in Stage:  # from 0 on: the first one would not show as an increase
    AGE.labels(_stage)
    GIVEN_UP.labels(_stage)
SECRETS: Final = Gauge(
    "sallyport_notifier_secrets",
    "Webhook secrets by the key they are under: first (encrypts), older (about to be renewed), unknown (not "
    "configured).",
    ["key"],
)
