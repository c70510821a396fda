"""What is rendered is what Kubernetes takes: lint, and the strict schemas of two versions."""

from __future__ import annotations

import json
import tomllib
import warnings
from pathlib import Path
from typing import Any

import pytest
import yaml

from contracts.catalog import load_topics
from deploy.helm.schema import CHART, PARTITIONS, schema
from tests.helm.chart import EXAMPLES, KUBE, Chart, Objects, merged, minimal, only

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import kubernetes_validate

VERSIONS = ("1.30", "1.37")
CUSTOM = {"ServiceMonitor", "PrometheusRule", "ScaledObject", "HTTPRoute", "KafkaUser"}
KAFKA_USERS = {
    "strimzi": {"users": {"enabled": True, "cluster": "justice", "namespace": "kafka"}},
    "setup": {"acls": False},
}
EVERYTHING: dict[str, Any] = {
    "commonLabels": {"team": "justice"},
    "image": {"digests": {"ingest": "sha256:" + "0" * 64}, "pullSecrets": ["registry"]},
    "kafka": {"ca": {"secretName": "kafka-ca"}},
    "database": {"ca": {"secretName": "db-ca"}},
    "matcher": {
        "identityModel": {"configMapName": "model"},
        "identitySearchToken": {"secretName": "search"},
        "autoscaling": {"enabled": True, "prometheusUrl": "http://prometheus:9090"},
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "dedicated", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "priorityClassName": "high",
        "podAnnotations": {"a": "b"},
        "podLabels": {"c": "d"},
        "settings": {"look_back_days": 60, "breaker_share": 0.5},
    },
    "notifier": {
        "mail": {
            "host": "smtp.example.org",
            "from": "n@example.org",
            "username": "u",
            "passwordSecretName": "mail",
            "ca": {"secretName": "mail-ca"},
        },
        "edge": {"ingress": {"enabled": True, "hosts": ["n.example.org"], "tlsSecretName": "n"}},
    },
    "ingest": {
        "edge": {"httpRoute": {"enabled": True, "parentRefs": [{"name": "public"}], "hostnames": ["i.example.org"]}},
        "serviceAccount": {"annotations": {"e": "f"}},
        "service": {"annotations": {"g": "h"}},
    },
    "traces": {
        "endpoint": "https://collector:4318",
        "headers": {"secretName": "traces"},
        "ca": {"secretName": "traces-ca"},
    },
    "networkPolicy": {
        "traces": {"to": [{"podSelector": {}}]},
        "ingestFrom": [{"podSelector": {}}],
        "metricsFrom": [{"namespaceSelector": {}}],
        "searchFrom": [{"podSelector": {}}],
        "mailTo": [{"ipBlock": {"cidr": "192.0.2.1/32"}}],
    },
    "serviceMonitor": {"enabled": True},
    "prometheusRule": {"enabled": True},
    "boards": {"enabled": True},
}
SETS: dict[str, list[dict[str, Any]]] = {
    "minimal": [{}],
    "everything": [EVERYTHING],
    "strimzi users": [KAFKA_USERS],
    "nothing optional": [
        {
            "setup": {"enabled": False},
            "networkPolicy": {"enabled": False},
            **{
                name: {"podDisruptionBudget": {"enabled": False}, "topologySpread": {"enabled": False}}
                for name in ("ingest", "matcher", "notifier")
            },
        }
    ],
    "topics only": [{"setup": {"migrate": False}}],
    "migrations only": [{"setup": {"topics": False}}],
}


def assert_valid(objects: Objects, version: str) -> None:
    names = [(o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]) for o in objects]
    assert len(names) == len(set(names)), "two objects of one name"
    for found in objects:
        if found["kind"] not in CUSTOM:
            assert kubernetes_validate.validate(found, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", SETS)
def test_every_object_is_valid(chart: Chart, name: str, version: str) -> None:
    assert_valid(chart.with_minimal(*SETS[name]), version)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_is_valid(chart: Chart, example: Any, version: str) -> None:
    assert_valid(chart.template(yaml.safe_load(example.read_text("utf-8"))), version)


def test_a_field_that_does_not_exist_would_be_found(chart: Chart) -> None:
    objects = chart.with_minimal()
    only(objects, "Deployment", "ingest")["spec"]["template"]["spec"]["containers"][0]["readOnly"] = True
    with pytest.raises(kubernetes_validate.ValidationError):
        assert_valid(objects, VERSIONS[0])


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_lint(chart: Chart, example: Any) -> None:
    done = chart.run("lint", "--strict", str(CHART), *KUBE, values=yaml.safe_load(example.read_text("utf-8")))
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_chart_as_it_is_asks_for_what_it_needs(chart: Chart) -> None:
    done = chart.run("template", "sp", str(CHART), *KUBE)
    assert done.returncode != 0
    assert "image.registry" in done.stderr or "networkPolicy.kafka.to" in done.stderr


def test_the_schema_of_the_values_is_current() -> None:
    written = json.loads((CHART / "values.schema.json").read_text("utf-8"))
    assert written == schema(), "python -m deploy.helm.schema"


def test_every_value_is_in_the_schema_and_has_a_default() -> None:
    """A value that may be set, and is not in values.yaml, is one that nobody finds."""
    values = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))

    def compare(described: dict[str, Any], given: Any, path: str) -> None:
        inner = described.get("properties")
        if not inner or path.endswith(("settings", "digests")):
            return
        assert set(inner) - {"global"} == set(given), path
        for key in given:
            compare(inner[key], given[key], f"{path}.{key}")

    compare(schema(), values, "values")


def test_no_more_matchers_than_partitions() -> None:
    assert load_topics()["custody.events.v1"].partitions == PARTITIONS


def test_what_has_to_be_given_is_given_by_the_examples_and_minimal() -> None:
    for example in EXAMPLES:
        values = yaml.safe_load(example.read_text("utf-8"))
        assert minimal().keys() <= values.keys(), example.name


def test_the_package_stands_by_itself(chart: Chart, tmp_path: Path) -> None:
    """Rules, boards and topics are links in the repository, and files in what is published."""
    done = chart.run("package", str(CHART), "--destination", str(tmp_path))
    assert done.returncode == 0, done.stderr
    (package,) = tmp_path.glob("*.tgz")
    assert package.stat().st_size < 500_000, "a release is kept in one secret, of 1 MB at most"
    values = merged(minimal(), EVERYTHING)
    assert chart.at(package).template(values) == chart.template(values)


def test_the_chart_is_of_the_version_of_the_project() -> None:
    project = tomllib.loads((CHART.parents[2] / "pyproject.toml").read_text("utf-8"))["project"]
    assert yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))["appVersion"] == project["version"]
