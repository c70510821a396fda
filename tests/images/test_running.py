"""The images as they run: locked down, alive, and gone when they are asked to go, with what was in hand finished."""

from __future__ import annotations

import http.client
import json
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import msgspec
import pytest

from deploy.demo.observe import read_whole
from deploy.demo.world.places import HARTFORD, ICE_BOSTON, credentials
from deploy.devstack.processes import choose_port, wait_until
from deploy.images.engine import Engine
from tests.images.conftest import LOCKED_DOWN, Start

PLAIN = "--env=SALLYPORT_ALLOW_PLAINTEXT=true"
DRAIN_S = 20.0


def _health(engine: Engine, container: str) -> str:
    return str(engine.inspect(container)[0]["State"].get("Health", {}).get("Status", ""))


def _get(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except (OSError, http.client.HTTPException):
        return 0


def _stop(engine: Engine, container: str) -> tuple[int, float]:
    """SIGTERM, and SIGKILL well after the deadline: the exit status, and seconds until the end."""
    begun = time.monotonic()
    engine.run("stop", f"--time={DRAIN_S + 25:.0f}", container, timeout_s=120)
    return int(engine.inspect(container)[0]["State"]["ExitCode"]), time.monotonic() - begun


@pytest.mark.timeout(300)
def test_ingest_lives_locked_down_without_a_broker_and_its_health_check_sees_it(
    engine: Engine, images: dict[str, str], start: Start
) -> None:
    """No broker is no reason to restart: alive, not ready. Nothing is written outside of /tmp, no right is needed."""
    container = start(*LOCKED_DOWN, PLAIN, "--health-interval=1s", images["ingest"])
    assert wait_until(lambda: _health(engine, container) == "healthy", seconds=120, every_s=0.5), engine.text(
        "logs", container
    )
    healthy = ("exec", container, "/opt/sallyport/bin/python", "-I", "-S", "/opt/sallyport/healthy.py", "/readyz")
    assert engine.run(*healthy, check=False).returncode == 1
    command = engine.text("exec", container, "cat", "/proc/1/cmdline").split("\0")
    assert command[1:3] == ["/opt/sallyport/bin/sallyport", "ingest"], "a shell before it would swallow SIGTERM"
    status = dict(
        line.split(":\t", 1)
        for line in engine.text("exec", container, "cat", "/proc/1/status").splitlines()
        if ":\t" in line
    )
    assert status["Uid"].split() == ["10001"] * 4
    assert int(status["CapEff"], 16) == 0 and int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"] == "1"
    exit_status, seconds = _stop(engine, container)
    assert (exit_status, seconds < DRAIN_S) == (0, True), engine.text("logs", container)


@pytest.mark.timeout(300)
def test_a_service_that_is_not_alive_turns_unhealthy(engine: Engine, images: dict[str, str], start: Start) -> None:
    container = start(
        *LOCKED_DOWN, "--health-interval=1s", "--health-retries=1", "--health-start-period=1s",
        "--entrypoint=sleep", images["matcher"], "600",
    )  # fmt: skip
    assert wait_until(lambda: _health(engine, container) == "unhealthy", seconds=60, every_s=0.5)


class _Sender(threading.Thread):
    """Sends bookings, one after the other, until nobody takes them any more. taken: ids that were answered with 202."""

    def __init__(self, url: str, key: str) -> None:
        super().__init__(daemon=True)
        self._connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
        self._key = key
        self.taken: list[str] = []
        self.refused = ""

    def run(self) -> None:
        headers = {"Content-Type": "application/cloudevents+json", "Authorization": f"Bearer {self._key}"}
        while len(self.taken) < 100_000:
            event_id = f"drain-{len(self.taken)}"
            data = {
                "kind": "released", "facility": HARTFORD.code, "booking_number": event_id,
                "occurred_at": "2026-01-02T03:04:05Z", "reason": "bond",
            }  # fmt: skip
            event = {
                "specversion": "1.0", "id": event_id, "source": HARTFORD.source,
                "type": "sallyport.custody.released.v1", "datacontenttype": "application/json", "data": data,
            }  # fmt: skip
            try:
                self._connection.request("POST", "/v1/events", json.dumps(event), headers)
                answer = self._connection.getresponse()
                said = answer.read()
            except (OSError, http.client.HTTPException):
                return
            if answer.status != 202:
                self.refused = f"{answer.status} {said[:300]!r}"
                return
            self.taken.append(event_id)


@pytest.mark.timeout(600)
def test_sigterm_with_work_in_hand_exits_0_in_time_and_loses_nothing(
    engine: Engine, images: dict[str, str], servers: tuple[str, str], start: Start, tmp_path: Path
) -> None:
    """All three on a real Kafka and PostgreSQL, under load, each asked to end: what was accepted is on the topic."""
    kafka, postgres = servers
    kafka_port, postgres_port, http_port, matcher_port, notifier_port = _ports(5)
    host = "--network=host"
    start(host, f"--env=KAFKA_ADVERTISED_PORT={kafka_port}", kafka)
    start(
        *(host, "--env=POSTGRES_USER=sallyport", "--env=POSTGRES_PASSWORD=for-a-test"),
        *(f"--env=PGPORT={postgres_port}", postgres),
    )
    common = (
        *(host, *LOCKED_DOWN, PLAIN, "--env=SALLYPORT_HTTP_HOST=127.0.0.1"),
        f"--env=SALLYPORT_KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:{kafka_port}",
        f"--env=SALLYPORT_DATABASE_URL=postgresql://sallyport:for-a-test@127.0.0.1:{postgres_port}/sallyport",
        "--env=SALLYPORT_SECRETS_KEYS=" + "A" * 43 + "=",
    )
    made = credentials([HARTFORD], [ICE_BOSTON])
    registry = tmp_path / "registry.json"
    registry.write_bytes(msgspec.json.encode({"records": made.records}))
    registry.chmod(0o644)

    said = ""

    def sallyport(*arguments: str) -> bool:
        nonlocal said
        volume = f"--volume={registry}:/tmp/registry.json:ro"
        done = engine.run("run", "--rm", *common, volume, images["notifier"], *arguments, check=False)
        said = (done.stdout + done.stderr).decode(errors="replace")[-1000:]
        return done.returncode == 0

    assert wait_until(lambda: sallyport("topics", "apply"), seconds=180, every_s=1), said
    assert wait_until(lambda: sallyport("migrate"), seconds=60, every_s=1), said
    assert sallyport("registry", "apply", "/tmp/registry.json"), said
    running = {
        name: start(*common, f"--env=SALLYPORT_HTTP_PORT={port}", images[name])
        for name, port in (("ingest", http_port), ("matcher", matcher_port), ("notifier", notifier_port))
    }
    for port in (http_port, matcher_port, notifier_port):
        url = f"http://127.0.0.1:{port}/readyz"
        assert wait_until(lambda url=url: _get(url) == 200, seconds=120, every_s=0.5), url  # type: ignore[misc]

    sender = _Sender(f"http://127.0.0.1:{http_port}", made.keys[HARTFORD.source])
    sender.start()
    assert wait_until(lambda: len(sender.taken) > 200 or not sender.is_alive(), seconds=60, every_s=0.01)
    assert not sender.refused
    for name, container in running.items():
        exit_status, seconds = _stop(engine, container)
        assert exit_status == 0, f"{name}: {engine.text('logs', '--tail=20', container)}"
        assert seconds < DRAIN_S + 5, f"{name} took {seconds:.1f} s"
    sender.join(30)
    assert len(sender.taken) > 200
    records = read_whole(f"127.0.0.1:{kafka_port}", ["custody.events.v1"])
    on_topic = {value.decode() for record in records for name, value in record.headers if name == "ce_id"}
    assert set(sender.taken) <= on_topic


def _ports(count: int) -> list[int]:
    found: list[int] = []
    for _ in range(count):
        found.append(choose_port(avoid=found))
    return found
