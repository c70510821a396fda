"""Who may reach whom, by the policies as rendered from the example for Strimzi and CloudNativePG, and with e-mail."""

from __future__ import annotations

import ipaddress
import itertools

import pytest
import yaml

from tests.helm.chart import EXAMPLES, Chart, Objects, merged
from tests.helm.reach import End, may_reach

HOME = "justice"
COMPONENTS = ("ingest", "matcher", "notifier", "setup", "toolbox")
DNS = End("kube-system", {"k8s-app": "kube-dns"})
KAFKA = End("kafka", {"strimzi.io/cluster": "justice"})
DATABASE = End(HOME, {"cnpg.io/cluster": "sallyport-db"})
EDGE = End("ingress-nginx", {"app": "nginx"})
PROMETHEUS = End("monitoring", {"app": "prometheus"})
STRANGER = End("elsewhere", {"app": "anything"})
NEIGHBOUR = End(HOME, {"app": "anything"})
INTERNET = [End(address="198.51.100.7"), End(address="2001:db8::7")]
PRIVATE = [
    End(address=a)
    for a in (
        "10.0.0.1",
        "172.16.9.9",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "127.0.0.1",
        "fd00::1",
        "fe80::1",
    )
]


@pytest.fixture(scope="module")
def objects(chart: Chart) -> Objects:
    example = next(path for path in EXAMPLES if path.stem == "strimzi-cloudnativepg")
    values = yaml.safe_load(example.read_text("utf-8"))
    return chart.template(merged(values, {"notifier": {"mail": {"host": "smtp.example.net", "from": "n@example.org"}}}))


def own(objects: Objects, component: str) -> End:
    """A pod of ours, with the labels that its template has."""
    for found in objects:
        template = found.get("spec", {}).get("template", {}) if found["kind"] != "ScaledObject" else {}
        labels = template.get("metadata", {}).get("labels", {})
        if labels.get("app.kubernetes.io/component") == component:
            return End(HOME, labels)
    raise AssertionError(component)


def may(objects: Objects, source: End, target: End, port: int, protocol: str = "TCP") -> bool:
    return may_reach(objects, source, target, port, home=HOME, protocol=protocol)


@pytest.mark.parametrize("component", COMPONENTS)
def test_everybody_needs_names_and_kafka(objects: Objects, component: str) -> None:
    pod = own(objects, component)
    assert may(objects, pod, DNS, 53, "UDP")
    assert may(objects, pod, KAFKA, 9093)
    assert not may(objects, pod, KAFKA, 9092), "the listener without a lock"
    assert not may(objects, pod, DNS, 443)


@pytest.mark.parametrize("component", COMPONENTS)
def test_the_database_is_the_notifiers(objects: Objects, component: str) -> None:
    assert may(objects, own(objects, component), DATABASE, 5432) == (component in ("notifier", "setup", "toolbox"))


@pytest.mark.parametrize("component", COMPONENTS)
@pytest.mark.parametrize("port", [443, 587])
@pytest.mark.parametrize("outside", INTERNET, ids=lambda end: end.address)
def test_only_the_notifier_reaches_out(objects: Objects, component: str, port: int, outside: End) -> None:
    assert may(objects, own(objects, component), outside, port) == (component == "notifier")


def test_and_not_on_any_port(objects: Objects) -> None:
    assert not may(objects, own(objects, "notifier"), INTERNET[0], 80)
    assert not may(objects, own(objects, "notifier"), INTERNET[0], 25)


@pytest.mark.parametrize("component", COMPONENTS)
@pytest.mark.parametrize("inside", PRIVATE, ids=lambda end: end.address)
def test_nobody_reaches_private_addresses(objects: Objects, component: str, inside: End) -> None:
    assert ipaddress.ip_address(inside.address).is_global is False
    for port in (80, 443, 587, 8080):
        assert not may(objects, own(objects, component), inside, port)


@pytest.mark.parametrize(("component", "is_open"), [("ingest", True), ("notifier", True), ("matcher", False)])
def test_the_edge_reaches_the_two_edges(objects: Objects, component: str, is_open: bool) -> None:
    assert may(objects, EDGE, own(objects, component), 8080) == is_open
    assert not may(objects, EDGE, own(objects, component), 9000)


@pytest.mark.parametrize("component", COMPONENTS)
def test_prometheus_reaches_the_services_and_a_stranger_nothing(objects: Objects, component: str) -> None:
    pod = own(objects, component)
    assert may(objects, PROMETHEUS, pod, 8080) == (component not in ("setup", "toolbox"))
    assert not may(objects, STRANGER, pod, 8080)
    assert not may(objects, NEIGHBOUR, pod, 8080)
    assert not may(objects, INTERNET[0], pod, 8080)


def test_ours_do_not_talk_to_each_other(objects: Objects) -> None:
    """What the services share is topics."""
    for source, target in itertools.permutations(COMPONENTS, 2):
        assert not may(objects, own(objects, source), own(objects, target), 8080)


def test_with_nobody_named_nobody_comes_in(chart: Chart) -> None:
    objects = chart.with_minimal()
    for component, caller in itertools.product(COMPONENTS, (EDGE, PROMETHEUS, STRANGER, NEIGHBOUR)):
        assert not may(objects, caller, own(objects, component), 8080)


def test_without_policies_this_test_would_see_it(chart: Chart) -> None:
    objects = chart.with_minimal({"networkPolicy": {"enabled": False}})
    assert may(objects, STRANGER, own(objects, "matcher"), 8080)
    assert may(objects, own(objects, "ingest"), INTERNET[0], 443)
