"""One Kafka and one PostgreSQL for this checkout, under `.dev/NAME`: up, down, status; idempotent, data kept.

    from deploy.devstack.stack import DevStack, checkout_root
    info = DevStack(checkout_root()).up()
    info.kafka_bootstrap_servers, info.database_url

For a stack that exists only as long as the process that asked for it, see `deploy.devstack.supervisor.ephemeral`.
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from deploy.devstack.errors import ServerNotReachable, StartFailed
from deploy.devstack.jars import ensure_jars
from deploy.devstack.java import find_java
from deploy.devstack.kafka import KafkaNode
from deploy.devstack.locks import Locks
from deploy.devstack.postgres import PostgresServer, new_password
from deploy.devstack.processes import ServerProcess, choose_port, processes_with
from deploy.devstack.state import StackState, locked

__all__ = ["DevStack", "PartStatus", "StackInfo", "checkout_root", "stack_names"]

_LOCK_S = 180.0  # the first `up` of a checkout downloads
_START_ATTEMPTS = 2


@dataclass(frozen=True, slots=True)
class StackInfo:
    """kafka_bootstrap_servers: host:port, as clients take it. database_url: postgresql://user:password@host:port/name.
    plaintext: so they are spoken to."""

    kafka_bootstrap_servers: str
    database_url: str
    plaintext: bool = True

    def environ(self) -> dict[str, str]:
        """The same as the variables that the services read; of a stack behind locks, without what opens them."""
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka_bootstrap_servers,
            "DATABASE_URL": self.database_url,
            **({"SALLYPORT_ALLOW_PLAINTEXT": "true"} if self.plaintext else {}),
        }


@dataclass(frozen=True, slots=True)
class PartStatus:
    """part: kafka or postgres. state: `external` means that the environment names a server elsewhere.
    address: where it serves, without a password; None before the first start."""

    part: Literal["kafka", "postgres"]
    state: Literal["running", "stopped", "external"]
    address: str | None
    pid: int | None = None


def checkout_root() -> Path:
    """The checkout that this module is in."""
    return Path(__file__).resolve().parent.parent.parent


def stack_names(root: Path) -> list[str]:
    """The stacks that this checkout has, running or not."""
    return sorted(state.parent.name for state in (root / ".dev").glob("*/stack.json"))


class DevStack:
    """The stack `name` of the checkout at `root`.

    environ: KAFKA_BOOTSTRAP_SERVERS and DATABASE_URL in it stand for servers that are used instead of that part.
    jar_cache: where the jars are kept; one for all stacks of the checkout unless told otherwise.
    locked: Kafka is behind TLS, logins and ACLs, and `.dev/NAME/locks` has what a client needs (`locks.Locks.read`).
        PostgreSQL is not: the wheel is built without TLS.
    say: is told, in a few words, what takes long.
    """

    def __init__(
        self,
        root: Path,
        name: str = "dev",
        *,
        environ: Mapping[str, str] | None = None,
        jar_cache: Path | None = None,
        locked: bool = False,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.name = name
        self.directory = root.resolve() / ".dev" / name
        self._environ = os.environ if environ is None else environ
        self._jar_cache = jar_cache or root.resolve() / ".dev" / "cache" / "jars"
        self._locked = locked
        self._say = say
        self._state_file = self.directory / "stack.json"
        self._lock_file = self.directory / "lock"
        self._logs = self.directory / "logs"

    def up(self, *, owner: ServerProcess | None = None) -> StackInfo:
        """Start what does not run yet, wait until it serves, and tell where. Seconds; at the first time the download
        of 45 MB comes on top. Interrupted or failed, it stops again what it started.

        Raises a DevStackError.
        """
        external_kafka, external_database = self._external()
        with locked(self._lock_file, seconds=_LOCK_S):
            state = StackState.read(self._state_file)
            for attempt in range(1, _START_ATTEMPTS + 1):
                state.owner = owner
                try:
                    return self._start(state, external_kafka, external_database)
                except StartFailed:
                    # Once more from the beginning: between our look at a port and the server's, somebody may have taken
                    # it, and a server that looked alive may have been dying.
                    self._stop(state)
                    if attempt == _START_ATTEMPTS:
                        raise
                except BaseException:
                    self._stop(state)
                    raise
        raise AssertionError("unreachable")

    def down(self, *, delete: bool = False) -> None:
        """Stop what runs, within some 20 s; with `delete`, remove its data too. Nothing to do is no error."""
        if not self.directory.exists():
            return
        with locked(self._lock_file, seconds=_LOCK_S):
            self._stop(StackState.read(self._state_file))
            if delete:
                shutil.rmtree(self.directory)

    def status(self) -> list[PartStatus]:
        """What runs, and where; asks no server."""
        state = StackState.read(self._state_file)
        kafka, database = self._environ.get("KAFKA_BOOTSTRAP_SERVERS"), self._environ.get("DATABASE_URL")
        parts: list[PartStatus] = []
        if kafka:
            parts.append(PartStatus("kafka", "external", kafka))
        else:
            parts.append(_part_status("kafka", state.kafka, state.kafka_port))
        if database:
            parts.append(PartStatus("postgres", "external", _address(database)))
        else:
            parts.append(_part_status("postgres", state.postgres, state.postgres_port))
        return parts

    @property
    def owner(self) -> ServerProcess | None:
        """The process for which alone this stack exists."""
        return StackState.read(self._state_file).owner

    def _external(self) -> tuple[str | None, str | None]:
        kafka = self._environ.get("KAFKA_BOOTSTRAP_SERVERS") or None
        database = self._environ.get("DATABASE_URL") or None
        if kafka:
            _require_any("KAFKA_BOOTSTRAP_SERVERS", kafka.split(","), 9092)
        if database and (address := _address(database)):
            _require_any("DATABASE_URL", [address], 5432)
        return kafka, database

    def _start(self, state: StackState, external_kafka: str | None, external_database: str | None) -> StackInfo:
        self._stop_strays(state)
        # Both are under way before either is waited for. Each process is on record as soon as it exists.
        kafka = None if external_kafka else self._begin_kafka(state)
        postgres = None if external_database else self._begin_postgres(state)
        if postgres is not None and state.postgres is not None:
            postgres.wait(state.postgres)
        if kafka is not None and state.kafka is not None:
            kafka.wait(state.kafka)
        return StackInfo(
            external_kafka or (kafka.bootstrap_servers if kafka else ""),
            external_database or (postgres.url() if postgres else ""),
            plaintext=not self._locked,
        )

    def _begin_kafka(self, state: StackState) -> KafkaNode:
        running = state.kafka is not None and state.kafka.is_running
        if not running:
            state.kafka = None
            state.kafka_port = choose_port(state.kafka_port, _ports(state))
            state.kafka_controller_port = choose_port(state.kafka_controller_port, _ports(state))
            state.write(self._state_file)
        assert state.kafka_port is not None and state.kafka_controller_port is not None
        node = KafkaNode(
            directory=self.directory / "kafka",
            logs=self._logs,
            port=state.kafka_port,
            controller_port=state.kafka_controller_port,
            java=find_java(self._environ),
            jars=() if running else tuple(ensure_jars(self._jar_cache, environ=self._environ, say=self._say)),
            locks=self._locks(),
        )
        if not running:
            self._say("starting Kafka")
            node.prepare()
            state.kafka = node.spawn()
            state.write(self._state_file)
        return node

    def _begin_postgres(self, state: StackState) -> PostgresServer:
        running = state.postgres is not None and state.postgres.is_running
        if not running:
            state.postgres = None
            state.postgres_port = choose_port(state.postgres_port, _ports(state))
            state.postgres_password = state.postgres_password or new_password()
            state.write(self._state_file)
        assert state.postgres_port is not None and state.postgres_password is not None
        server = PostgresServer(
            directory=self.directory / "postgres",
            logs=self._logs,
            port=state.postgres_port,
            password=state.postgres_password,
        )
        if not running:
            self._say("starting PostgreSQL")
            server.prepare()
            state.postgres = server.spawn()
            state.write(self._state_file)
        return server

    def _locks(self) -> Locks | None:
        return Locks.make(self.directory / "locks") if self._locked else None

    def _stop(self, state: StackState) -> None:
        self._stop_strays(state)
        if state.postgres is not None:
            PostgresServer.stop(state.postgres)
        if state.kafka is not None:
            KafkaNode.stop(state.kafka)
        state.kafka = state.postgres = state.owner = None
        if self._state_file.exists():
            state.write(self._state_file)

    def _stop_strays(self, state: StackState) -> None:
        """Stop servers of this stack that are not on record: `up` was killed in the moment after it started one, or
        somebody removed the state file."""
        for process in processes_with(PostgresServer.marker(self.directory / "postgres")):
            if state.postgres is None or process.pid != state.postgres.pid or not state.postgres.is_running:
                PostgresServer.stop(process)
        for process in processes_with(KafkaNode.marker(self._logs)):
            if state.kafka is None or process.pid != state.kafka.pid or not state.kafka.is_running:
                KafkaNode.stop(process)


def _ports(state: StackState) -> list[int]:
    return [p for p in (state.kafka_port, state.kafka_controller_port, state.postgres_port) if p is not None]


def _part_status(part: Literal["kafka", "postgres"], process: ServerProcess | None, port: int | None) -> PartStatus:
    address = None if port is None else f"127.0.0.1:{port}"
    if process is not None and process.is_running:
        return PartStatus(part, "running", address, process.pid)
    return PartStatus(part, "stopped", address)


def _address(database_url: str) -> str | None:
    """host:port of a database URL; None where it names a Unix socket."""
    parts = urlsplit(database_url)
    return f"{parts.hostname}:{parts.port or 5432}" if parts.hostname else None


def _require_any(setting: str, addresses: list[str], default_port: int) -> None:
    for address in addresses:
        host, _, port = address.strip().rpartition(":")
        try:
            socket.create_connection((host or port, int(port) if host else default_port), timeout=5).close()
            return
        except (OSError, ValueError):
            continue
    raise ServerNotReachable(
        f"{setting} names {', '.join(addresses)}, where nobody answers: start it, or unset {setting} to use ours"
    )
