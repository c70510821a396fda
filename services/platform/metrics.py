"""Metrics that every service has, each defined once, here. A service's own are in its `metrics.py`.

No label has values that grow without bound, or that name a person (G8): topics, partitions, outcomes, stages.
"""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

__all__ = [
    "AGE_BUCKETS_S",
    "BUILD",
    "CHECK_FAILING",
    "CONSUMER_LAG",
    "CONSUMER_STALLED",
    "HTTP_REQUESTS",
    "HTTP_SECONDS",
    "REJECTS",
    "SPANS",
    "UNDER_REPLICATED",
]

AGE_BUCKETS_S: Final = (
    0.005,
    0.01,
    0.025,
    0.05,
    0.075,
    0.1,
    0.25,
    0.5,
    1,
    2.5,
    5,
    10,
    30,
    60,
    300,
    1800,
    7200,
    86400,
)
"""Seconds, from milliseconds to a day: ages of events are both."""

CONSUMER_LAG: Final = Gauge(
    "sallyport_consumer_lag_records", "Records behind the end of the partition.", ["topic", "partition"]
)
CONSUMER_STALLED: Final = Gauge(
    "sallyport_consumer_stalled_seconds",
    "For how long a partition with a backlog has not moved; 0 where it moves, or where there is no backlog.",
    ["topic", "partition"],
)
UNDER_REPLICATED: Final = Gauge(
    "sallyport_topic_under_replicated_partitions",
    "Partitions of a topic that this service uses with fewer replicas in sync than it has, by the brokers' metadata.",
    ["topic"],
)
BUILD: Final = Gauge(
    "sallyport_build_info",
    "1; which service this is, and its version. The label is not `service`, which Prometheus' operator takes.",
    ["component", "version"],
)
CHECK_FAILING: Final = Gauge(
    "sallyport_check_failing",
    "1 where a check of /livez (probe live) or /readyz (probe ready) says that something is wrong, else 0.",
    ["probe", "check"],
)
REJECTS: Final = Counter("sallyport_rejects_total", "Input kept in rejects.v1, by reason code.", ["code"])
HTTP_REQUESTS: Final = Counter("sallyport_http_requests_total", "Answers given.", ["method", "route", "status"])
HTTP_SECONDS: Final = Histogram(
    "sallyport_http_request_seconds", "Time to answer.", ["method", "route"], buckets=AGE_BUCKETS_S
)
SPANS: Final = Counter("sallyport_spans_total", "Spans of traces, by outcome: sent, dropped.", ["outcome"])
