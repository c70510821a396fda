"""The board of the flow: what an operator looks at, and the queries that show it.

A name of a metric here is one that a service has: tests/observe holds every query to the registry, and asks a real
Prometheus that scrapes the real services.
"""

from __future__ import annotations

from typing import Final

from deploy.observe.panels import Board, Panel, Query, Row
from deploy.observe.queries import FACILITY, INSTANCE, RATE, RELEASED, per_second, quantiles

__all__ = ["FLOW"]

FLOW: Final = Board(
    "sallyport-flow",
    "Sallyport: flow",
    "From what jails and agencies send to what recipients have taken.",
    [INSTANCE, FACILITY],
    [
        Row(
            "In",
            [
                Panel(
                    "Events in",
                    "Custody events, by outcome: accepted, rejected (kept in rejects.v1), not taken.",
                    [per_second("sallyport_ingest_events_total", "outcome", 'instance=~"$instance"')],
                    "reqps",
                    stacked=True,
                ),
                Panel(
                    "Events in, by kind",
                    "What was accepted.",
                    [per_second("sallyport_ingest_events_total", "kind", 'outcome="accepted",instance=~"$instance"')],
                    "reqps",
                    stacked=True,
                ),
                Panel(
                    "Events in, by facility",
                    "The ten facilities that send most; by stream and by roster.",
                    [
                        Query(
                            "topk(10, sum by (facility) (rate(sallyport_ingest_facility_events_total"
                            f'{{facility=~"$facility"}}{RATE})))',
                            "{{facility}}",
                        )
                    ],
                    "reqps",
                ),
                Panel(
                    "Detainers in",
                    "Commands of agencies.",
                    [per_second("sallyport_ingest_detainer_commands_total", "action, outcome")],
                    "reqps",
                ),
                Panel(
                    "Time to answer",
                    "Of ingest, by route.",
                    quantiles("sallyport_http_request_seconds", 'route=~"/v1/.+",job=~".*ingest.*"', "route"),
                    "s",
                ),
                Panel(
                    "Answers that were errors of ours",
                    "5xx; senders come again.",
                    [per_second("sallyport_http_requests_total", "job, route, status", 'status=~"5.."')],
                    "reqps",
                ),
            ],
        ),
        Row(
            "Judged",
            [
                Panel(
                    "Conflicts, by stage",
                    "Versions that the matcher published.",
                    [per_second("sallyport_matcher_conflicts_total", "stage", 'instance=~"$instance"')],
                    "reqps",
                    stacked=True,
                ),
                Panel(
                    "Reviews, by status",
                    "Hits that a person must decide on, and what was decided.",
                    [per_second("sallyport_matcher_reviews_total", "status", 'instance=~"$instance"')],
                    "reqps",
                ),
                Panel(
                    "From input to conflict",
                    "From the acceptance of the input to the commit of the version that it led to.",
                    quantiles("sallyport_matcher_conflict_age_seconds", 'instance=~"$instance"'),
                    "s",
                    red_from=5,
                ),
            ],
        ),
        Row(
            "Told",
            [
                Panel(
                    "Notices, by outcome of the attempt",
                    "Attempts that ended, by channel.",
                    [per_second("sallyport_notifier_deliveries_total", "channel, outcome")],
                    "reqps",
                    stacked=True,
                ),
                Panel(
                    "End-to-end age of release notices",
                    "From the acceptance of the input by ingest to its notice first taken by the recipient.",
                    quantiles("sallyport_event_to_delivery_seconds", RELEASED),
                    "s",
                    red_from=60,
                ),
                Panel(
                    "End-to-end age, by stage",
                    "The slowest hundredth.",
                    [
                        Query(
                            "histogram_quantile(0.99, "
                            f"sum by (le, stage) (rate(sallyport_event_to_delivery_seconds_bucket{RATE})))",
                            "{{stage}}",
                        )
                    ],
                    "s",
                ),
                Panel(
                    "Objectives: what went wrong, of the last hour",
                    "Share of each objective that was missed (docs/operate/objectives.md).",
                    [Query("sallyport:objective_errors:ratio_rate1h", "{{objective}}")],
                    "percentunit",
                    width=12,
                ),
                Panel(
                    "Objectives: how fast what may go wrong is used up",
                    "1: in thirty days. An alarm is raised at 14.4 over an hour, and at 6 over six hours.",
                    [
                        Query(
                            "sallyport:objective_errors:ratio_rate1h / sallyport:objective_budget:ratio",
                            "{{objective}}",
                        )
                    ],
                    width=12,
                    red_from=14.4,
                ),
            ],
        ),
    ],
)
