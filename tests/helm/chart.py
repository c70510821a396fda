"""Helm as the tests use it: values in, objects out."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from deploy.helm.schema import CHART

__all__ = ["CHART", "EXAMPLES", "KUBE", "Chart", "Object", "Objects", "merged", "minimal", "only"]

KUBE: Final = ("--kube-version", "1.33.0")
"""For which Kubernetes, where there is none to ask: a helm built from source takes itself for a very old one."""
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
Object = dict[str, Any]
Objects = list[Object]
EXAMPLES: Final = sorted((CHART / "examples").glob("*.yaml"))


def minimal() -> Object:
    """The least that has to be given."""
    return {
        "image": {"registry": "registry.example.org/justice"},
        "kafka": {
            "bootstrapServers": "kafka.example.org:9093",
            "users": {name: {"secretName": f"kafka-{name}"} for name in ("operator", "ingest", "matcher", "notifier")},
        },
        "database": {"secretName": "db"},
        "notifier": {"secretsKeys": {"secretName": "keys"}},
        "networkPolicy": {
            "kafka": {"to": [{"ipBlock": {"cidr": "10.20.0.0/16"}}]},
            "database": {"to": [{"ipBlock": {"cidr": "10.30.0.0/16"}}]},
        },
    }


def merged(base: Mapping[str, Any], *changes: Mapping[str, Any]) -> Object:
    """`changes` over `base`, maps into each other, as Helm merges values."""
    done = dict(base)
    for change in changes:
        for key, value in change.items():
            here = done.get(key)
            done[key] = merged(here, value) if isinstance(here, Mapping) and isinstance(value, Mapping) else value
    return done


class Chart:
    """Runs helm on the chart."""

    def __init__(self, helm: Path, path: Path = CHART) -> None:
        self._helm = helm
        self._path = path
        self._rendered: dict[tuple[str, str, str], str] = {}

    def at(self, path: Path) -> Chart:
        """The same helm on another chart."""
        return Chart(self._helm, path)

    def run(self, *arguments: str, values: Mapping[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
        """helm with these arguments, and the values on standard input if there are some; whatever its status."""
        return subprocess.run(
            [str(self._helm), *arguments, *([] if values is None else ["--values", "-"])],
            input=None if values is None else json.dumps(values),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def template(self, values: Mapping[str, Any], *, release: str = "sp", namespace: str = "justice") -> Objects:
        """What would be installed."""
        key = (release, namespace, json.dumps(values, sort_keys=True))
        if key not in self._rendered:
            done = self.run("template", release, str(self._path), "--namespace", namespace, *KUBE, values=values)
            assert done.returncode == 0, done.stderr
            self._rendered[key] = done.stdout
        return [found for found in yaml.load_all(self._rendered[key], Loader=_LOADER) if found]

    def with_minimal(self, *changes: Mapping[str, Any]) -> Objects:
        """The objects of the least values and `changes` over them."""
        return self.template(merged(minimal(), *changes))

    def refusal(self, *changes: Mapping[str, Any]) -> str:
        """What helm says of values that it must not take."""
        done = self.run("template", "sp", str(self._path), *KUBE, values=merged(minimal(), *changes))
        assert done.returncode != 0, "was taken"
        return done.stderr

    def notes(self, *changes: Mapping[str, Any]) -> str:
        """What is printed after an install."""
        done = self.run(
            "install",
            "sp",
            str(self._path),
            "--dry-run=client",
            "--namespace",
            "justice",
            values=merged(minimal(), *changes),
        )
        if "cluster unreachable" in done.stderr:
            pytest.skip("helm 3 wants a cluster even for a dry run: make tools builds helm 4 (needs Go)")
        assert done.returncode == 0, done.stderr
        return done.stdout.partition("NOTES:")[2]


def only(objects: Objects, kind: str, component: str | None = None) -> Object:
    """The one object of a kind (and component)."""
    found = [
        o
        for o in objects
        if o["kind"] == kind
        and (component is None or o["metadata"]["labels"]["app.kubernetes.io/component"] == component)
    ]
    assert len(found) == 1, [o["metadata"]["name"] for o in found]
    return found[0]
