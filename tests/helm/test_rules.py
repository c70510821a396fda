"""The alert rules as the chart has them: those of deploy/observe, of this release's namespace and no other."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.helm.schema import CHART
from tests.helm.chart import Chart, Object
from tests.observe.promql import selectors
from tests.observe.test_rules import INSTALL
from tests.support.tools import program

OBSERVE = CHART.parents[1] / "observe"
NAMES = [path.stem for path in sorted((OBSERVE / "rules").glob("*.yaml"))]
OWN = 'namespace="justice"'
CASES = {"objectives": 3}
"""Not all of a file: these take 45 s in all, and the objectives have the same rules."""
SERVICES = ("ingest", "matcher", "notifier")


@pytest.fixture(scope="module")
def rendered(chart: Chart) -> dict[str, Object]:
    objects = chart.with_minimal({"prometheusRule": {"enabled": True}})
    found = {o["metadata"]["name"]: o["spec"] for o in objects if o["kind"] == "PrometheusRule"}
    return {name: found[f"sp-sallyport-{name}"] for name in NAMES}


def read(directory: str, name: str) -> Any:
    return yaml.safe_load((OBSERVE / directory / f"{name}.yaml").read_text("utf-8"))


@pytest.mark.parametrize("name", NAMES)
def test_every_metric_is_asked_for_in_the_namespace_and_nothing_else_is_changed(
    rendered: dict[str, Object], name: str
) -> None:
    rules = [rule for group in rendered[name]["groups"] for rule in group["rules"]]
    for rule in rules:
        assert all("namespace" in selector.labels for selector in selectors(rule["expr"])), rule
    without = [
        {
            **rule,
            "expr": rule["expr"].replace(f"{OWN},", "").replace(f"{{{OWN}}}", ""),
            "labels": {key: value for key, value in rule["labels"].items() if (key, value) != ("namespace", "justice")},
        }
        for rule in rules
    ]
    assert all(rule["labels"]["namespace"] == "justice" for rule in rules)
    assert without == [{"labels": {}, **rule} for group in read("rules", name)["groups"] for rule in group["rules"]]


@pytest.mark.parametrize("name", NAMES)
def test_they_fire_as_they_are_tested_whatever_another_release_does(
    rendered: dict[str, Object], name: str, tmp_path: Path
) -> None:
    """The tests of deploy/observe, each series there twice: here, and in another namespace."""
    tests = read("tests", name)
    tests["tests"] = tests["tests"][: CASES.get(name)]
    for case in tests["tests"]:
        case["input_series"] = [
            {**series, "series": series["series"].replace("{", f'{{namespace="{namespace}",', 1)}
            for series in case["input_series"]
            for namespace in ("justice", "other")
        ]
        for alert in [alert for check in case["alert_rule_test"] for alert in check["exp_alerts"]]:
            alert["exp_labels"]["namespace"] = "justice"
    run(tmp_path, rendered[name], tests)


def test_a_release_that_is_absent_is_not_hidden_by_another(rendered: dict[str, Object], tmp_path: Path) -> None:
    page = "docs/operate/runbooks/SallyportServiceAbsent.md"
    expected = [
        {
            "exp_labels": {"severity": "critical", "component": service, "namespace": "justice"},
            "exp_annotations": {
                "summary": f"No instance of {service} is to be seen",
                "description": f"Nothing is scraped that says it is {service}. Nobody does its work.",
                "runbook": page,
            },
        }
        for service in SERVICES
    ]
    series = [
        {"series": f'sallyport_build_info{{namespace="other",component="{service}"}}', "values": "1x20"}
        for service in SERVICES
    ]
    checks = [{"eval_time": "10m", "alertname": "SallyportServiceAbsent", "exp_alerts": expected}]
    case = {"interval": "1m", "input_series": series, "alert_rule_test": checks}
    run(tmp_path, rendered["services"], {"evaluation_interval": "30s", "tests": [case]})


def run(directory: Path, rules: Object, tests: Object) -> None:
    promtool = program("promtool", INSTALL)
    (directory / "rules.yaml").write_text(yaml.safe_dump(rules), "utf-8")
    (directory / "tests.yaml").write_text(yaml.safe_dump({**tests, "rule_files": ["rules.yaml"]}), "utf-8")
    done = subprocess.run(
        [promtool, "test", "rules", "tests.yaml"], cwd=directory, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
