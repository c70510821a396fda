"""An owner that is killed, or paused, in the middle of a transaction while another instance takes over."""

from __future__ import annotations

import asyncio
import signal
import uuid

from msgspec import Struct

from tests.benchmark.transactions.common import Task
from tests.benchmark.transactions.rig import Feeder, Reader, Worker, until
from tests.support.kafka import fresh_topics

__all__ = ["Outcome", "disturb"]

_STEADY_S, _AFTER_S = 3.0, 4.0


class Outcome(Struct, frozen=True):
    """What a committed reader saw. Times in seconds.

    own_wait: the longest that an event of the lost owner's partitions took; others_wait: of the other's.
    zombie: what its commit came to. missing, repeated: events.
    """

    own_wait: float
    others_wait: float
    missing: int
    repeated: int
    zombie: str = ""


async def disturb(
    way: str, bootstrap: str, *, word: str, pause: bool, timeout_ms: int = 10_000, session_ms: int = 6000
) -> Outcome:
    """Two instances share the partitions; the first hangs in a transaction (`word`) and is killed, or paused until the
    other has taken over, and woken then."""
    fresh_topics(bootstrap)
    task = Task(
        way,
        bootstrap,
        f"g-{uuid.uuid4().hex[:8]}",
        500,
        alone=False,
        session_timeout_ms=session_ms,
        transaction_timeout_ms=timeout_ms,
    )
    feeder, reader = Feeder(bootstrap), Reader(bootstrap)
    reading = asyncio.create_task(reader.run())
    owner = await Worker.start(task)
    await owner.hears("assigned", partitions=12)
    heir = await Worker.start(task)
    first = await heir.hears("assigned", partitions=1)
    assert first is not None
    feeding = asyncio.create_task(feeder.run())
    await until(lambda: len(reader.seen) > 300, 30)
    owner.tell(word)
    hung = await owner.hears("hanging", seconds=20)
    assert hung is not None, "no transaction hung"
    before = {p for said in owner.said if said["event"] == "assigned" for p in said["partitions"]}
    own = set(range(12)) - set(first["partitions"]) if before else set()
    zombie = ""
    if pause:
        owner.signal(signal.SIGSTOP)
        owner.tell("go")
        await heir.hears("assigned", partitions=12, seconds=60)
        await asyncio.sleep(_AFTER_S)
        owner.signal(signal.SIGCONT)
        said = await owner.hears("refused", "accepted", seconds=40)
        zombie = "no answer" if said is None else f"{said['event']} {said.get('error', '')}".strip()
    else:
        owner.signal(signal.SIGKILL)
        await heir.hears("assigned", partitions=12, seconds=60)
        await asyncio.sleep(_AFTER_S)
    feeder.stop()
    await feeding
    await until(lambda: reader.seen.keys() >= feeder.sent.keys(), 90)
    waits: dict[bool, list[float]] = {True: [0.0], False: [0.0]}
    for name, (at, partition) in feeder.sent.items():
        if name in reader.seen and at > hung["at"] - _STEADY_S:
            waits[partition in own].append(reader.seen[name][0] - at)
    await owner.finish(5)
    await heir.finish()
    reader.stop()
    await reading
    return Outcome(
        own_wait=max(waits[True]),
        others_wait=max(waits[False]),
        missing=len(feeder.sent.keys() - reader.seen.keys()),
        repeated=sum(len(times) > 1 for times in reader.seen.values()),
        zombie=zombie,
    )
