"""Just enough of PromQL to see which metrics and labels a query names; whether it parses, Prometheus says."""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass
from functools import cache
from typing import Final

import prometheus_client
from prometheus_client.metrics import MetricWrapperBase

from tests.observe.files import records

__all__ = ["METRICS", "TARGET", "Selector", "assert_known", "grouped_by", "ours", "selectors"]

METRICS: Final = (
    "services.platform.metrics",
    "services.ingest.metrics",
    "services.matcher.metrics",
    "services.notifier.metrics",
)
TARGET: Final = frozenset({"job", "instance"})
"""Labels that Prometheus itself puts to every series."""
_SUFFIXES: Final = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}
_WORDS: Final = {
    "and",
    "or",
    "unless",
    "bool",
    "offset",
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
}
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
_GROUPING: Final = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_SELECTOR: Final = re.compile(r"(?<![\w:$.])([a-zA-Z_:][\w:]*)\s*(\{[^}]*\})?(?!\w)(?!\s*\()")
_MATCHER: Final = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")


@dataclass(frozen=True)
class Selector:
    """A metric, and the labels that the query asks it for."""

    metric: str
    labels: frozenset[str]


def selectors(expr: str) -> list[Selector]:
    """Every metric that a query names."""
    bare = _GROUPING.sub(" ", _STRING.sub('""', expr))
    bare = re.sub(r"\[[^\]]*\]", "", bare)
    return [
        Selector(name, frozenset(_MATCHER.findall(matchers)))
        for name, matchers in _SELECTOR.findall(bare)
        if name not in _WORDS
    ]


def grouped_by(expr: str) -> set[str]:
    """Every label in a `by (...)`, `on (...)` and the like."""
    return {label.strip() for names in _GROUPING.findall(_STRING.sub('""', expr)) for label in names.split(",")} - {""}


@cache
def ours() -> dict[str, frozenset[str]]:
    """Name of a sample -> its labels, of all that the services have in their registry, and the processes' own."""
    found: dict[str, frozenset[str]] = {}
    for module in METRICS:
        for value in vars(importlib.import_module(module)).values():
            if isinstance(value, MetricWrapperBase):
                for suffix in _SUFFIXES[str(value._type)]:
                    extra = {"le"} if suffix == "_bucket" else set()
                    found[value._name + suffix] = frozenset(value._labelnames) | extra
    for metric in prometheus_client.REGISTRY.collect():
        if metric.name.startswith("process_"):
            for sample in metric.samples:
                found[sample.name] = frozenset(sample.labels)
    return found


@cache
def _known() -> dict[str, frozenset[str]]:
    """What a query may ask for: ours, what the rules record, and Prometheus' own `up`."""
    recorded = {r["record"]: frozenset(r.get("labels", ())) | grouped_by(r["expr"]) for r in records()}
    return {**ours(), **recorded, "up": frozenset()}


def assert_known(expr: str) -> None:
    """Every metric that a query names is there, and every label that it asks for or groups by is one of theirs."""
    labels = set(TARGET)
    for selector in selectors(expr):
        assert selector.metric in _known(), selector.metric
        labels |= _known()[selector.metric]
        assert selector.labels <= _known()[selector.metric] | TARGET, selector
    assert grouped_by(expr) <= labels
