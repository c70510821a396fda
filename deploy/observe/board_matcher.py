"""The board of the matcher, and of Kafka as the services see it; see board_flow."""

from __future__ import annotations

from typing import Final

from deploy.observe.panels import Board, Panel, Query, Row
from deploy.observe.queries import INSTANCE, per_second, quantiles

__all__ = ["MATCHER"]

_OF: Final = 'instance=~"$instance"'

MATCHER: Final = Board(
    "sallyport-matcher",
    "Sallyport: matcher",
    "Whether it keeps up, how long its transactions and restores take, and how large its indexes are.",
    [INSTANCE],
    [
        Row(
            "Lag",
            [
                Panel(
                    "Lag, by topic",
                    "Records behind the end, of every service.",
                    [Query("sallyport:consumer_lag_records:sum", "{{job}} {{topic}}")],
                ),
                Panel(
                    "Lag of custody events, by partition",
                    "Of the matcher.",
                    [
                        Query(
                            f'max by (partition) (sallyport_consumer_lag_records{{topic="custody.events.v1",{_OF}}})',
                            "{{partition}}",
                        )
                    ],
                ),
                Panel(
                    "Partitions that stand still",
                    "For how long one with a backlog has not moved.",
                    [
                        Query(
                            "max by (job, topic, partition) (sallyport_consumer_stalled_seconds) > 0",
                            "{{job}} {{topic}} {{partition}}",
                        )
                    ],
                    "s",
                    red_from=60,
                ),
            ],
        ),
        Row(
            "Work",
            [
                Panel(
                    "Inputs judged, by kind",
                    "Custody events, detainers, decisions, timers.",
                    [per_second("sallyport_matcher_inputs_total", "kind", _OF)],
                    "reqps",
                    stacked=True,
                ),
                Panel(
                    "Transaction time",
                    "Judging and committing one transaction.",
                    quantiles("sallyport_matcher_transaction_seconds", _OF),
                    "s",
                ),
                Panel(
                    "Identity searches",
                    "One search of an index.",
                    quantiles("sallyport_matcher_identity_search_seconds", _OF),
                    "s",
                ),
                Panel(
                    "Candidates found, by tier",
                    "Records above NONE.",
                    [per_second("sallyport_matcher_identity_candidates_total", "tier", _OF)],
                    "reqps",
                ),
            ],
        ),
        Row(
            "Restores",
            [
                Panel(
                    "Partitions",
                    "Assigned, and of these restored, by instance.",
                    [
                        Query(
                            f"max by (instance, state) (sallyport_matcher_partitions{{{_OF}}})",
                            "{{instance}} {{state}}",
                        )
                    ],
                ),
                Panel(
                    "Restore time",
                    "Bringing back one partition, the mean of those of the last hour.",
                    [
                        Query(
                            f"sum by (instance) (increase(sallyport_matcher_restore_seconds_sum{{{_OF}}}[1h])) / "
                            f"sum by (instance) (increase(sallyport_matcher_restore_seconds_count{{{_OF}}}[1h]))",
                            "{{instance}}",
                        )
                    ],
                    "s",
                ),
                Panel(
                    "Restores",
                    "Partitions brought back within the last hour.",
                    [
                        Query(
                            f"sum by (instance) (increase(sallyport_matcher_restore_seconds_count{{{_OF}}}[1h]))",
                            "{{instance}}",
                        )
                    ],
                ),
            ],
        ),
        Row(
            "Size",
            [
                Panel(
                    "People in the indexes",
                    "Detainers are held by every instance, episodes by the owner of their partition.",
                    [
                        Query(
                            f"max by (instance, side) (sallyport_matcher_index_records{{{_OF}}})",
                            "{{instance}} {{side}}",
                        )
                    ],
                ),
                Panel(
                    "Memory of the indexes",
                    "Their arrays and encoded records.",
                    [
                        Query(
                            f"max by (instance, side) (sallyport_matcher_index_bytes{{{_OF}}})", "{{instance}} {{side}}"
                        )
                    ],
                    "bytes",
                ),
                Panel(
                    "Held",
                    "Episodes and detainers, all of them.",
                    [
                        Query("sum(sallyport_matcher_episodes)", "episodes"),
                        Query("max(sallyport_matcher_detainers)", "detainers"),
                    ],
                ),
            ],
        ),
        Row(
            "Processes and topics",
            [
                Panel(
                    "Memory",
                    "Resident, of every service.",
                    [Query(f'process_resident_memory_bytes{{job=~".*sallyport.*",{_OF}}}', "{{job}} {{instance}}")],
                    "bytes",
                ),
                Panel(
                    "Processor",
                    "Cores in use.",
                    [
                        Query(
                            f'rate(process_cpu_seconds_total{{job=~".*sallyport.*",{_OF}}}[$__rate_interval])',
                            "{{job}} {{instance}}",
                        )
                    ],
                ),
                Panel(
                    "Checks that fail",
                    "Of /livez and /readyz.",
                    [
                        Query(
                            f"sum by (job, probe, check) (sallyport_check_failing{{{_OF}}})",
                            "{{job}} {{probe}} {{check}}",
                        )
                    ],
                    red_from=1,
                ),
                Panel(
                    "Partitions with too few replicas in sync",
                    "By topic.",
                    [Query("max by (topic) (sallyport_topic_under_replicated_partitions)", "{{topic}}")],
                    red_from=1,
                ),
                Panel(
                    "Spans of traces",
                    "Sent, or dropped because the receiver was away (docs/traces.md); none while traces are off.",
                    [per_second("sallyport_spans_total", "job, outcome")],
                    "reqps",
                ),
                Panel(
                    "Versions",
                    "Instances of each service, by version.",
                    [Query("count by (component, version) (sallyport_build_info)", "{{component}} {{version}}")],
                ),
                Panel(
                    "Identity models",
                    "Matchers by the hash of the model that they judge by: one, but for the time of a change.",
                    [Query("count by (model) (sallyport_matcher_identity_model_info)", "{{model}}")],
                ),
            ],
        ),
    ],
)
