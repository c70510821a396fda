"""From an older version to this one and back, while it runs: docs/operate/upgrade.md, step by step.

The older one is another checkout, at SALLYPORT_OLD_CHECKOUT; its code runs in our environment:

    git worktree add /tmp/old COMMIT
    SALLYPORT_OLD_CHECKOUT=/tmp/old make test T=tests/integration/operate/test_upgrade.py
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from contracts.types.conflict import Stage
from deploy.demo.processes import ServiceProcess
from deploy.devstack.stack import StackInfo
from tests.integration.operate.support import ROOT, eventually, playing, sallyport, sent

OLD = os.environ.get("SALLYPORT_OLD_CHECKOUT", "")
pytestmark = [
    pytest.mark.timeout(400),
    pytest.mark.skipif(not OLD, reason="SALLYPORT_OLD_CHECKOUT: git worktree add /tmp/old COMMIT, and name it"),
]


def replace(service: ServiceProcess, checkout: str) -> None:
    """The service ends as at a deployment, and the other version takes its place."""
    assert service.terminate() == 0, service.log_text()[-1500:]
    service._environment["PYTHONPATH"] = checkout
    service.start()
    service.wait_ready()


async def test_an_upgrade_and_back_loses_nothing_and_tells_nothing_twice(
    stack: StackInfo, database_url: str, tmp_path: Path
) -> None:
    own = StackInfo(stack.kafka_bootstrap_servers, database_url)
    async with playing(own, tmp_path / "run", {"PYTHONPATH": OLD}) as played:
        system = played.system
        before = sent(system)
        # The set-up job of the new version comes first, under the old services: it only adds.
        for command in (["topics", "apply"], ["migrate"]):
            done = sallyport(system, *command)
            assert done.returncode == 0, done.stderr
        await played.send(3)
        await played.until_told(3)  # by the old ones, on the new database

        for service in (system.notifier, system.matcher, system.ingest):
            await asyncio.to_thread(replace, service, str(ROOT))
        eventually(played.play.is_quiet, "the new version at rest")
        assert len(sent(system) - before) == 1  # nothing but version 3
        await played.send(4)
        await played.until_told(4)

        # And back, in the opposite order: what the new version wrote is read by the old one.
        versions = len(played.conflicts)
        for service in (system.ingest, system.matcher, system.notifier):
            await asyncio.to_thread(replace, service, OLD)
        eventually(played.play.is_quiet, "the old version at rest")
        assert len(played.conflicts) == versions
        verdict = await played.play.settle(30)
        assert (verdict.missing, verdict.extra) == ([], [])
        assert [stage for _, stage in played.told()][-1] is Stage.CLOSED
