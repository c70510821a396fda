"""The cluster as it runs: closed where it says that it is closed. Nothing in it is changed."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path
from typing import Any

import pytest

from deploy.cluster.control import Cluster

SHUT = 7
"""The exit status of a program below that was turned away: no other failure of it, or of the engine, has this one."""
REACH = f"""
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), 4).close()
except OSError:
    sys.exit({SHUT})
"""
PLAIN_KAFKA = f"""
import socket, struct, sys
asked = struct.pack("!hhih", 18, 0, 4711, -1)  # ApiVersions, with which every client begins
with socket.create_connection((sys.argv[1], int(sys.argv[2])), 10) as broker:
    broker.sendall(struct.pack("!i", len(asked)) + asked)
    try:
        answer = broker.recv(8)
    except ConnectionError:
        answer = b""
answered = len(answer) == 8 and struct.unpack("!ii", answer)[1] == 4711
sys.exit(0 if answered else {SHUT})
"""
PLAIN_POSTGRES = f"""
import asyncio, pathlib, sys
import asyncpg
url = pathlib.Path("/run/secrets/database_url").read_text()
try:
    asyncio.run(asyncpg.connect(url, ssl=False, timeout=10))
except asyncpg.InvalidAuthorizationSpecificationError as error:
    sys.exit({SHUT} if "no encryption" in str(error) else 1)
"""


def _all(cluster: Cluster, *which: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = cluster.engine.inspect(*cluster.compose.run("ps", *which, "--quiet").stdout.split())
    return found


def _python(cluster: Cluster, service: str, program: str, *arguments: str) -> int:
    command = ("exec", "-T", service, "python", "-c", program, *arguments)
    return cluster.compose.run(*command, check=False, timeout_s=60).returncode


def test_every_container_is_locked_down(cluster: Cluster) -> None:
    for container in _all(cluster):
        name, host = container["Name"], container["HostConfig"]
        assert host["ReadonlyRootfs"], name
        assert host["CapDrop"] == ["ALL"] and not host["CapAdd"] and not host["Privileged"], name
        assert "no-new-privileges:true" in host["SecurityOpt"], name
        assert container["Config"]["User"].split(":")[0] not in ("", "0"), name
        assert host["Memory"] > 0, name


def test_only_the_two_edges_are_published(cluster: Cluster) -> None:
    published = {
        c["Config"]["Labels"]["com.docker.compose.service"] for c in _all(cluster) if c["HostConfig"]["PortBindings"]
    }
    assert published == {"ingest", "notifier"}


def test_only_the_notifier_reaches_another_machine(cluster: Cluster) -> None:
    named = re.search(r"^nameserver (\d[\d.]+)$", Path("/etc/resolv.conf").read_text(), re.MULTILINE)
    if named is None or named.group(1).startswith("127."):
        pytest.skip("no name server on another machine to try it with")
    try:
        socket.create_connection((named.group(1), 53), 4).close()
    except OSError:
        pytest.skip("the name server takes no TCP from here either")
    reach = {s: _python(cluster, s, REACH, named.group(1), "53") for s in ("ingest", "matcher-1", "notifier")}
    assert reach == {"ingest": SHUT, "matcher-1": SHUT, "notifier": 0}


def test_only_who_needs_the_database_reaches_it(cluster: Cluster) -> None:
    reach = {s: _python(cluster, s, REACH, "postgres", "5432") for s in ("ingest", "matcher-1", "notifier")}
    assert reach == {"ingest": SHUT, "matcher-1": SHUT, "notifier": 0}


def test_plain_text_is_refused_by_kafka_and_by_postgresql(cluster: Cluster) -> None:
    assert _python(cluster, "notifier", REACH, "kafka-1", "9092") == 0
    assert _python(cluster, "notifier", PLAIN_KAFKA, "kafka-1", "9092") == SHUT
    assert _python(cluster, "notifier", PLAIN_POSTGRES) == SHUT


def test_no_secret_shows_in_what_the_engine_tells_of_a_container_nor_in_a_log(cluster: Cluster) -> None:
    done = cluster.compose.run("logs", "--no-color")
    logged = done.stdout + done.stderr
    assert re.search(r"^kafka-\d-1 +\|", logged, re.MULTILINE), "no broker has said anything, of its first start on"
    told = json.dumps(_all(cluster, "--all")) + logged
    public = ("ca.pem", "ca-key.pem", "kafka-cluster-id")  # the second is in no container
    files = [p for p in cluster.secrets.iterdir() if p.is_file() and p.name not in public]
    # Of a line with more than a secret in it, such as a URL, the secret.
    secrets = {found for path in files for found in re.findall(r"[\w+/-]{20,}", path.read_text())}
    assert secrets and not [secret for secret in secrets if secret in told]
    assert "storedKey" not in logged, "Kafka's storage tool prints what it makes of a password"
