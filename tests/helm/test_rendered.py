"""What each value that matters does to the objects."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from deploy.helm.schema import CHART
from services.platform.cli import app
from services.platform.operator.topics import principals_of
from tests.helm.chart import Chart, Object, Objects, only
from tests.helm.test_schemas import EVERYTHING

SERVICES = {"ingest": "Deployment", "matcher": "StatefulSet", "notifier": "Deployment"}
ACLS = ["--acls", *(f"--principal={n}=User:sallyport-{n}" for n in ("ingest", "matcher", "notifier", "operator"))]


def workload(objects: Objects, service: str) -> Object:
    return only(objects, SERVICES[service], service)


def pod(objects: Objects, service: str) -> Any:
    if service == "setup":
        return only(objects, "Job")["spec"]["template"]["spec"]
    if service == "toolbox":
        return only(objects, "Deployment", "toolbox")["spec"]["template"]["spec"]
    return workload(objects, service)["spec"]["template"]["spec"]


def env(objects: Objects, service: str) -> dict[str, Any]:
    """Name -> value, or where it comes from; each name once."""
    entries = pod(objects, service)["containers"][0]["env"]
    assert len({entry["name"] for entry in entries}) == len(entries), "a variable twice"
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in entries}


def files(objects: Objects, service: str) -> dict[str, tuple[str, str]]:
    """Mounted file -> (secret, key)."""
    spec = pod(objects, service)
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    found = {}
    for mount in [m for c in [*spec.get("initContainers", []), *spec["containers"]] for m in c["volumeMounts"]]:
        for source in volumes[mount["name"]].get("projected", {}).get("sources", []):
            for item in source["secret"]["items"]:
                found[f"{mount['mountPath']}/{item['path']}"] = (source["secret"]["name"], item["key"])
    return found


@pytest.mark.parametrize("service", [*SERVICES, "setup", "toolbox"])
@pytest.mark.parametrize("values", [{}, EVERYTHING], ids=["minimal", "everything"])
def test_every_pod_is_restricted(chart: Chart, service: str, values: dict[str, Any]) -> None:
    spec = pod(chart.with_minimal(values), service)
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] == spec["securityContext"]["runAsGroup"] == 10001
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert {next(k for k in volume if k != "name") for volume in spec["volumes"]} <= {
        "emptyDir",
        "projected",
        "configMap",
    }
    for container in [*spec.get("initContainers", []), *spec["containers"]]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["requests"] and container["resources"]["limits"]["memory"]
        assert all(m.get("readOnly") for m in container["volumeMounts"] if m["mountPath"] != "/tmp")


@pytest.mark.parametrize("service", SERVICES)
def test_probes_ask_what_they_are_for(chart: Chart, service: str) -> None:
    container = pod(chart.with_minimal(), service)["containers"][0]
    paths = {name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")}
    assert paths == {"startup": "/livez", "liveness": "/livez", "readiness": "/readyz"}
    assert container["ports"] == [{"name": "http", "containerPort": 8080}]
    assert env(chart.with_minimal(), service)["SALLYPORT_HTTP_PORT"] == "8080"


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("drain", [20, 90.5])
def test_a_pod_is_not_killed_before_it_has_drained(chart: Chart, service: str, drain: float) -> None:
    objects = chart.with_minimal({service: {"drainDeadlineSeconds": drain}})
    spec = pod(objects, service)
    pause = spec["containers"][0].get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    assert pause == (0 if service == "matcher" else 5)
    # services/platform/service.py gives a drain that is late 5 seconds more
    assert spec["terminationGracePeriodSeconds"] > pause + drain + 5
    assert float(env(objects, service)["SALLYPORT_DRAIN_DEADLINE_S"]) == drain


@pytest.mark.parametrize("service", SERVICES)
def test_a_rolling_update_takes_nothing_away(chart: Chart, service: str) -> None:
    objects = chart.with_minimal()
    spec = workload(objects, service)["spec"]
    if service == "matcher":
        assert spec["updateStrategy"]["type"] == "RollingUpdate"
        assert spec["serviceName"] == only(objects, "Service", "matcher")["metadata"]["name"]
    else:
        assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    budget = only(objects, "PodDisruptionBudget", service)["spec"]
    assert budget["maxUnavailable"] == 1
    assert budget["selector"]["matchLabels"] == spec["selector"]["matchLabels"]
    assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()
    spreads = spec["template"]["spec"]["topologySpreadConstraints"]
    assert [s["topologyKey"] for s in spreads] == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
    assert all(s["labelSelector"]["matchLabels"] == spec["selector"]["matchLabels"] for s in spreads)


def test_selectors_do_not_change_with_the_version(chart: Chart) -> None:
    """They cannot be changed in an upgrade; and a chart of another version alone restarts no pod."""
    for service in SERVICES:
        spec = workload(chart.with_minimal(), service)["spec"]
        assert not {"app.kubernetes.io/version", "helm.sh/chart"} & spec["template"]["metadata"]["labels"].keys()


def test_static_membership(chart: Chart) -> None:
    name = {"fieldRef": {"fieldPath": "metadata.name"}}
    static = env(chart.with_minimal(), "matcher")
    assert static["SALLYPORT_GROUP_INSTANCE_ID"] == name
    assert static["SALLYPORT_SESSION_TIMEOUT_MS"] == "45000"
    assert workload(chart.with_minimal(), "matcher")["spec"]["podManagementPolicy"] == "Parallel"
    dynamic = env(chart.with_minimal({"matcher": {"staticMembership": False, "sessionTimeoutSeconds": 10}}), "matcher")
    assert "SALLYPORT_GROUP_INSTANCE_ID" not in dynamic
    assert dynamic["SALLYPORT_SESSION_TIMEOUT_MS"] == "10000"


def test_images(chart: Chart) -> None:
    digest = "sha256:" + "a" * 64
    objects = chart.with_minimal(
        {
            "image": {
                "registry": "r.example.org/x/",
                "tag": "1.2.3",
                "digests": {"matcher": digest},
                "pullSecrets": ["s"],
            }
        }
    )
    for service, image in (
        ("ingest", "r.example.org/x/sallyport-ingest:1.2.3"),
        ("matcher", f"r.example.org/x/sallyport-matcher@{digest}"),
        ("notifier", "r.example.org/x/sallyport-notifier:1.2.3"),
        ("setup", "r.example.org/x/sallyport-notifier:1.2.3"),
    ):
        spec = pod(objects, service)
        assert {c["image"] for c in [*spec.get("initContainers", []), *spec["containers"]]} == {image}
        assert spec["imagePullSecrets"] == [{"name": "s"}]
    version = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))["appVersion"]
    assert pod(chart.with_minimal(), "ingest")["containers"][0]["image"].endswith(f":{version}")


def test_numbers_arrive_as_they_were_written(chart: Chart) -> None:
    """Helm has read 16777216 as a float and printed 1.6777216e+07, which no integer setting takes."""
    values = {"ingest": {"settings": {"max_body_bytes": 16_777_216, "max_future_hours": 0.25}}}
    got = env(chart.with_minimal(values), "ingest")
    assert got["SALLYPORT_MAX_BODY_BYTES"] == "16777216"
    assert got["SALLYPORT_MAX_FUTURE_HOURS"] == "0.25"


def test_secrets_are_files_and_never_in_the_environment(chart: Chart) -> None:
    objects = chart.with_minimal(EVERYTHING)
    traces = {
        "/run/sallyport/secrets/otlp_headers": ("traces", "otlp_headers"),
        "/run/sallyport/ca/traces.crt": ("traces-ca", "ca.crt"),
    }
    assert files(objects, "notifier") == {
        **traces,
        "/run/sallyport/secrets/kafka_password": ("kafka-notifier", "password"),
        "/run/sallyport/secrets/database_url": ("db", "uri"),
        "/run/sallyport/secrets/secrets_keys": ("keys", "secrets_keys"),
        "/run/sallyport/secrets/smtp_password": ("mail", "password"),
        "/run/sallyport/ca/kafka.crt": ("kafka-ca", "ca.crt"),
        "/run/sallyport/ca/database.crt": ("db-ca", "ca.crt"),
        "/run/sallyport/ca/mail.crt": ("mail-ca", "ca.crt"),
    }
    assert files(objects, "matcher").keys() - traces.keys() == {
        "/run/sallyport/secrets/kafka_password",
        "/run/sallyport/secrets/identity_search_token",
        "/run/sallyport/ca/kafka.crt",
    }
    assert files(objects, "ingest") == {
        **traces,
        "/run/sallyport/secrets/kafka_password": ("kafka-ingest", "password"),
        "/run/sallyport/ca/kafka.crt": ("kafka-ca", "ca.crt"),
    }
    assert not traces.keys() & files(chart.with_minimal(EVERYTHING, {"traces": {"endpoint": ""}}), "ingest").keys()
    for service in (*SERVICES, "setup", "toolbox"):
        for container in pod(objects, service)["containers"]:
            assert not container.get("envFrom")
            assert all("secretKeyRef" not in entry.get("valueFrom", {}) for entry in container["env"])


def test_a_ca_file_that_is_named_is_mounted(chart: Chart) -> None:
    for values in ({}, EVERYTHING):
        objects = chart.with_minimal(values)
        for service in SERVICES:
            named = {value for name, value in env(objects, service).items() if name.endswith("_CA_FILE")}
            mounted = {path for path in files(objects, service) if "/ca/" in path}
            assert named == mounted, service


def test_set_up_comes_first_and_brings_what_it_needs(chart: Chart) -> None:
    objects = chart.with_minimal()
    hooks = [o for o in objects if "helm.sh/hook" in o["metadata"].get("annotations", {})]
    by_kind = {o["kind"]: o["metadata"]["annotations"] for o in hooks}
    assert by_kind.keys() == {"Job", "ServiceAccount", "NetworkPolicy"}
    assert {a["helm.sh/hook"] for a in by_kind.values()} == {"pre-install,pre-upgrade"}
    assert all(int(by_kind[k]["helm.sh/hook-weight"]) < 0 for k in ("ServiceAccount", "NetworkPolicy"))
    assert "hook-succeeded" not in by_kind["Job"]["helm.sh/hook-delete-policy"], "its log would be gone"
    spec = pod(objects, "setup")
    (topics,), (migrate,) = spec["initContainers"], spec["containers"]
    assert topics["command"] + topics["args"] == ["sallyport", "topics", "apply", "--replication-factor=-1", *ACLS]
    assert migrate["command"] == ["sallyport", "migrate"]
    assert files(objects, "setup") == {
        "/run/sallyport/operator/kafka_password": ("kafka-operator", "password"),
        "/run/sallyport/database/database_url": ("db", "uri"),
    }
    assert [m["mountPath"] for m in migrate["volumeMounts"]] == ["/tmp", "/run/sallyport/database"]


@pytest.mark.parametrize(
    ("setup", "commands"),
    [
        ({"acls": False, "replicationFactor": 3}, [["topics", "apply", "--replication-factor=3"], ["migrate"]]),
        ({"migrate": False}, [["topics", "apply", "--replication-factor=-1", *ACLS]]),
        ({"topics": False}, [["migrate"]]),
    ],
)
def test_what_set_up_does(chart: Chart, setup: dict[str, Any], commands: list[list[str]]) -> None:
    spec = pod(chart.with_minimal({"setup": setup}), "setup")
    containers = [*spec.get("initContainers", []), *spec["containers"]]
    assert [(c["command"] + c.get("args", []))[1:] for c in containers] == commands


def test_the_acls_are_for_the_users_that_are_named(chart: Chart) -> None:
    users = {"ingest": {"username": "jail-in"}, "operator": {"username": "CN=operator,O=County"}}
    container = pod(chart.with_minimal({"kafka": {"users": users}}), "setup")["initContainers"][0]
    _, bound, _ = app.parse_args([*container["command"][1:], *container["args"]], exit_on_error=False)
    assert principals_of(bound.arguments["principal"]) == {
        "ingest": "User:jail-in",
        "matcher": "User:sallyport-matcher",
        "notifier": "User:sallyport-notifier",
        "operator": "User:CN=operator,O=County",
    }


@pytest.mark.parametrize("setup", [{"enabled": False}, {"topics": False, "migrate": False}])
def test_no_set_up(chart: Chart, setup: dict[str, Any]) -> None:
    objects = chart.with_minimal({"setup": setup})
    assert not [o for o in objects if o["kind"] == "Job" or "helm.sh/hook" in o["metadata"].get("annotations", {})]


def test_only_the_api_is_shown_outside(chart: Chart) -> None:
    objects = chart.with_minimal(EVERYTHING)
    rule = only(objects, "Ingress", "notifier")["spec"]["rules"][0]
    assert [path["path"] for path in rule["http"]["paths"]] == ["/v1"]
    route = only(objects, "HTTPRoute", "ingest")["spec"]
    assert route["rules"][0]["matches"] == [{"path": {"type": "PathPrefix", "value": "/v1"}}]
    assert route["rules"][0]["backendRefs"] == [{"name": "sp-sallyport-ingest", "port": 80}]
    assert only(objects, "Service", "matcher")["spec"]["clusterIP"] == "None"


def test_the_notes_say_what_is_shut(chart: Chart) -> None:
    said = chart.notes()
    assert "NOBODY can reach ingest" in said
    assert "No e-mail" in said
    said = chart.notes(EVERYTHING)
    assert "NOBODY can reach ingest" not in said
    assert "No e-mail" not in said
