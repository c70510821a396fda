"""What `make up` says of what it starts, and of what does not come up; the engine and Compose say as told here."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from deploy.cluster import control
from deploy.cluster.compose import Compose
from deploy.cluster.control import Cluster
from deploy.images.errors import ClusterNotReady


class Told(Compose):
    """up: what Compose complains of; "" where all comes up. logs: service -> what it says."""

    def __init__(self, *_: object) -> None:
        self.up = ""
        self.logs: dict[str, str] = {}
        self.health = "healthy"

    def run(self, *arguments: str, timeout_s: float = 600.0, check: bool = True) -> subprocess.CompletedProcess[str]:
        out, err = "", ""
        match arguments[0]:
            case "config":
                out = "kafka-1\nkafka-2\npostgres\nsetup\ningest\n"
            case "up":
                err = self.up
            case "logs":
                out = self.logs[arguments[-1]]
            case "ps" if "--quiet" in arguments:
                out = "0123456789ab"
            case "ps":
                out = json.dumps({"Service": "ingest", "State": "running", "Health": self.health, "Image": "i"})
        return subprocess.CompletedProcess(arguments, 1 if err else 0, out, err)


class Engine:
    """restarts: what it says at each look, the last for ever."""

    def __init__(self, restarts: Sequence[int] = (0,), revision: str = "") -> None:
        self.restarts = list(restarts)
        self.revision = revision

    def has_image(self, _: str) -> bool:
        return True

    def inspect(self, *names: str) -> list[dict[str, Any]]:
        count = self.restarts.pop(0) if len(self.restarts) > 1 else self.restarts[0]
        labels = {"com.docker.compose.service": "ingest", "org.opencontainers.image.revision": self.revision}
        return [{"Id": name, "RestartCount": count, "Config": {"Labels": labels}} for name in names]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    compose = Told()
    monkeypatch.setattr(control, "Compose", lambda *_: compose)
    monkeypatch.setattr(control, "ensure_thirdparty", lambda *_: {"GRAFANA_IMAGE": ""})
    monkeypatch.setattr(control, "ensure_secrets", lambda _: None)
    return compose


def _cluster(engine: Engine, root: Path, said: list[str] | None = None) -> Cluster:
    return Cluster(engine, root, say=[].append if said is None else said.append)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("complaint", "service"),
    [
        ("dependency failed to start: container sallyport-kafka-2-1 is unhealthy", "kafka-2"),
        ("dependency failed to start: container sallyport-postgres-1 exited (1)", "postgres"),
        ('service "setup" didn\'t complete successfully: exit 1', "setup"),
    ],
)
def test_who_does_not_come_up_is_named_with_its_reason(
    told: Told, tmp_path: Path, complaint: str, service: str
) -> None:
    told.up, told.logs = f"Container sallyport-ingest-1 Created\n{complaint}\n", {service: "no space\nleft\n"}
    with pytest.raises(ClusterNotReady) as raised:
        _cluster(Engine(), tmp_path).up()
    assert str(raised.value) == f"the cluster did not come up: {complaint}: no space left"


def test_a_complaint_of_no_container_stands_alone(told: Told, tmp_path: Path) -> None:
    told.up = "all predefined address pools have been fully subnetted"
    with pytest.raises(ClusterNotReady, match=r"subnetted$"):
        _cluster(Engine(), tmp_path).up()


def test_restarts_of_another_day_are_no_fault(told: Told, tmp_path: Path) -> None:
    """The engine counts them all, as long as the container lives."""
    _cluster(Engine([40]), tmp_path).wait_ready()


def test_who_ends_again_and_again_is_not_waited_for(
    told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "wait_until", lambda ready, **_: any(ready() for _ in range(10)))
    told.health, told.logs = "starting", {"ingest": "no such setting"}
    with pytest.raises(ClusterNotReady, match=r"^ingest ends again and again: no such setting"):
        _cluster(Engine([40, 41, 43, 44]), tmp_path).wait_ready()
    with pytest.raises(ClusterNotReady, match=r"^not ready within 240 s: ingest; ingest says: no such setting"):
        _cluster(Engine([40, 41, 43]), tmp_path).wait_ready()


UNSIGNED = ("-c", "commit.gpgsign=false")


def _checkout(root: Path) -> str:
    """A commit of `root`, with the directories that images are made of; its name."""
    (root / "services").mkdir(exist_ok=True)
    (root / "services" / "code.py").write_text("first\n")
    for command in (
        ["init", "--quiet"],
        ["add", "--all"],
        ["-c", "user.name=nobody", "-c", "user.email=nobody@example.org", *UNSIGNED, "commit", "--quiet", "-mfirst"],
    ):
        subprocess.run(["git", "-C", str(root), *command], check=True)
    said = subprocess.run(["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    return said.stdout.strip()


def test_images_of_other_code_are_started_and_told_of(
    told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SALLYPORT_REGISTRY", raising=False)

    def said(revision: str) -> bool:
        lines: list[str] = []
        _cluster(Engine(revision=revision), tmp_path, lines).up()
        return any("may be older than this checkout: `make images`" in line for line in lines)

    assert not said("0" * 40), "where git is not, nothing can be said"
    commit = _checkout(tmp_path)
    assert not said(commit)
    (tmp_path / "docs.md").write_text("of no image\n")
    assert not said(commit)
    assert said("unknown") and said(f"{commit}-changed") and said("0" * 40)
    (tmp_path / "services" / "code.py").write_text("second\n")
    assert said(commit)
