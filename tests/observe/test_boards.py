"""The boards: current, well formed, and asking for what the services have."""

from __future__ import annotations

import json
import re
from itertools import combinations
from typing import Any

import pytest
import yaml

from deploy.observe.__main__ import BOARDS, DIRECTORY, file_of
from deploy.observe.panels import Board, render
from tests.observe.files import OBSERVE, board_queries
from tests.observe.promql import TARGET, assert_known, ours, selectors

BUILT_IN = {"datasource", "__rate_interval"}


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: str(board.uid))
def test_a_board_is_what_its_definition_says(board: Board) -> None:
    written = file_of(board).read_text("utf-8")
    assert written == render(board), "python -m deploy.observe"


def test_there_are_no_other_boards() -> None:
    assert sorted(DIRECTORY.glob("*")) == sorted(file_of(board) for board in BOARDS)
    assert {board.uid for board in BOARDS} == {f"sallyport-{n}" for n in ("flow", "feeds", "delivery", "matcher")}


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: str(board.uid))
def test_panels_have_ids_of_their_own_and_do_not_lie_on_each_other(board: Board) -> None:
    panels = json.loads(render(board))["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for one, other in combinations(panels, 2):
        a, b = one["gridPos"], other["gridPos"]
        apart = (
            a["x"] + a["w"] <= b["x"]
            or b["x"] + b["w"] <= a["x"]
            or a["y"] + a["h"] <= b["y"]
            or b["y"] + b["h"] <= a["y"]
        )
        assert apart, (one["title"], other["title"])
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)
    assert all(panel.get("description") for panel in panels if panel["type"] != "row")


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: str(board.uid))
def test_the_data_source_and_every_choice_is_a_variable(board: Board) -> None:
    document = json.loads(render(board))
    declared = {variable["name"] for variable in document["templating"]["list"]}
    assert "datasource" in declared
    text = json.dumps(document["panels"])
    used = set(re.findall(r"\$\{?(\w+)\}?", text))
    assert used - BUILT_IN == declared - BUILT_IN, "each choice is used, and each that is used is there"
    sources = [p["datasource"] for p in document["panels"] if "datasource" in p]
    assert all(source == {"type": "prometheus", "uid": "${datasource}"} for source in sources)
    for variable in board.variables:
        assert variable.label in ours()[variable.metric] | TARGET


def _queries() -> list[Any]:
    return [pytest.param(expr, id=f"{name} {number}") for number, (name, expr) in enumerate(board_queries())]


@pytest.mark.parametrize("expr", _queries())
def test_a_panel_asks_for_metrics_that_services_have(expr: str) -> None:
    assert selectors(expr)
    assert_known(expr)


def test_grafana_is_told_where_boards_and_prometheus_are() -> None:
    provisioning = OBSERVE / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yaml").read_text("utf-8"))["datasources"]
    assert (source["type"], source["url"], source["isDefault"]) == ("prometheus", "http://prometheus:9090", True)
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "sallyport.yaml").read_text("utf-8"))["providers"]
    assert (provider["type"], provider["options"]["path"]) == ("file", "/etc/grafana/boards")


def test_every_job_that_is_scraped_is_one_that_the_rules_know() -> None:
    jobs = yaml.safe_load((OBSERVE / "prometheus.yaml").read_text("utf-8"))["scrape_configs"]
    assert [job["job_name"] for job in jobs] == ["sallyport-ingest", "sallyport-matcher", "sallyport-notifier"]
