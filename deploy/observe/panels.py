"""What a Grafana board is made of, and the JSON that it becomes: only as much of Grafana as our boards need.

A board is a definition (`board_*.py`): rows of panels, each with the queries that it shows. `render` gives the
dashboard JSON as Grafana 10 to 12 take it, always the same bytes for the same definition.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

__all__ = ["Board", "Panel", "Query", "Row", "Variable", "render"]

SCHEMA_VERSION: Final = 39
WIDTH: Final = 24
"""Columns of Grafana's grid."""
_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_HEIGHT: Final = {"graph": 8, "number": 4, "table": 10}


@dataclass(frozen=True)
class Query:
    """expr: PromQL, with the variables of the board. legend: name of each series, `{{label}}` by its labels; in a
    table, the name of the column."""

    expr: str
    legend: str


@dataclass(frozen=True)
class Panel:
    """unit: Grafana's name of it (s, short, bytes, reqps, percentunit). red_from: a value from which on it is coloured.

    kind: graph over time; number: the sum of now; table: a row for each `by` (the label), a column for each query.
    """

    title: str
    about: str
    queries: Sequence[Query]
    unit: str = "short"
    kind: Literal["graph", "number", "table"] = "graph"
    width: int = 8
    by: str = ""
    red_from: float | None = None
    stacked: bool = False


@dataclass(frozen=True)
class Row:
    """A headline, and the panels below it from left to right."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True)
class Variable:
    """A choice at the top of the board: any of the values that a label has. All of them are chosen at first."""

    name: str
    label: str
    metric: str


@dataclass(frozen=True)
class Board:
    """uid: the last part of its address. rows: shown from top to bottom."""

    uid: str
    title: str
    about: str
    variables: Sequence[Variable]
    rows: Sequence[Row]


def render(board: Board) -> str:
    """The dashboard as JSON, with a newline at the end."""
    panels: list[dict[str, Any]] = []
    y = 0
    for row in board.rows:
        panels.append(_headline(len(panels) + 1, row.title, y))
        x, y, height = 0, y + 1, 0
        for panel in row.panels:
            if x + panel.width > WIDTH:
                x, y, height = 0, y + height, 0
            grid = {"h": _HEIGHT[panel.kind], "w": panel.width, "x": x, "y": y}
            panels.append(_panel(len(panels) + 1, panel, grid))
            x, height = x + panel.width, max(height, grid["h"])
        y += height
    document = {
        "uid": board.uid,
        "title": board.title,
        "description": board.about,
        "tags": ["sallyport"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "annotations": {"list": []},
        "links": [
            {
                "type": "dashboards",
                "title": "Sallyport",
                "tags": ["sallyport"],
                "asDropdown": False,
                "includeVars": False,
                "keepTime": True,
                "targetBlank": False,
            }
        ],
        "templating": {"list": [_data_source(), *map(_variable, board.variables)]},
        "panels": panels,
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _data_source() -> dict[str, Any]:
    return {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "current": {}}


def _variable(variable: Variable) -> dict[str, Any]:
    query = f"label_values({variable.metric}, {variable.label})"
    return {
        "name": variable.name,
        "label": variable.label.capitalize(),
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": query, "refId": variable.name},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
    }


def _headline(number: int, title: str, y: int) -> dict[str, Any]:
    grid = {"h": 1, "w": WIDTH, "x": 0, "y": y}
    return {"id": number, "type": "row", "title": title, "collapsed": False, "gridPos": grid, "panels": []}


def _panel(number: int, panel: Panel, grid: dict[str, int]) -> dict[str, Any]:
    kinds = {"graph": "timeseries", "number": "stat", "table": "table"}
    made: dict[str, Any] = {
        "id": number,
        "type": kinds[panel.kind],
        "title": panel.title,
        "description": panel.about,
        "datasource": _SOURCE,
        "gridPos": grid,
        "targets": [_target(letter, query, panel) for letter, query in zip("ABCDEFGH", panel.queries, strict=False)],
        "fieldConfig": {"defaults": _field(panel), "overrides": []},
    }
    match panel.kind:
        case "graph":
            made["options"] = {
                "legend": {
                    "displayMode": "table",
                    "placement": "bottom",
                    "calcs": ["lastNotNull", "max"],
                    "sortBy": "Max",  # what is not zero, first
                    "sortDesc": True,
                },
                "tooltip": {"mode": "multi", "sort": "desc"},
            }
        case "number":
            made["options"] = {
                "colorMode": "value",
                "graphMode": "area",
                "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            }
        case "table":
            made["options"] = {"showHeader": True, "cellHeight": "sm"}
            made["transformations"] = _one_row_each(panel)
    return made


def _target(letter: str, query: Query, panel: Panel) -> dict[str, Any]:
    target: dict[str, Any] = {"refId": letter, "datasource": _SOURCE, "expr": query.expr, "legendFormat": query.legend}
    if panel.kind == "table":
        return target | {"instant": True, "range": False, "format": "table"}
    return target | {"instant": False, "range": True, "format": "time_series"}


def _field(panel: Panel) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.red_from is not None:
        steps.append({"color": "red", "value": panel.red_from})
    field: dict[str, Any] = {"unit": panel.unit, "thresholds": {"mode": "absolute", "steps": steps}}
    if panel.kind == "graph":
        field["min"] = 0
        field["color"] = {"mode": "palette-classic"}
        custom: dict[str, Any] = {
            "lineWidth": 1,
            "fillOpacity": 10,
            "showPoints": "never",
            "stacking": {"mode": "normal" if panel.stacked else "none"},
        }
        if panel.red_from is not None:
            custom["thresholdsStyle"] = {"mode": "line"}
        field["custom"] = custom
    return field


def _one_row_each(panel: Panel) -> list[dict[str, Any]]:
    """Join the tables of the queries by their label, and name the columns."""
    names = {f"Value #{letter}": query.legend for letter, query in zip("ABCDEFGH", panel.queries, strict=False)}
    if len(panel.queries) == 1:
        names["Value"] = panel.queries[0].legend
    times = {"Time": True, **{f"Time {n}": True for n in range(1, len(panel.queries) + 1)}}
    return [
        {"id": "joinByField", "options": {"byField": panel.by, "mode": "outer"}},
        {"id": "organize", "options": {"excludeByName": times, "indexByName": {}, "renameByName": names}},
    ]
