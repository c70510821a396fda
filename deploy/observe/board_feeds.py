"""The board of the feeds; see board_flow."""

from __future__ import annotations

from typing import Final

from deploy.observe.panels import Board, Panel, Query, Row
from deploy.observe.queries import FACILITY, per_second

__all__ = ["FEEDS"]

FEEDS: Final = Board(
    "sallyport-feeds",
    "Sallyport: feeds",
    "Which facilities are heard of, which are silent, what was refused and what was stopped.",
    [FACILITY],
    [
        Row(
            "Now",
            [
                Panel(
                    "Facilities heard of",
                    "Ever.",
                    [Query("count(max by (facility) (sallyport_feed_last_heard_timestamp_seconds))", "facilities")],
                    kind="number",
                    width=6,
                ),
                Panel(
                    "Silent",
                    "For longer than is usual there.",
                    [Query("sum(max by (facility) (sallyport_feed_silent))", "silent")],
                    kind="number",
                    width=6,
                    red_from=1,
                ),
                Panel(
                    "Breakers that wait",
                    "Feeds that released too many at once; an operator has to decide (sallyport breaker list).",
                    [Query("sum(max by (facility) (sallyport_matcher_breakers_waiting)) or vector(0)", "waiting")],
                    kind="number",
                    width=6,
                    red_from=1,
                ),
                Panel(
                    "Conflicts held back by them",
                    "Versions that wait for the decision.",
                    [Query("sum(sallyport_matcher_conflicts_held)", "held")],
                    kind="number",
                    width=6,
                    red_from=1,
                ),
                Panel(
                    "Facilities",
                    "silent: 1. usual gap: nine of ten gaps are no longer.",
                    [
                        Query(
                            "time() - max by (facility) "
                            '(sallyport_feed_last_heard_timestamp_seconds{facility=~"$facility"})',
                            "last heard, seconds ago",
                        ),
                        Query('max by (facility) (sallyport_feed_silent{facility=~"$facility"})', "silent"),
                        Query(
                            'max by (facility) (sallyport_feed_usual_gap_seconds{facility=~"$facility"})',
                            "usual gap, seconds",
                        ),
                        Query('max by (facility) (sallyport_feed_in_custody{facility=~"$facility"})', "in custody"),
                    ],
                    kind="table",
                    width=24,
                    by="facility",
                ),
            ],
        ),
        Row(
            "Over time",
            [
                Panel(
                    "Last heard",
                    "Seconds since the last message of each facility.",
                    [
                        Query(
                            "time() - max by (facility) "
                            '(sallyport_feed_last_heard_timestamp_seconds{facility=~"$facility"})',
                            "{{facility}}",
                        )
                    ],
                    "s",
                ),
                Panel(
                    "Silent facilities",
                    "Share of all that were ever heard of.",
                    [Query("sallyport:feeds_silent:ratio", "silent")],
                    "percentunit",
                ),
                Panel(
                    "Roster snapshots",
                    "By outcome.",
                    [per_second("sallyport_ingest_rosters_total", "outcome")],
                    "reqps",
                ),
            ],
        ),
        Row(
            "Refused",
            [
                Panel(
                    "Rejects, by code",
                    "Input kept in rejects.v1, by all services.",
                    [per_second("sallyport_rejects_total", "code")],
                    "reqps",
                    stacked=True,
                ),
                Panel(
                    "Rejects, by source",
                    "Whose input it was, at ingest.",
                    [per_second("sallyport_ingest_source_rejects_total", "source")],
                    "reqps",
                    stacked=True,
                ),
                Panel(
                    "Refused before anything was kept",
                    "Unknown keys, bodies too large, brokers away.",
                    [per_second("sallyport_ingest_refused_total", "code")],
                    "reqps",
                ),
            ],
        ),
    ],
)
