"""From an older version to this one and back, while it runs: docs/operate/upgrade.md, step by step.

The older one is another checkout, at SALLYPORT_OLD_CHECKOUT; its code runs in our environment:

    git worktree add /tmp/old COMMIT
    SALLYPORT_OLD_CHECKOUT=/tmp/old make test T=tests/integration/operate/test_upgrade.py
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import asyncpg
import pytest

from contracts.types.conflict import Stage
from deploy.demo.processes import ServiceProcess
from deploy.devstack.stack import StackInfo
from services.notifier.adapters.postgres.access import database_of
from services.notifier.adapters.postgres.pool import revision_problem
from services.notifier.adapters.postgres.schema import head, migrate
from services.notifier.settings import NotifierSettings
from tests.integration.operate.support import ROOT, playing, sallyport, sent
from tests.support.waiting import wait_for

OLD = os.environ.get("SALLYPORT_OLD_CHECKOUT", "")
# An older version has to be checked out beside this one: whoever releases does so (docs/operate/upgrade.md).
needs_an_older_checkout = pytest.mark.skipif(
    not OLD, reason="SALLYPORT_OLD_CHECKOUT: git worktree add /tmp/old COMMIT, and name it"
)


def replace(service: ServiceProcess, checkout: str) -> None:
    """The service ends as at a deployment, and the other version takes its place."""
    assert service.terminate() == 0, service.log_text()[-1500:]
    service._environment["PYTHONPATH"] = checkout
    service.start()
    service.wait_ready()


async def _let_it_back(database_url: str) -> None:
    """Up to 76f175c a notifier waited for a database of just its own revision: say that it is (upgrade.md)."""
    migrations = Path(OLD) / "services/notifier/migrations/versions"
    if "def known(" in (migrations.parents[1] / "adapters/postgres/schema.py").read_text("utf-8"):
        return
    newest = max(file.name[:4] for file in migrations.glob("0*.py"))
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("update alembic_version set version_num = $1", newest)
    finally:
        await connection.close()


@needs_an_older_checkout
@pytest.mark.timeout(600)
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
        wait_for(played.play.is_quiet, "the new version at rest")
        assert len(sent(system) - before) == 1  # nothing but version 3
        await played.send(4)
        await played.until_told(4)

        # And back, in the opposite order: what the new version wrote is read by the old one.
        versions = len(played.conflicts)
        await _let_it_back(database_url)
        for service in (system.ingest, system.matcher, system.notifier):
            await asyncio.to_thread(replace, service, OLD)
        wait_for(played.play.is_quiet, "the old version at rest")
        assert len(played.conflicts) == versions
        verdict = await played.play.settle(90)
        assert (verdict.missing, verdict.extra) == ([], [])
        assert [stage for _, stage in played.told()][-1] is Stage.CLOSED


async def test_what_the_url_says_beside_the_place_holds_for_a_migration_too(database_url: str) -> None:
    settings = NotifierSettings(
        _env_file=None, database_url=f"{database_url}?sslmode=disable&application_name=county", allow_plaintext=True
    )
    assert await migrate(database_of(settings)) == head()


async def test_a_database_that_a_later_version_upgraded_is_worked_with_and_left_as_it_is(database_url: str) -> None:
    """So that an older notifier can be rolled back to, its set-up job included; one that is behind is waited for."""
    settings = NotifierSettings(_env_file=None, database_url=database_url, allow_plaintext=True)
    assert await migrate(database_of(settings)) == head()
    pool = await asyncpg.create_pool(database_url, min_size=1, max_size=1)
    try:
        assert await revision_problem(pool) is None
        await pool.execute("update alembic_version set version_num = '9999'")
        assert await revision_problem(pool) is None
        assert await migrate(database_of(settings)) == "9999"
        await pool.execute("update alembic_version set version_num = '0001'")
        assert await revision_problem(pool) == f"database is at revision 0001, wanted {head()}: sallyport migrate"
    finally:
        await pool.close()
