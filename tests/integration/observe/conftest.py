"""Everything real: Kafka, PostgreSQL, the three services, a Prometheus that scrapes them and judges by our rules."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.demo.system import System
from deploy.devstack.stack import StackInfo
from tests.integration.observe.prometheus import Prometheus
from tests.support.tools import program


@pytest.fixture
def prometheus_program() -> str:
    return program("prometheus", "apt-get install --no-install-recommends prometheus")


@pytest.fixture
def system(prometheus_program: str, topics: StackInfo, database_url: str, tmp_path: Path) -> Iterator[System]:
    stack = StackInfo(topics.kafka_bootstrap_servers, database_url)
    with System(stack, tmp_path / "run", settings={"SALLYPORT_RETRY_SCALE": "0.01"}) as made:
        yield made


@pytest.fixture
def prometheus(prometheus_program: str, system: System, tmp_path: Path) -> Iterator[Prometheus]:
    targets = {f"sallyport-{service.name}": service.port for service in system.services}
    with Prometheus(prometheus_program, tmp_path / "prometheus", targets) as made:
        yield made
