"""What is lost, and what comes back: the ledger from a dump, the matcher's state from the other topics."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contracts.ids import notice_id
from contracts.types.conflict import Stage
from contracts.types.notice import Notice
from deploy.demo.world.places import ICE_BOSTON
from deploy.devstack.stack import StackInfo
from tests.integration.operate.support import (
    ROOT,
    Played,
    dump,
    playing,
    query,
    restore,
    sallyport,
    sent,
    topic_is_gone,
)
from tests.support.kafka import fresh_topics
from tests.support.waiting import wait_for

NOTICES = "select distinct on (conflict_id) convert_from(body, 'UTF8') from notices order by conflict_id, version desc"
REVIEWS = "select convert_from(body, 'UTF8') from reviews"
pytestmark = pytest.mark.timeout(500)


@pytest.fixture
async def played(stack: StackInfo, database_url: str, tmp_path: Path) -> AsyncIterator[Played]:
    async with playing(StackInfo(stack.kafka_bootstrap_servers, database_url), tmp_path / "run") as played:
        yield played


def _restart(service: Any) -> None:
    service.start()
    service.wait_ready()


async def test_the_ledger_comes_back_from_a_dump_and_nothing_is_left_untold(played: Played, tmp_path: Path) -> None:
    """What happened after the dump is read again from Kafka; what the dump has is not sent again."""
    system, file = played.system, tmp_path / "ledger.dump"
    before = sent(system)
    dumped_at = datetime.now(UTC)
    dump(system.stack.database_url, file)
    await played.send(3)  # the release: told, and in no dump
    await played.until_told(3)

    in_use = sallyport(system, "ledger", "rewind", "--since", dumped_at.isoformat())
    assert (in_use.returncode, "group_in_use" in in_use.stderr) == (2, True), in_use
    assert system.notifier.terminate() == 0
    restore(system.stack.database_url, file)
    _restart(system.notifier)

    # Without a rewind the notifier goes on behind what was lost: its agency cannot even read of the release.
    def of_hartford() -> list[int]:
        notices = system.notices(ICE_BOSTON.code)
        return sorted(n["version"] for n in notices if n["conflict_id"] == played.conflict_id)

    wait_for(played.play.is_quiet, "the notifier at rest")
    assert of_hartford() == [1, 2]

    assert system.notifier.terminate() == 0
    looked = sallyport(system, "ledger", "rewind", "--since", dumped_at.isoformat(), "--dry-run")
    assert looked.returncode == 0, looked.stderr
    assert "would be read again" in looked.stdout
    moved = sallyport(system, "ledger", "rewind", "--since", dumped_at.isoformat())
    assert moved.returncode == 0, moved.stderr
    _restart(system.notifier)
    wait_for(lambda: of_hartford() == [1, 2, 3], "the release in the ledger")
    wait_for(played.play.is_quiet, "the notifier at rest")

    # Under the id that it had before, so that the agency knows it; and of what was in the dump, nothing is sent again.
    release = notice_id(played.conflict_id, 3, ICE_BOSTON.code)
    assert sent(system) - before == {release: 2}
    await played.send(4)
    await played.until_told(4)


async def test_the_matchers_state_is_built_anew_and_versions_go_on(played: Played) -> None:
    """custody.state.v1 is deleted; what it said is put together from the other topics, and nothing is told twice."""
    system = played.system
    bootstrap = system.stack.kafka_bootstrap_servers
    in_use = sallyport(system, "state", "rebuild")
    assert (in_use.returncode, "group_in_use" in in_use.stderr) == (2, True), in_use
    assert system.matcher.terminate() == 0
    not_empty = sallyport(system, "state", "rebuild")
    assert (not_empty.returncode, "state_not_empty" in not_empty.stderr) == (2, True), not_empty

    topic_is_gone(bootstrap, "custody.state.v1")
    assert sallyport(system, "topics", "apply").returncode == 0
    versions, webhooks = played.conflicts, sent(system)
    built = sallyport(system, "state", "rebuild")
    assert built.returncode == 0, built.stderr
    _restart(system.matcher)
    await played.send(3)
    await played.until_told(3)
    wait_for(played.play.is_quiet, "everything at rest")

    wait_for(lambda: len(played.conflicts) > len(versions), "the reader of conflicts.v1 has it too")

    # Of all that was judged again nothing is told again: the release is the only new version of any conflict.
    new = played.conflicts[len(versions) :]
    assert [(c.conflict_id, c.version, c.stage) for c in new] == [(played.conflict_id, 3, Stage.RELEASED)]
    assert sent(system) - webhooks == {notice_id(played.conflict_id, 3, ICE_BOSTON.code): 1}
    assert played.told() == [(1, Stage.IN_CUSTODY), (2, Stage.RELEASE_SCHEDULED), (3, Stage.RELEASED)]


async def test_all_of_kafka_is_lost_and_the_ledger_lives(played: Played, tmp_path: Path) -> None:
    """Jails and agencies send again what they know; conflicts are numbered on from where the ledger has them."""
    system, file = played.system, tmp_path / "told.ndjson"
    page = " ".join((ROOT / "docs/operate/backup.md").read_text("utf-8").replace("\\\n", " ").split())
    assert NOTICES in page
    assert REVIEWS in page
    for service in system.services:
        assert service.terminate() == 0
    fresh_topics(system.stack.kafka_bootstrap_servers)
    webhooks = sent(system)
    registry = sallyport(system, "registry", "apply", str(system.directory / "registry.json"))
    assert registry.returncode == 0, registry.stderr
    file.write_bytes(query(system.stack.database_url, NOTICES) + query(system.stack.database_url, REVIEWS))
    _restart(system.ingest)
    await played.send_all_again()
    built = sallyport(system, "state", "rebuild", "--ledger", str(file))
    assert built.returncode == 0, built.stderr
    for service in (system.matcher, system.notifier):
        _restart(service)
    await played.send(3)
    await played.until_told(3)
    wait_for(played.play.is_quiet, "everything at rest")

    # A notice leaves out why a conflict was closed, so that is said once more; of all else nothing is.
    again = [a for a in system.arrivals() if a.id in sent(system) - webhooks and a.channel == "webhook"]
    release = notice_id(played.conflict_id, 3, ICE_BOSTON.code)
    stages = {a.id: msgspec.json.decode(a.body, type=Notice).data.stage for a in again}
    assert stages.pop(release) is Stage.RELEASED
    assert set(stages.values()) <= {Stage.CLOSED}
    assert sent(system)[release] == 1
