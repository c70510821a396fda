"""From an alert to a person: Prometheus knows Alertmanager, and Alertmanager whom to tell."""

from __future__ import annotations

import subprocess

import yaml

from tests.observe.files import OBSERVE, alerts
from tests.support.tools import program

WHOM = OBSERVE / "alertmanager.yaml"


def test_prometheus_sends_alerts_to_the_alertmanager_of_compose() -> None:
    (manager,) = yaml.safe_load((OBSERVE / "prometheus.yaml").read_text("utf-8"))["alerting"]["alertmanagers"]
    services = yaml.safe_load((OBSERVE.parent / "compose.yaml").read_text("utf-8"))["services"]
    assert manager == {"static_configs": [{"targets": ["alertmanager:9093"]}]}
    assert set(services["prometheus"]["networks"]) <= set(services["alertmanager"]["networks"])


def test_each_severity_goes_to_somebody_and_the_critical_to_whoever_is_on_call() -> None:
    told = yaml.safe_load(WHOM.read_text("utf-8"))
    (critical,) = told["route"]["routes"]
    assert critical["matchers"] == ['severity="critical"']
    assert {rule["labels"]["severity"] for rule in alerts().values()} == {"critical", "warning"}
    receivers = {receiver["name"]: set(receiver) - {"name"} for receiver in told["receivers"]}
    assert receivers == {"on-call": {"webhook_configs", "email_configs"}, "office": {"email_configs"}}
    assert (critical["receiver"], told["route"]["receiver"]) == ("on-call", "office")


def test_amtool_finds_the_configuration_well_formed() -> None:
    amtool = program("amtool", "apt-get install --no-install-recommends prometheus-alertmanager")
    done = subprocess.run([amtool, "check-config", str(WHOM)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
