"""The same two servers as containers, by testcontainers: for machines that have an engine.

Images are settings, since an installation has its own registry: SALLYPORT_TEST_KAFKA_IMAGE (built from
deploy/kafka/Containerfile) and SALLYPORT_TEST_POSTGRES_IMAGE (one that starts as the official image does).
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from testcontainers.core.container import DockerContainer

from deploy.devstack.errors import StartFailed
from deploy.devstack.kafka import answers
from deploy.devstack.processes import LOOPBACK, choose_port, wait_until
from deploy.devstack.stack import StackInfo

__all__ = ["containers"]

_START_S = 90.0


@contextmanager
def containers() -> Iterator[StackInfo]:
    """Both servers, on ports of this machine; gone afterwards.

    Raises StartFailed: an image is not named, or its server does not serve in time.
    """
    port = choose_port()
    password = secrets.token_hex(12)
    kafka = DockerContainer(_image("SALLYPORT_TEST_KAFKA_IMAGE"))
    # A client is told the advertised address, so the port has to be the same inside and outside.
    kafka.with_bind_ports(port, port).with_env("KAFKA_ADVERTISED_PORT", str(port))
    postgres = DockerContainer(_image("SALLYPORT_TEST_POSTGRES_IMAGE"))
    postgres.with_exposed_ports(5432).with_env("POSTGRES_USER", "sallyport")
    postgres.with_env("POSTGRES_PASSWORD", password).with_env("POSTGRES_DB", "sallyport")
    with kafka, postgres:
        bootstrap = f"{LOOPBACK}:{port}"
        database_port = int(postgres.get_exposed_port(5432))
        url = f"postgresql://sallyport:{password}@{LOOPBACK}:{database_port}/sallyport"
        if not wait_until(lambda: answers(bootstrap), seconds=_START_S, every_s=0.2):
            raise StartFailed(f"Kafka's container does not serve: {_tail(kafka)}")
        if not wait_until(lambda: _serves(url), seconds=_START_S, every_s=0.2):
            raise StartFailed(f"PostgreSQL's container does not serve: {_tail(postgres)}")
        yield StackInfo(bootstrap, url)


def _image(setting: str) -> str:
    image = os.environ.get(setting, "")
    if not image:
        raise StartFailed(f"SALLYPORT_TEST_STACK=testcontainers needs {setting}: see docs/testcontainers.md")
    return image


def _tail(container: DockerContainer) -> str:
    out, errors = container.get_logs()
    return " ".join((out + errors).decode(errors="replace").split())[-500:]


def _serves(url: str) -> bool:
    import asyncio

    import asyncpg

    async def ask() -> bool:
        connection = await asyncpg.connect(url, timeout=2)
        await connection.close()
        return True

    try:
        return asyncio.run(ask())
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
        return False
