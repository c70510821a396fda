"""Apache Kafka on this machine: one KRaft node that is broker and controller, from the pinned jars."""

from __future__ import annotations

import base64
import os
import signal
import socket
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from deploy.devstack.errors import StartFailed
from deploy.devstack.java import JavaRuntime
from deploy.devstack.locks import HOST, Locks
from deploy.devstack.processes import LOOPBACK, ServerProcess, read_tail, spawn, wait_until

__all__ = ["KafkaNode", "answers"]

_KAFKA = Path(__file__).resolve().parent.parent / "kafka"
_LOG4J = _KAFKA / "log4j2.xml"
_SETTINGS = _KAFKA / "server.properties"
_START_S = 120.0
_STOP_S = 20.0

# Small and quick to start on two cores beside everything else.
_JVM = (
    "-Xms256m",
    "-Xmx640m",
    "-XX:+UseSerialGC",
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:+PerfDisableSharedMem",  # no file of it in /tmp
    "-Djava.awt.headless=true",
    "-Djava.net.preferIPv4Stack=true",
)


@dataclass(frozen=True, slots=True)
class KafkaNode:
    """directory: holds data, settings and log of this node. port: of the clients. controller_port: of KRaft.
    locks: how it is locked; None: plain text, open to all of this machine."""

    directory: Path
    logs: Path
    port: int
    controller_port: int
    java: JavaRuntime
    jars: tuple[Path, ...]
    locks: Locks | None = None

    @property
    def bootstrap_servers(self) -> str:
        return f"{HOST if self.locks else LOOPBACK}:{self.port}"

    @property
    def log(self) -> Path:
        return self.logs / "kafka.log"

    @property
    def data(self) -> Path:
        return self.directory / "data"

    def settings(self) -> str:
        """server.properties: what deploy/kafka says, and where this node listens and keeps its data."""
        own = {
            "listeners": f"PLAINTEXT://{LOOPBACK}:{self.port},CONTROLLER://{LOOPBACK}:{self.controller_port}",
            "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{self.port}",
            # Voters by setting, not in the metadata log: the port may be another one at the next start.
            "controller.quorum.voters": f"1@{LOOPBACK}:{self.controller_port}",
        }
        if self.locks is not None:
            own = self.locks.kafka_settings(self.port, self.controller_port)
        own["log.dirs"] = str(self.data)
        return _SETTINGS.read_text() + "".join(f"{key}={value}\n" for key, value in own.items())

    def prepare(self) -> None:
        """Write the settings, and format the storage where that has not been done. Raises StartFailed."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.logs.mkdir(parents=True, exist_ok=True)
        self._settings_file.touch(mode=0o600)  # of a locked node, with passwords
        self._settings_file.write_text(self.settings())
        if (self.data / "meta.properties").exists():
            return
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
        if cluster.startswith("-"):  # would be read as an option
            cluster = "A" + cluster[1:]
        users = self.locks.kafka_users() if self.locks is not None else []
        arguments = ("format", "-t", cluster, "-c", str(self._settings_file), "--ignore-formatted", *users)
        command = self._command("kafka.tools.StorageTool", *arguments)
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_START_S, cwd=self.directory, stdin=subprocess.DEVNULL
        )
        if done.returncode != 0:
            said = " ".join((done.stdout + done.stderr).split())[-300:]
            raise StartFailed(f"Kafka's storage could not be formatted: {said}")

    def spawn(self) -> ServerProcess:
        """Start the broker; returns at once, before it serves."""
        self.log.unlink(missing_ok=True)
        return spawn(
            self._command("kafka.Kafka", str(self._settings_file)),
            log=self.logs / "kafka.out",
            marker=self.marker(self.logs),
            cwd=self.directory,
            env={k: v for k, v in os.environ.items() if not k.startswith(("KAFKA_", "JAVA_TOOL", "JDK_JAVA", "_JAVA"))},
        )

    def wait(self, process: ServerProcess, seconds: float = _START_S) -> None:
        """Until the broker is registered and in the metadata that clients get. Raises StartFailed."""

        def ready() -> bool:
            if not process.is_running:
                said = read_tail(self.logs / "kafka.out") or read_tail(self.log)
                raise StartFailed(f"Kafka ended while it started; see {self.log}: {said}")
            return answers(self.bootstrap_servers, self.locks.client_options() if self.locks is not None else None)

        if not wait_until(ready, seconds=seconds):
            raise StartFailed(f"Kafka did not serve within {seconds:.0f} s; see {self.log}")

    @staticmethod
    def marker(logs: Path) -> str:
        """The argument by which a broker is known to be the one of this stack."""
        return f"-Dsallyport.logs={logs}"

    @staticmethod
    def stop(process: ServerProcess) -> None:
        process.stop([(signal.SIGTERM, _STOP_S), (signal.SIGKILL, 5.0)])

    @property
    def _settings_file(self) -> Path:
        return self.directory / "server.properties"

    def _command(self, main: str, *arguments: str) -> list[str]:
        return [
            str(self.java.executable),
            *_JVM,
            *_jvm_for(self.java),
            self.marker(self.logs),
            f"-Dlog4j2.configurationFile={_LOG4J.as_uri()}",
            "-cp",
            os.pathsep.join(str(jar) for jar in self.jars),
            main,
            *arguments,
        ]


def _jvm_for(java: JavaRuntime) -> Sequence[str]:
    # Java 24 warns on standard error of what the compression codecs do.
    return ("--enable-native-access=ALL-UNNAMED",) if java.major >= 22 else ()


def answers(bootstrap_servers: str, config: Mapping[str, object] | None = None) -> bool:
    """Whether a broker tells a client about a cluster that has at least one live broker."""
    host, _, port = bootstrap_servers.split(",")[0].rpartition(":")
    try:
        # kafka-python waits and retries where nobody listens; a plain connection says so at once.
        socket.create_connection((host, int(port)), timeout=1).close()
        admin = KafkaAdminClient(bootstrap_servers=bootstrap_servers, request_timeout_ms=5000, **(config or {}))
        try:
            return bool(admin.describe_cluster()["brokers"])
        finally:
            admin.close()
    except (OSError, KafkaError):
        return False
