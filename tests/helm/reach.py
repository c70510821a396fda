"""Who may reach whom, computed from NetworkPolicies as Kubernetes defines them: what nothing selects is open, what a
policy selects is shut but for what some policy allows; a connection needs both its ends to allow it."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.helm.chart import Objects

__all__ = ["End", "may_reach"]

NAMESPACE_NAME = "kubernetes.io/metadata.name"


@dataclass(frozen=True)
class End:
    """A pod, by its namespace and labels, or an address outside of the cluster."""

    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    address: str = ""


def may_reach(objects: Objects, source: End, target: End, port: int, *, home: str, protocol: str = "TCP") -> bool:
    """Whether a connection from source to the port of target is allowed. home: the namespace of the policies."""
    policies = [o["spec"] for o in objects if o["kind"] == "NetworkPolicy"]
    return _side(policies, source, target, "Egress", port, protocol, home) and _side(
        policies, target, source, "Ingress", port, protocol, home
    )


def _side(
    policies: list[dict[str, Any]], own: End, other: End, direction: str, port: int, protocol: str, home: str
) -> bool:
    selecting = [
        policy
        for policy in policies
        if not own.address
        and own.namespace == home
        and _selects(policy["podSelector"], own.labels)
        and direction in policy["policyTypes"]
    ]
    if not selecting:
        return True
    side = "to" if direction == "Egress" else "from"
    return any(
        _port(rule.get("ports"), port, protocol)
        and (not rule.get(side) or any(_is(p, other, home) for p in rule[side]))
        for policy in selecting
        for rule in policy.get(direction.lower()) or []
    )


def _port(ports: list[dict[str, Any]] | None, port: int, protocol: str) -> bool:
    return not ports or any(p.get("port") == port and p.get("protocol", "TCP") == protocol for p in ports)


def _is(peer: dict[str, Any], end: End, home: str) -> bool:
    if "ipBlock" in peer:
        if not end.address:
            return False  # pods are told by their labels; a block is for what is outside of the cluster
        address = ipaddress.ip_address(end.address)
        return address in ipaddress.ip_network(peer["ipBlock"]["cidr"]) and not any(
            address in ipaddress.ip_network(block) for block in peer["ipBlock"].get("except", [])
        )
    if end.address:
        return False
    if "namespaceSelector" in peer:
        if not _selects(peer["namespaceSelector"], {NAMESPACE_NAME: end.namespace}):
            return False
    elif end.namespace != home:
        return False
    return _selects(peer.get("podSelector", {}), end.labels)


def _selects(selector: dict[str, Any], labels: Mapping[str, str]) -> bool:
    assert selector.keys() <= {"matchLabels"}, "matchExpressions: not needed so far, and not read"
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
