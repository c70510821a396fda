"""The board of delivery; see board_flow. What is in the ledger every notifier says alike: hence `max by`."""

from __future__ import annotations

from typing import Final

from deploy.observe.panels import Board, Panel, Query, Row
from deploy.observe.queries import AGENCY, per_second, quantiles

__all__ = ["DELIVERY"]

_OF: Final = '{agency=~"$agency"}'
_ENDPOINT: Final = "max by (agency, subscription)"
_NAME: Final = "{{agency}} {{subscription}}"


def _ledger(metric: str, legend: str = _NAME, by: str = _ENDPOINT) -> Query:
    return Query(f"{by} (sallyport_notifier_{metric}{_OF})", legend)


def _column(metric: str, name: str) -> Query:
    return Query(f"max by (subscription) (sallyport_notifier_{metric}{_OF})", name)


def _releases(status: str) -> Query:
    return Query(f'sum(max by (agency) (sallyport_notifier_releases_open{{status="{status}"}})) or vector(0)', status)


DELIVERY: Final = Board(
    "sallyport-delivery",
    "Sallyport: delivery",
    "Which endpoints take what is sent to them, what waits, and release notices that nobody took or answered.",
    [AGENCY],
    [
        Row(
            "Releases",
            [
                Panel(
                    "Release notices not taken yet",
                    "No endpoint of the agency has taken them.",
                    [_releases("pending")],
                    kind="number",
                    width=6,
                    red_from=1,
                ),
                Panel(
                    "Given up",
                    "Within the last week: all attempts failed.",
                    [_releases("failed")],
                    kind="number",
                    width=6,
                    red_from=1,
                ),
                Panel(
                    "Nobody to tell",
                    "Within the last week: the agency had no endpoint.",
                    [_releases("no_subscription")],
                    kind="number",
                    width=6,
                    red_from=1,
                ),
                Panel(
                    "Taken, and not acknowledged",
                    "Within the last week, and not overtaken by a newer version.",
                    [_releases("delivered")],
                    kind="number",
                    width=6,
                ),
                Panel(
                    "Age of the oldest, by agency",
                    "Since the input was accepted. pending: not taken; delivered: not acknowledged.",
                    [_ledger("releases_oldest_seconds", "{{agency}} {{status}}", "max by (agency, status)")],
                    "s",
                    width=12,
                ),
                Panel(
                    "How many, by agency",
                    "Release notices that are not acknowledged, nor overtaken.",
                    [_ledger("releases_open", "{{agency}} {{status}}", "max by (agency, status)")],
                    width=12,
                ),
            ],
        ),
        Row(
            "Endpoints",
            [
                Panel(
                    "Endpoints by state",
                    "resting: the breaker is open. disabled: it answered 410 Gone.",
                    [
                        Query(
                            "count by (state, channel) (max by (subscription, state, channel) "
                            f"(sallyport_notifier_endpoint_state{_OF}))",
                            "{{channel}} {{state}}",
                        )
                    ],
                    width=8,
                    stacked=True,
                ),
                Panel(
                    "Endpoints",
                    "Of the chosen agencies. oldest: since the delivery was made, or asked for again.",
                    [
                        Query(
                            f"max by (agency, subscription, channel, state) (sallyport_notifier_endpoint_state{_OF})",
                            "there",
                        ),
                        _column("endpoint_in_flight", "in flight"),
                        _column("endpoint_waiting", "waiting"),
                        _column("endpoint_oldest_waiting_seconds", "oldest, seconds"),
                        _column("endpoint_failures_in_a_row", "failures in a row"),
                    ],
                    kind="table",
                    width=16,
                    by="subscription",
                ),
                Panel("In flight", "Deliveries under way.", [_ledger("endpoint_in_flight")]),
                Panel("Waiting", "For an attempt, whether or not it is due.", [_ledger("endpoint_waiting")]),
                Panel(
                    "Oldest waiting",
                    "How long it has been waiting.",
                    [_ledger("endpoint_oldest_waiting_seconds")],
                    "s",
                ),
                Panel(
                    "Failures",
                    "Attempts that failed.",
                    [
                        per_second(
                            "sallyport_notifier_endpoint_attempts_total",
                            "agency, subscription",
                            'outcome="failed",agency=~"$agency"',
                        )
                    ],
                    "reqps",
                ),
                Panel(
                    "Failures in a row",
                    "At five the breaker opens: one attempt at a time.",
                    [_ledger("endpoint_failures_in_a_row")],
                    red_from=5,
                ),
                Panel(
                    "Deliveries",
                    "Attempts that were taken.",
                    [
                        per_second(
                            "sallyport_notifier_endpoint_attempts_total",
                            "agency",
                            'outcome="delivered",agency=~"$agency"',
                        )
                    ],
                    "reqps",
                    stacked=True,
                ),
            ],
        ),
        Row(
            "The notifier",
            [
                Panel(
                    "Attempts, by outcome",
                    "Why they failed, by channel.",
                    [per_second("sallyport_notifier_deliveries_total", "channel, outcome")],
                    "reqps",
                    width=6,
                ),
                Panel(
                    "Length of an attempt",
                    "By channel.",
                    quantiles("sallyport_notifier_attempt_seconds", by="channel"),
                    "s",
                    width=6,
                ),
                Panel(
                    "Due, and not tried yet",
                    "Deliveries whose time has come and whose endpoint may be tried.",
                    [Query("max by (channel) (sallyport_notifier_due)", "{{channel}}")],
                    width=6,
                ),
                Panel(
                    "Oldest due",
                    "How long it has been due.",
                    [Query("max by (channel) (sallyport_notifier_oldest_due_seconds)", "{{channel}}")],
                    "s",
                    width=6,
                    red_from=120,
                ),
            ],
        ),
    ],
)
