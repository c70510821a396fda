"""Rules, their tests and their runbooks: what they name is there, and nothing is left out."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest

from contracts.types.conflict import Stage
from services.ingest.domain.refusal import CODES
from tests.observe.files import OBSERVE, ROOT, RUNBOOKS, alerts, records, rule_tests
from tests.observe.promql import METRICS, TARGET, assert_known, grouped_by, selectors
from tests.support.tools import program

HARMLESS = {
    *TARGET, "agency", "channel", "check", "code", "component", "facility", "objective", "partition", "subscription",
    "topic",
}  # fmt: skip
"""Labels that an alert may carry: none of them names a person (G8)."""
OBJECTIVES = {r["labels"]["objective"] for r in records() if r["record"] == "sallyport:objective_budget:ratio"}
OURS_UNREADABLE = {"custody_event_unreadable", "episode_closed", "episode_too_large", "breaker_unreadable",
    "review_decision_unreadable", "tally_unreadable", "detainer_unreadable", "conflict_unreadable", "review_unreadable",
    "registry_record_unreadable"}  # fmt: skip
"""What the matcher and the notifier find on a topic, and keep in rejects.v1."""
INSTALL = "apt-get install --no-install-recommends prometheus"


def _expressions() -> list[Any]:
    named = [(name, rule["expr"]) for name, rule in alerts().items()]
    named += [(f"{r['record']} {r.get('labels', {}).get('objective', '')}", r["expr"]) for r in records()]
    return [pytest.param(expr, id=name) for name, expr in named]


@pytest.mark.parametrize("expr", _expressions())
def test_a_rule_asks_for_metrics_that_services_have(expr: str) -> None:
    assert selectors(expr) or expr.startswith("vector(")
    assert_known(expr)


def test_the_look_at_queries_sees_what_is_wrong() -> None:
    expr = 'sum by (le, stage) (rate(a_bucket{stage=~"x|y",le="1"}[5m])) / on (stage) group_left b:c > 3 and vector(1)'
    assert [(s.metric, set(s.labels)) for s in selectors(expr)] == [("a_bucket", {"stage", "le"}), ("b:c", set())]
    assert grouped_by(expr) == {"le", "stage"}
    for wrong in (
        "sallyport_feed_silence",
        'sallyport_feed_silent{agency="X"}',
        "sum by (agency) (sallyport_feed_silent)",
        "sallyport:objective_errors:ratio_rate2h",
    ):
        with pytest.raises(AssertionError):
            assert_known(wrong)


def test_what_is_asked_for_its_increase_is_there_before_the_first_one() -> None:
    """A series that begins at 40 has not risen: of a burst right after a start, nothing would show."""
    script = (
        f"import importlib, prometheus_client\nfor name in {METRICS}: importlib.import_module(name)\n"
        "from services.matcher import app as matcher; from services.notifier import app as notifier\n"
        "matcher.describe(), notifier.describe()\n"
        "print(prometheus_client.generate_latest().decode())"
    )  # a process of its own: in this one, other tests have counted
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    samples = done.stdout.splitlines()
    for code in (*CODES, *OURS_UNREADABLE):
        assert f'sallyport_rejects_total{{code="{code}"}} 0.0' in samples
    for stage in Stage:
        assert f'sallyport_event_to_delivery_seconds_count{{stage="{stage}"}} 0.0' in samples


@pytest.mark.parametrize("name", alerts())
def test_an_alert_says_how_bad_it_is_and_where_to_read_on(name: str) -> None:
    rule = alerts()[name]
    assert rule["labels"] == {"severity": rule["labels"]["severity"]}
    assert rule["labels"]["severity"] in ("critical", "warning")
    notes = rule["annotations"]
    assert notes.keys() == {"summary", "description", "runbook"}
    assert notes["runbook"] == f"docs/operate/runbooks/{name}.md"
    shown = set(re.findall(r"\$labels\.(\w+)", notes["summary"] + notes["description"]))
    assert shown <= HARMLESS
    # Whatever is left after the last aggregation is on the alert, and goes to whoever is on duty.
    if "absent" not in rule["expr"] and name != "SallyportServiceDown":
        assert grouped_by(rule["expr"]) - {"le"} <= HARMLESS


@pytest.mark.parametrize("name", alerts())
def test_an_alert_is_tested_by_series_that_fire_it_and_by_series_that_do_not(name: str) -> None:
    checks = [(case, check) for _, case, check in rule_tests() if check["alertname"] == name]
    assert any(check["exp_alerts"] for _, check in checks), "nothing fires it"
    quiet = [case for case, check in checks if not check["exp_alerts"]]
    assert any(case["input_series"] for case in quiet), "nothing is shown not to fire it"


@pytest.mark.parametrize("objective", sorted(OBJECTIVES))
def test_an_objective_has_its_windows_and_both_its_alarms_are_tested(objective: str) -> None:
    windows = {
        r["record"].rpartition("ratio_rate")[2] for r in records() if _of(r) == objective and "errors" in r["record"]
    }
    assert windows == {"5m", "30m", "1h", "6h"}
    for alert in ("SallyportObjectiveBurnsFast", "SallyportObjectiveBurnsSlowly"):
        checks = [(name, check) for name, _, check in rule_tests() if check["alertname"] == alert]
        mine = [check for name, check in checks if name.startswith(objective)]
        assert any(e["exp_labels"]["objective"] == objective for check in mine for e in check["exp_alerts"])
        assert any(not check["exp_alerts"] for check in mine)


def _of(rule: dict[str, Any]) -> str:
    return str(rule.get("labels", {}).get("objective", ""))


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    assert {page.stem for page in RUNBOOKS.glob("*.md")} == set(alerts())


def test_promtool_finds_the_rules_well_formed() -> None:
    promtool = program("promtool", INSTALL)
    files = [str(file) for file in sorted((OBSERVE / "rules").glob("*.yaml"))]
    done = subprocess.run([promtool, "check", "rules", *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", sorted((OBSERVE / "tests").glob("*.yaml")), ids=lambda file: str(file.stem))
def test_promtool_sees_alerts_fire_and_not_fire(file: Any) -> None:
    promtool = program("promtool", INSTALL)
    done = subprocess.run(
        [promtool, "test", "rules", file.name], cwd=file.parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_finds_the_configuration_well_formed() -> None:
    promtool = program("promtool", INSTALL)
    done = subprocess.run(
        [promtool, "check", "config", "--syntax-only", str(OBSERVE / "prometheus.yaml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
