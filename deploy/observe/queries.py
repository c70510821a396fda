"""Queries that many panels have in common, and the choices at the top of a board."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from deploy.observe.panels import Query, Variable

__all__ = ["AGENCY", "FACILITY", "INSTANCE", "RATE", "RELEASED", "per_second", "quantiles"]

RATE: Final = "[$__rate_interval]"
INSTANCE: Final = Variable("instance", "instance", "sallyport_build_info")
FACILITY: Final = Variable("facility", "facility", "sallyport_feed_last_heard_timestamp_seconds")
AGENCY: Final = Variable("agency", "agency", "sallyport_notifier_endpoint_state")
RELEASED: Final = 'stage=~"released|released_before_detainer"'


def per_second(metric: str, by: str, where: str = "") -> Query:
    """The rate of a counter, a series for each value of the labels `by` (comma-separated)."""
    return Query(f"sum by ({by}) (rate({metric}{{{where}}}{RATE}))", " ".join(f"{{{{{b}}}}}" for b in by.split(", ")))


def quantiles(metric: str, where: str = "", by: str = "") -> Sequence[Query]:
    """The median and the slowest hundredth of a histogram, of each value of the label `by` if there is one."""
    labels, name = (f"le, {by}", f" {{{{{by}}}}}") if by else ("le", "")
    return [
        Query(f"histogram_quantile({q}, sum by ({labels}) (rate({metric}_bucket{{{where}}}{RATE})))", text + name)
        for q, text in ((0.5, "half within"), (0.99, "99 % within"))
    ]
