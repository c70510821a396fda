"""The cluster of deploy/compose.yaml as a world is played through it, and the trouble that it is put to."""

from __future__ import annotations

import asyncio
import http.client
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from deploy.cluster.control import HOST_AS_SEEN_INSIDE, Cluster
from deploy.demo.access import Access, Served, call
from deploy.demo.outside import Arrival, read_arrivals
from deploy.demo.processes import ProcessGroup, ServiceProcess
from deploy.demo.world.places import AGENCIES, credentials
from deploy.devstack.processes import choose_port

__all__ = ["ContainerEdge", "Containers", "Handling", "unaccounted"]


class ContainerEdge:
    """A service's edge. where: asked anew when nobody answers, since a container that was replaced has moved."""

    def __init__(self, where: Callable[[], str]) -> None:
        self._where = where
        self._url = ""

    @property
    def url(self) -> str:
        self._url = self._url or self._where()
        return self._url

    def get(self, path: str, timeout_s: float = 5.0) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(self.url + path, timeout=timeout_s) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except (OSError, http.client.HTTPException) as error:
            self._url = ""
            return 0, type(error).__name__


class Containers(Access):
    """A context manager: registered and subscribed on entry. The world outside, every agency's webhook endpoint, is a
    process of this machine. directory: its log and what arrived."""

    def __init__(self, cluster: Cluster, directory: Path, *, answer_after_s: float) -> None:
        made = credentials()
        super().__init__(made.keys, AGENCIES, by_mail=False)
        self._cluster = cluster
        self._directory = directory
        self._records = made.records
        self._arrivals = directory / "arrivals.jsonl"
        self._group = ProcessGroup(directory)
        self._outside: ServiceProcess = self._group.program(
            "outside",
            ["-m", "deploy.demo.outside"],
            {
                "DEMO_HTTP_HOST": "0.0.0.0",  # the notifier comes from the engine's network
                "DEMO_SMTP_PORT": str(choose_port()),
                "DEMO_ARRIVALS": str(self._arrivals),
                "DEMO_ANSWER_AFTER_S": str(answer_after_s),
            },
        )
        self.ingest = ContainerEdge(lambda: cluster.url("ingest"))
        self.notifier = ContainerEdge(lambda: cluster.url("notifier"))
        self._matchers = [ContainerEdge(self._inside(f"matcher-{number}")) for number in (1, 2)]

    def _inside(self, service: str) -> Callable[[], str]:
        return lambda: f"http://{self._cluster.address(service)}:8080"

    @property
    def consumers(self) -> list[Served]:
        return [*self._matchers, self.notifier]

    def arrivals(self) -> list[Arrival]:
        return read_arrivals(self._arrivals)

    def __enter__(self) -> Containers:
        registry = self._directory / "registry.json"
        registry.write_bytes(msgspec.json.encode({"records": self._records}))
        registry.chmod(0o644)
        self._cluster.sallyport("registry", "apply", file=registry)
        self._outside.start()
        self._outside.wait_ready()
        self.subscribe(f"http://{HOST_AS_SEEN_INSIDE}:{self._outside.port}", self._outside.url)
        return self

    def __exit__(self, *_: object) -> None:
        self._group.stop()


class Handling:
    """What is done to containers. Each returns when it is over, and blocks nobody meanwhile."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def kill(self, service: str) -> None:
        """`docker kill`, which no restart policy answers: it is gone until `start`."""
        await asyncio.to_thread(self._engine, "kill", service)

    async def start(self, service: str) -> None:
        await asyncio.to_thread(self._engine, "start", service)

    async def replace(self, service: str) -> None:
        """A new container in the place of the old one, which is drained; returns when the new one is ready."""
        await asyncio.to_thread(self._replace, service)

    def _engine(self, verb: str, service: str) -> None:
        self._cluster.engine.run(verb, self._cluster.compose.container(service))

    def _replace(self, service: str) -> None:
        old = self._cluster.compose.container(service)
        self._cluster.compose.run("up", "--detach", "--no-build", "--no-deps", "--force-recreate", service)
        assert self._cluster.compose.container(service) != old, f"{service} is the container of before"
        is_ours = not service.startswith("kafka")
        self._cluster.wait_ready(180, [service] if is_ours else [])


def unaccounted(access: Access) -> list[str]:
    """What the endpoints counted, held against the ledger (G4): one line for each notice in which they differ."""
    counted: dict[str, int] = {}
    for arrival in access.arrivals():
        assert arrival.verified, "a signature is wrong"
        counted[arrival.id] = counted.get(arrival.id, 0) + 1
    wrong: list[str] = []
    for office in access.agencies:
        for notice in access.notices(office.code):
            name = notice["notice_id"]
            deliveries = _deliveries(access, office.code, name)
            attempts = sum(len(delivery["attempts"]) for delivery in deliveries)
            delivered = any(delivery["status"] == "delivered" for delivery in deliveries)
            came = counted.pop(name, 0)
            if came > attempts or (delivered and not came):
                wrong.append(f"{name}: came {came} times, {attempts} attempts, delivered: {delivered}")
    return [*wrong, *(f"{name}: came {came} times, and is not in the ledger" for name, came in counted.items())]


def _deliveries(access: Access, agency: str, name: str) -> list[dict[str, Any]]:
    view = call("GET", f"{access.notifier.url}/v1/notices/{name}", access.agency_key(agency))
    return [delivery for delivery in view.get("deliveries", []) if delivery["channel"] == "webhook"]
