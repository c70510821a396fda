"""The cluster of deploy/compose.yaml, once for the run, under a project name, ports and secrets of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.cluster.control import OUTSIDE_ON_HOST, Cluster
from deploy.devstack.processes import choose_port
from deploy.devstack.stack import checkout_root
from deploy.images.engine import Engine, engine_problem
from tests.e2e.seen import OVERLAY

ASKED = "SALLYPORT_E2E"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skipped, not failed, where nobody asked: a plain `make test` has no engine, and must not need one."""
    here = Path(__file__).parent
    why = "end to end on containers: make test-e2e" if not os.environ.get(ASKED) else engine_problem()
    for item in items:
        if here in item.path.parents and why is not None:
            item.add_marker(pytest.mark.skip(reason=why))


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Up and ready, on empty volumes; gone afterwards with its data. Images that are missing are built."""
    first = choose_port()
    environ = {
        "COMPOSE_PROJECT_NAME": "sallyport-e2e",
        "COMPOSE_SECRETS": "./compose/secrets/e2e",
        "INGEST_PUBLISH": f"127.0.0.1:{first}",
        "NOTIFIER_PUBLISH": f"127.0.0.1:{choose_port(avoid=[first])}",
    }
    cluster = Cluster(Engine(), checkout_root(), overlays=[OUTSIDE_ON_HOST, OVERLAY], environ=environ)
    try:
        cluster.down(data=True)  # of a run that was killed: the same world again, on its data, would be no news
        cluster.up()
        yield cluster
    finally:
        cluster.down(data=True)
