"""What is made for others' operators: KEDA, the one of Prometheus with Grafana's sidecar, Strimzi."""

from __future__ import annotations

import json

from contracts.catalog import load_access, load_topics
from deploy.helm.schema import CHART
from services.platform.kafka.acls import Binding, default_principals, plan_acls
from tests.helm.chart import Chart, only
from tests.helm.test_rendered import SERVICES, workload
from tests.helm.test_schemas import KAFKA_USERS

OBSERVE = CHART.parents[1] / "observe"


def test_scaling_is_by_the_lag_that_the_matcher_measures(chart: Chart) -> None:
    objects = chart.with_minimal({"matcher": {"autoscaling": {"enabled": True, "prometheusUrl": "http://p:9090"}}})
    scaled = only(objects, "ScaledObject")["spec"]
    target = workload(objects, "matcher")
    assert scaled["scaleTargetRef"] == {
        "apiVersion": target["apiVersion"],
        "kind": target["kind"],
        "name": target["metadata"]["name"],
    }
    assert "replicas" not in target["spec"], "an upgrade would undo the scaling"
    assert (scaled["minReplicaCount"], scaled["maxReplicaCount"]) == (2, 6)
    (trigger,) = scaled["triggers"]
    assert trigger["type"] == "prometheus"
    assert (
        'sallyport_consumer_lag_records{topic="custody.events.v1",namespace="justice"}' in trigger["metadata"]["query"]
    )
    assert trigger["metadata"]["threshold"] == "5000"
    assert all(isinstance(value, str) for value in trigger["metadata"].values())


def test_monitors_find_the_services_under_the_names_that_the_rules_know(chart: Chart) -> None:
    objects = chart.with_minimal({"serviceMonitor": {"enabled": True, "labels": {"release": "p"}}})
    for service in SERVICES:
        monitor = only(objects, "ServiceMonitor", service)
        assert monitor["metadata"]["labels"]["release"] == "p"
        found = only(objects, "Service", service)
        assert monitor["spec"]["selector"]["matchLabels"].items() <= found["metadata"]["labels"].items()
        (endpoint,) = monitor["spec"]["endpoints"]
        assert endpoint["port"] in {port["name"] for port in found["spec"]["ports"]}
        assert endpoint["relabelings"] == [{"targetLabel": "job", "replacement": f"sallyport-{service}"}]


def test_the_boards_are_those_of_the_repository(chart: Chart) -> None:
    objects = chart.with_minimal({"boards": {"enabled": True}})
    maps = [o for o in objects if o["kind"] == "ConfigMap"]
    assert all(o["metadata"]["labels"]["grafana_dashboard"] == "1" for o in maps)
    rendered = {name: json.loads(text) for o in maps for name, text in o["data"].items()}
    paths = sorted((OBSERVE / "boards").glob("*.json"))
    assert paths
    assert rendered == {f"sallyport-{path.name}": json.loads(path.read_text("utf-8")) for path in paths}


def test_users_of_strimzi_may_what_our_own_acls_allow(chart: Chart) -> None:
    kinds = {"topic": "topic", "group": "group", "transactionalId": "transactional_id"}
    users = [o for o in chart.with_minimal(KAFKA_USERS) if o["kind"] == "KafkaUser"]
    assert {user["apiVersion"] for user in users} == {"kafka.strimzi.io/v1"}, "since 0.49; 1.0 knows no other"
    rendered = {
        Binding(
            f"User:{user['metadata']['name']}",
            kinds[acl["resource"]["type"]],
            acl["resource"]["name"],
            "".join(f"_{c}" if c.isupper() else c for c in operation).lstrip("_").upper(),
            acl["resource"]["patternType"] == "prefix",
        )
        for user in users
        for acl in user["spec"]["authorization"]["acls"]
        for operation in acl["operations"]
    }
    access = load_access()
    wanted = {b for b in plan_acls(load_topics(), access, default_principals(access)) if b.kind != "cluster"}
    assert rendered == wanted
