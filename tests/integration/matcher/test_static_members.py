"""A rolling restart of two matchers on a real Kafka: dynamic members rebalance, static ones do not (docs/adr/0022)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.demo.processes import ProcessGroup, ServiceProcess
from deploy.devstack.processes import wait_until
from deploy.devstack.stack import StackInfo
from tests.integration.matcher.test_restart import Feed, assert_settles
from tests.support.kafka import fresh_topics

SESSION_MS = 60_000
PARTITIONS = 12


@pytest.fixture
def group(tmp_path: Path) -> Iterator[ProcessGroup]:
    with ProcessGroup(tmp_path) as processes:
        yield processes


@pytest.fixture
def bootstrap(stack: StackInfo) -> str:
    fresh_topics(stack.kafka_bootstrap_servers)
    return stack.kafka_bootstrap_servers


def _matcher(
    group: ProcessGroup, stack: StackInfo, name: str, *, consumers: str, instance_id: str, session_ms: int = SESSION_MS
) -> ServiceProcess:
    settings = {
        **stack.environ(),
        "SALLYPORT_GROUP_ID": consumers,
        "SALLYPORT_GROUP_INSTANCE_ID": instance_id,
        "SALLYPORT_SESSION_TIMEOUT_MS": str(session_ms),
        "SALLYPORT_FENCED_RETRY_S": "2",
    }
    return group.service("matcher", settings, name=name)


def _assigned(matcher: ServiceProcess) -> list[list[int]]:
    """The partitions that it was assigned, each time, over its whole life and all its starts."""
    return [
        [int(partition) for partition in partitions]
        for line in matcher.log_events()
        if line.get("event") == "partitions_assigned" and isinstance(partitions := line["partitions"], list)
    ]


def _share(matchers: list[ServiceProcess]) -> list[list[int]]:
    return [lists[-1] if (lists := _assigned(matcher)) else [] for matcher in matchers]


def _settled(matchers: list[ServiceProcess]) -> bool:
    """Each partition is one matcher's, every matcher has some, and all are restored."""
    shares = _share(matchers)
    return (
        sorted(partition for share in shares for partition in share) == list(range(PARTITIONS))
        and all(shares)
        and all(matcher.get("/readyz")[0] == 200 for matcher in matchers)
    )


def _start(matchers: list[ServiceProcess]) -> None:
    for matcher in matchers:
        matcher.start()
    for matcher in matchers:
        matcher.wait_ready()
    assert wait_until(lambda: _settled(matchers), seconds=120, every_s=0.2), _share(matchers)


def _roll(matchers: list[ServiceProcess]) -> int:
    """Restart one after the other as a cluster does: the next once the last is ready. How often the others, which were
    not touched, were given partitions anew meanwhile."""
    disturbed = 0
    for matcher in matchers:
        others = [other for other in matchers if other is not matcher]
        before = sum(len(_assigned(other)) for other in others)
        assert matcher.terminate() == 0
        matcher.start()
        matcher.wait_ready()
        assert wait_until(lambda: _settled(matchers), seconds=120, every_s=0.2), _share(matchers)
        disturbed += sum(len(_assigned(other)) for other in others) - before
    return disturbed


@pytest.mark.timeout(600)
@pytest.mark.parametrize("is_static", [True, False], ids=["static", "dynamic"])
async def test_a_rolling_restart(
    bootstrap: str, stack: StackInfo, group: ProcessGroup, suffix: str, is_static: bool
) -> None:
    consumers = f"sallyport-matcher-{suffix}"
    matchers = [
        _matcher(group, stack, name, consumers=consumers, instance_id=name if is_static else "")
        for name in ("matcher-0", "matcher-1")
    ]
    await asyncio.to_thread(_start, matchers)
    shares = _share(matchers)
    _, disturbed = await asyncio.gather(
        Feed(bootstrap, seed=11).run(lambda _: None, pace_s=0.015), asyncio.to_thread(_roll, matchers)
    )
    if is_static:
        assert disturbed == 0
        assert _share(matchers) == shares
    else:
        assert disturbed >= 2, "a member that leaves and comes back rebalances the group; or this test sees nothing"
    await asyncio.to_thread(assert_settles, bootstrap)
    assert [matcher.terminate() for matcher in matchers] == [0, 0]


@pytest.mark.timeout(400)
def test_the_partitions_of_one_that_is_killed_wait_for_the_session_timeout(
    bootstrap: str, stack: StackInfo, group: ProcessGroup, suffix: str
) -> None:
    session_ms = 12_000
    matchers = [
        _matcher(group, stack, name, consumers=f"g-{suffix}", instance_id=name, session_ms=session_ms)
        for name in ("matcher-0", "matcher-1")
    ]
    _start(matchers)
    killed, left = matchers
    began = time.monotonic()
    killed.kill()
    # No sooner than the timeout after its last heartbeat, of which there is one every quarter of the timeout or so.
    assert wait_until(lambda: _settled([left]), seconds=120, every_s=0.1), _share([left])
    assert time.monotonic() - began >= session_ms / 1000 / 2


@pytest.mark.timeout(400)
def test_the_older_of_two_with_one_id_ends_and_the_newer_has_its_partitions(
    bootstrap: str, stack: StackInfo, group: ProcessGroup, suffix: str
) -> None:
    older, newer = (
        _matcher(group, stack, name, consumers=f"g-{suffix}", instance_id="the-same", session_ms=20_000)
        for name in ("older", "newer")
    )
    _start([older])
    newer.start()
    assert older.wait_exit(120) == 1
    said = [line for line in older.log_events() if line.get("event") == "failed"]
    assert [line["error"] for line in said] == ["InstanceIdTaken"]
    newer.wait_ready()
    assert _share([newer]) == [list(range(PARTITIONS))]
    assert newer.is_running
    assert newer.starts == 1
    assert len(_assigned(newer)) == 1, "the older one has not thrown it out again"
